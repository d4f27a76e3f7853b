#pragma once

// Serves connections: for each near pipe that arrives it makes an upstream one and bridges the two,
// any number at once.
//
//  -- limits --
//
// At most max_conns at once. At the limit the listeners are paused, so that newcomers wait in the
// kernel's backlog, and go on when a connection ends. A stream that a striping peer offers above
// the limit waits too, in the order of arrival, until the peer gives up: the two ends do not count
// a connection out at the same instant, so refusing would break connections of a peer that keeps to
// the same limit. The engine bounds how many wait, and what they hold; of those that gave up as
// many may be left as wait, or 64.
//
//  -- ending --
//
// finish() stops accepting; `settled` is called when there is no connection left. A one-shot server
// does this by itself with its first connection, and remembers how it went.

#include <kit/listeners.h>
#include <kit/relay_connection.h>
#include <kit/upstream.h>

#include <libp/event_loop.h>
#include <libp/log.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

namespace libp::app {

struct relay_options {
    std::size_t max_conns = 1000;
    bool once = false;
    std::string listener = "main";  // its name, for logs
    bridge_options bridge{};
};

class relay_server {
  public:
    relay_server(event_loop& loop, const log& out, const relay_options& options, upstream& to,
                 delegate<void()> settled);
    ~relay_server();
    relay_server(const relay_server&) = delete;
    relay_server& operator=(const relay_server&) = delete;

    // The listeners to hold back when there are too many; they outlive this. Without: nothing is
    // held back.
    void hold_back(listeners& all) noexcept { listeners_ = &all; }

    // A connection came in.
    void arrived(std::unique_ptr<io_pipe> near, const socket_address& peer);
    // A striping peer opens a stream.
    void offered(std::unique_ptr<stripe::stream_pipe> near, const stripe::open_request& request);

    void finish();
    // Ends what there is; each logs its line. Settles later.
    void cut(error why);

    std::size_t live() const noexcept { return live_; }
    // How the last connection that ended went.
    exit_code last_exit() const noexcept { return last_exit_; }
    error last_error() const noexcept { return last_error_; }
    // ... at whom, if that was the client; empty: it was not.
    const std::string& last_client() const noexcept { return last_client_; }
    // ... and whether it had got as far as the upstream.
    bool last_joined() const noexcept { return last_joined_; }
    // The numbers so far, as a line of the log.
    void log_status() const;

    // -- for its connections --

    event_loop& loop() const noexcept { return loop_; }
    const log& out() const noexcept { return log_; }
    const relay_options& options() const noexcept { return options_; }
    upstream& to() const noexcept { return to_; }
    std::uint32_t next_number() noexcept { return ++accepted_; }
    // "7f3a-12": which process, and which of its connections.
    std::string id_text(std::uint32_t number) const;
    // It is over: counts it out, forgets and retires it.
    void ended(relay_connection& which, exit_code status, error why);

  private:
    // A stream of a peer's that waits until there are fewer connections.
    struct offer {
        std::unique_ptr<stripe::stream_pipe> near;
        std::string target;
    };
    void serve(std::unique_ptr<io_pipe> near, stripe::stream_pipe* offered,
               const compact_address& src, const std::string& wanted);
    void serve_waiting();
    void sweep_waiting();

    event_loop& loop_;
    const log& log_;
    relay_options options_;
    upstream& to_;
    delegate<void()> settled_;
    listeners* listeners_ = nullptr;

    intrusive_list<relay_connection, &relay_connection::on_list> connections_;
    static constexpr std::size_t least_sweep = 64;
    std::deque<offer> waiting_;
    std::size_t sweep_at_ = least_sweep;  // with so many it is looked who has given up
    std::size_t live_ = 0;
    std::uint32_t accepted_ = 0;
    std::uint32_t failed_ = 0;
    std::uint64_t up_ = 0, down_ = 0;  // of connections that ended
    exit_code last_exit_ = exit_code::ok;
    error last_error_{};
    std::string last_client_;
    bool last_joined_ = false;
    bool finishing_ = false;
    bool paused_ = false;
    char prefix_[8];
};

}  // namespace libp::app
