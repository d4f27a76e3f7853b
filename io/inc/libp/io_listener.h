#pragma once

// Accepts connections and hands each to its owner.
//
// Accepts one a turn, and twice as many in each turn that finds more waiting, up to 64: a flood of
// connections cannot starve the ones there are. When the process is out of descriptors or memory
// the listener pauses by itself, says so once through `trouble`, and tries again after a pause that
// doubles from 50 ms to 1 s; it never spins on a socket it cannot accept from. pause() is for the
// owner's own reasons (a connection limit, a drain): the kernel's backlog then holds newcomers. The
// reasons are independent: it accepts when none is left.

#include <libp/event_loop.h>
#include <libp/socket.h>

namespace libp {

class io_listener {
  public:
    using accepted = delegate<void(unique_fd fd, const socket_address& peer)>;

    // `fd` listens already (listen_on). Starts at once. Both are called from the loop only.
    // `trouble` is called with the reason (limit, as a rule) when accepting fails, and with no
    // reason when it works again: once each, however many tries lie between. Either may call
    // anything here; to destroy the listener they retire it.
    io_listener(event_loop& loop, unique_fd fd, accepted on_accept, delegate<void(error)> trouble);
    ~io_listener();
    io_listener(const io_listener&) = delete;
    io_listener& operator=(const io_listener&) = delete;

    void pause();
    void resume();
    // Resources were freed: tries again in the loop's next turn if it paused for lack of them.
    void retry();
    // The address it is bound to, with the real port.
    socket_address address() const;

  private:
    enum class pause_reason : std::uint8_t { owner = 1, resources = 2 };

    error watch();
    void on_ready(flags<io_ready> ready);
    void on_retry();
    void run_short(error e);
    void recover();
    void update_interest();

    event_loop& loop_;
    unique_fd fd_;
    accepted on_accept_;
    delegate<void(error)> trouble_;
    io_watch watch_;
    timer retry_;
    duration retry_pause_;  // the next one's length
    flags<pause_reason> paused_{};
    std::uint64_t ready_in_ = 0;  // the loop's turn in which there was last anybody
    int burst_ = 1;               // how many were to be accepted in that turn
    bool troubled_ = false;       // from the first failure until accepting works again
};

}  // namespace libp
