#pragma once

// The sockets that a LISTEN stands for, and what comes in through them.
//
// A name with several addresses is bound at each of them (one that the system cannot have here,
// such as ::1 without IPv6, is skipped as long as another works). What is accepted is wrapped in
// LISTEN's filters and handed over as a pipe, once it is ready: a stranger that has to shake hands
// first (TLS) takes none of the owner's places. Of those there are at most `strangers` at once, and
// so many who fail (failure_budget.h); whoever comes above that is turned away with a reset, as is
// whoever comes while there are `pipes` with the same credentials: what all of them hold is bounded
// by these two.
//
// Being out of descriptors is logged, and its end: at once what is news, and then for a second
// nothing, because at the limit the one follows the other with every connection that ends.
//
// TCP options are set once, on the listening socket, where the system lets accepted sockets inherit
// them.

#include <kit/failure_budget.h>
#include <kit/handshakes.h>
#include <kit/socket_file.h>
#include <kit/startup_error.h>

#include <libp/event_loop.h>
#include <libp/io_listener.h>
#include <libp/io_pipe.h>
#include <libp/log.h>
#include <libp/stack.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace libp::app {

// The addresses that a LISTEN stands for now.
startup_result addresses_to_bind(const stack_spec& at, std::vector<socket_address>& to);

class listeners {
  public:
    using arrival = delegate<void(std::unique_ptr<io_pipe>, const socket_address& peer)>;
    // Where there is TLS.
    struct bounds {
        std::size_t strangers = 256;
        std::size_t pipes = static_cast<std::size_t>(-1);
    };

    // `tls` is for where the spec has that layer, outlives this, and may be filled in later, before
    // open().
    listeners(event_loop& loop, const log& out, const stack_spec& at, const tcp_options& tcp,
              arrival arrived, const stack_tls& tls, const bounds& most);
    ~listeners();
    listeners(const listeners&) = delete;
    listeners& operator=(const listeners&) = delete;

    // Binds; nothing is accepted before the loop runs. `letter`: the option that said where, for
    // the hint.
    startup_result open(char letter);
    std::vector<socket_address> addresses() const;
    // Logs a line for each.
    void log_open(std::string_view name) const;

    // The owner is full; newcomers wait in the kernel's backlog.
    void pause();
    void resume();
    // Descriptors were freed.
    void retry();
    // For good. Legal from within an arrival. UNIX socket files are removed.
    void close();

  private:
    startup_result bind(const socket_address& at, char letter, error& why);
    void on_accept(unique_fd fd, const socket_address& peer);
    void on_shaken(std::unique_ptr<io_pipe> pipe, const socket_address& peer,
                   failure_budget::toll paid);
    void on_lost(error why, const socket_address& peer);
    // What a newcomer pays; nothing: there is no room for him.
    std::optional<failure_budget::toll> admit(const socket_address& peer);
    void turn_away(unique_fd fd);
    void on_trouble(error why);
    void log_trouble();

    event_loop& loop_;
    const log& log_;
    const stack_spec& spec_;
    tcp_options tcp_;
    const stack_tls& tls_;
    arrival arrived_;
    const bounds most_;
    handshakes strangers_;
    failure_budget failures_;
    std::uint64_t turned_away_ = 0;  // and not logged yet
    instant log_next_{};
    std::size_t troubled_ = 0;  // so many of them cannot accept
    error trouble_{};           // why, as the last one said
    bool trouble_logged_ = false;
    timer trouble_quiet_;  // nothing is logged of it until then
    std::vector<std::unique_ptr<io_listener>> open_;
    // Behind the listeners, so that they go before them: what is still listened on is nobody else's
    // left-over.
    std::vector<socket_file> files_;
    bool closed_ = false;
};

}  // namespace libp::app
