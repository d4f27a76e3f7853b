#pragma once

// The upstream that is a striped session: opens a stream for each connection.
//
// Until a session exists a stream waits for one; then it takes bytes at once, and is ready when the
// server's end has reached its target. The server is asked for what the near side wants, else for
// the target given here, else for none: then it has one of its own.

#include <kit/upstream.h>

#include <libp/event_loop.h>
#include <libp/stripe/node.h>
#include <libp/time.h>

namespace libp::app {

class striped_upstream final : public upstream {
  public:
    // `wait`: how long a stream waits for a session and for the server's answer; 0: for as long as
    // it takes. `target`: "HOST:PORT", or empty.
    striped_upstream(event_loop& loop, stripe::node& over, duration wait, std::string target);

    std::unique_ptr<attempt> start(const std::string& wanted, done call) override;
    const std::string& name() const noexcept override { return name_; }

  private:
    class opening;

    event_loop& loop_;
    stripe::node& node_;
    duration wait_;
    std::string target_;
    std::string name_;
};

}  // namespace libp::app
