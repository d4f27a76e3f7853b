#pragma once

// The bridge: joins two pipes and moves bytes both ways until both directions have ended or one end
// broke.
//
//  -- what crosses, and how --
//
//     bytes        at most `window` bytes are held per direction; while the far end is congested,
//                  nothing more is received from the near one, which holds its peer back in turn. A
//                  datagram is received whole, so one may exceed the window
//     datagrams    one by one between two datagram pipes. From a stream to a datagram pipe, what
//                  was received becomes datagrams of at most max_datagram(); the other way their
//                  bytes run together, and a zero-length one is nothing. One that is too large for
//                  the far end breaks that (oversize): it is neither cut nor dropped
//     FIN          as FIN, behind all bytes; the other direction goes on
//     broken       as reset(): a cut is never an end. What was received before the break is passed
//                  on first as far as the far end takes it at once
//
// Two pipes that can splice move bulk inside the kernel: a direction begins by copying and turns to
// a splice_pipe from the pool once two receives in a row brought 64 KiB or more. The splice_pipe
// goes back when its burst is through, and a direction whose bursts have become small copies again;
// short messages never pay for it.
//
//  -- fairness --
//
// A turn of the loop moves at most `budget` bytes a direction (or one datagram); then the bridge
// defers itself. Tiny datagrams are counted as a few hundred bytes, for the work they are.
//
//  -- time --
//
// `idle` (0: none) ends a bridge on which nothing moved for that long, `linger` one that is half
// closed and on which nothing moved for that long. Timers are set once and looked at when due;
// bytes do not touch them.

#include <libp/event_loop.h>
#include <libp/io_pipe.h>
#include <libp/splice_pipe.h>

#include <memory>

namespace libp {

struct bridge_options {
    // Bytes a direction may always hold; bulk_window while all buffers of the loop together hold
    // less than `plenty`: few connections move bulk in large pieces, many stay within their share.
    std::size_t window = 256 * kib;
    static constexpr std::size_t bulk_window = 256 * kib;
    std::size_t plenty = 0;
    std::size_t budget = 1 * mib;
    splice_pool* splice = nullptr;  // nullptr: always copy. The pool outlives the bridge
    duration idle{0};
    duration linger{60s};
};

enum class bridge_side : std::uint8_t { none, a, b };

// How a bridge ended. Clean: no reason. Otherwise the side that broke, or none for a timeout or
// abort().
struct bridge_end {
    bridge_side side = bridge_side::none;
    error why{};
};

class io_bridge {
  public:
    // Owns both pipes; they may still be getting ready. Starts at once. `done` is called once, from
    // the loop, when it is over: its owner then reads end() and the counts, and retires the bridge.
    io_bridge(event_loop& loop, std::unique_ptr<io_pipe> a, std::unique_ptr<io_pipe> b,
              const bridge_options& options, delegate<void()> done);
    ~io_bridge();  // not done: both pipes are reset

    // Resets both pipes; done follows, with `why` in end().
    void abort(error why);

    bool over() const noexcept;
    // When both pipes had become ready; never while they have not. What one is writable for before
    // that is passed on all the same.
    instant ready_at() const noexcept;
    const bridge_end& end() const noexcept;
    std::uint64_t bytes_a_to_b() const noexcept;
    std::uint64_t bytes_b_to_a() const noexcept;
    // Bytes received and not yet passed on, both directions.
    std::size_t held() const noexcept;
    const io_pipe& a() const noexcept;
    const io_pipe& b() const noexcept;

  private:
    struct core;
    std::unique_ptr<core> core_;
};

}  // namespace libp
