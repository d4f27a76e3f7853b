#pragma once

// The upstream that is an address: connects to it, puts the filters of its spec on top, and waits
// until those have shaken hands.
// Whoever asks for another target is refused: it would not be talking to what it thinks.

#include <kit/upstream.h>

#include <libp/io_connector.h>
#include <libp/stack.h>

namespace libp::app {

class fixed_upstream final : public upstream {
  public:
    // Everything given outlives this; `tls` may be filled in later, before the first start().
    fixed_upstream(event_loop& loop, resolver& names, const stack_spec& to,
                   const connector_options& options, const stack_tls& tls);

    std::unique_ptr<attempt> start(const std::string& wanted, done call) override;
    const std::string& name() const noexcept override { return name_; }

  private:
    class connecting;

    event_loop& loop_;
    resolver& names_;
    const stack_spec& to_;
    connector_options options_;
    const stack_tls& tls_;
    std::string name_;
};

}  // namespace libp::app
