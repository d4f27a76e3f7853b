#pragma once

// The flags, edges and handler of a pipe: what every implementation of io_pipe holds as a member,
// so that the rules about when a handler runs are kept in one place.
//
// An implementation changes its levels with raise() and lower() anywhere, and calls deliver() as
// the last statement of whatever the event loop (or the pipe below) called it for. Edges raised
// outside such an event are delivered by a deferred call. An edge that was raised and lowered again
// before it was delivered is not delivered.

#include <libp/event_loop.h>
#include <libp/io_pipe.h>

namespace libp {

class pipe_state {
  public:
    explicit pipe_state(event_loop& loop) noexcept;
    ~pipe_state();  // checked: not inside its own handler

    event_loop& loop() const noexcept { return later_loop_; }

    void attach(io_handler handler) noexcept;
    io_flags levels() const noexcept { return levels_; }
    bool has(io_flag f) const noexcept { return levels_.has(f); }

    // Raising fin_wanted or broken lowers writable, and writable does not rise after either.
    void raise(io_flags bits) noexcept;
    void lower(io_flags bits) noexcept;
    // Raises `broken` with its reason and lowers writable; once broken nothing changes. Raises
    // readable, too, unless recv() has returned fin: it has something to say, if only that the pipe
    // broke. A recv() that says so itself lowers it again.
    void break_with(error e) noexcept;
    error why() const noexcept { return why_; }

    // Calls the handler with the pending edges, if there are any. `this` may not be touched by the
    // caller's frame afterwards except to return.
    void deliver();

  private:
    event_loop& later_loop_;
    deferred later_;
    io_handler handler_;
    error why_{};
    io_flags levels_{};
    io_flags pending_{};
    bool inside_ = false;
};

}  // namespace libp
