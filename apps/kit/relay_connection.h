#pragma once

// One connection being served: a near pipe that came in, the upstream pipe that is made for it, and
// the bridge between.
//
//     near pipe -> attempt at the upstream -> bridge -> over
//
// There may be many thousands, mostly idle: the record holds no strings, no timers and no buffers
// of its own. (The pipes, the bridge and this record together stay below 1 KiB of memory while
// nothing moves.)
//
// It belongs to its server's list; when it is over it logs its one line, leaves the list and
// retires itself.

#include <kit/upstream.h>

#include <libp/compact_address.h>
#include <libp/io_bridge.h>
#include <libp/list.h>
#include <libp/stripe/node.h>

#include <memory>
#include <optional>

namespace libp::app {

class relay_server;

class relay_connection {
  public:
    // `offered`: `near` as the stream it is, to be accepted once the upstream pipe is there; or
    // nullptr.
    relay_connection(relay_server& server, std::unique_ptr<io_pipe> near,
                     stripe::stream_pipe* offered, const compact_address& src);
    relay_connection(const relay_connection&) = delete;
    relay_connection& operator=(const relay_connection&) = delete;

    // Asks the upstream for a pipe; `wanted` as upstream.h has it.
    void start(const std::string& wanted);
    // Ends it; both ends see an error.
    void cut(error why);

    // Bytes from the client to the target, and back.
    std::uint64_t up() const noexcept { return bridge_ ? bridge_->bytes_a_to_b() : 0; }
    std::uint64_t down() const noexcept { return bridge_ ? bridge_->bytes_b_to_a() : 0; }
    // Whom it broke at, if that was the client; empty: it was not.
    std::string broken_client() const {
        return bridge_ && bridge_->end().side == bridge_side::a ? src_.to_string() : "";
    }
    // It had got as far as the upstream, even if that has not answered.
    bool joined() const noexcept { return bridge_.has_value(); }

    // In its lines' id.
    std::uint32_t number() const noexcept { return number_; }

    list_hook on_list;

  private:
    void on_near(io_flags risen);
    void on_upstream(upstream::made made);
    void on_over();
    // Before there was a bridge. `made` says why, `to` whom it was to lead to.
    void fail_near(const upstream::made& made, const std::string& to);
    void log_end(const char* end, const std::string& why, const std::string& to) const;

    relay_server& server_;
    std::unique_ptr<io_pipe> near_;  // until the bridge has it
    stripe::stream_pipe* offered_;
    std::unique_ptr<upstream::attempt> attempt_;
    std::optional<io_bridge> bridge_;
    instant began_;
    std::uint32_t number_;
    std::uint32_t session_ = 0;  // of a stream that was offered
    compact_address src_, dst_;
};

}  // namespace libp::app
