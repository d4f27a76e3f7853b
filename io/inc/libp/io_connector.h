#pragma once

// Connects to an endpoint: resolves the name off the loop, tries its addresses by Happy Eyeballs,
// hands over a pipe.
//
// Happy Eyeballs version 2 (RFC 8305): the addresses are interleaved by family, beginning with the
// one the system prefers; the next is tried 250 ms after the last (section 5's Connection Attempt
// Delay), or at once when one failed; the first to connect wins and the others are closed. One
// timeout covers all of it, resolution included. When all fail, the error reported is that of the
// first address: the one the user would have got from a plain connect.
//
// A UNIX socket whose listener has its backlog full refuses at once, where TCP would wait: it is
// tried again until the timeout.

#include <libp/endpoint.h>
#include <libp/event_loop.h>
#include <libp/io_pipe.h>
#include <libp/resolver.h>
#include <libp/socket.h>

#include <memory>
#include <vector>

namespace libp {

struct connector_options {
    duration timeout{10s};  // its error is timed_out; 0: none
    duration stagger{250ms};
    duration connect_within{0};  // once its name is resolved; timed_out; 0: no bound of its own
    connect_options socket{};
    tcp_options tcp{};
    // Asked, from the loop, about each address that is to be tried, however it was found; without
    // it all are. Those that it says no to are not tried; where none is left the error is
    // not_allowed.
    delegate<bool(const socket_address&)> admit{};
};

class io_connector {
  public:
    using done = delegate<void(result<std::unique_ptr<io_pipe>>)>;

    // Starts at once; `done` is called once, from the loop, never from the constructor. Destroying
    // the connector first, or from within `done`, is legal and cancels what is left. The resolver
    // outlives it.
    io_connector(event_loop& loop, resolver& names, const endpoint& to,
                 const connector_options& options, done call);
    // The same for addresses (at least one) that are known already, the preferred first.
    io_connector(event_loop& loop, std::vector<socket_address> addresses,
                 const connector_options& options, done call);
    ~io_connector();
    io_connector(const io_connector&) = delete;
    io_connector& operator=(const io_connector&) = delete;

    // The address that answered; none before.
    const socket_address& connected_to() const noexcept;

  private:
    struct core;
    std::unique_ptr<core> core_;
};

}  // namespace libp
