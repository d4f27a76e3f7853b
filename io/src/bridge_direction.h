#pragma once

// One direction of a bridge: what was received from one pipe and not yet sent to the other.
//
//  -- order --
//
// Nothing is received while anything is held, and nothing while the far end is not writable. So at
// most one receive's worth is ever held, in one of two places: the chain, or (spliced) the kernel
// pipe.
//
//  -- copying and splicing --
//
//     copying   -> splicing   two receives in a row brought bulk_receive bytes or more
//     splicing  -> copying    a few bursts in a row brought less than that, or there is no kernel
//                             pipe to be had
//
// While splicing, a kernel pipe is held only from a burst's first byte until the source has run
// dry.
//
//  -- what it knows --
//
// The fin states are the pipes' own flags: `from` has fin_rcvd, then `to` has fin_wanted.

#include <libp/io_pipe.h>
#include <libp/splice_pipe.h>

#include <cstdint>
#include <memory>

namespace libp {

class bridge_direction {
  public:
    // What a receive must bring, twice in a row, to count as bulk.
    static constexpr std::size_t bulk_receive = 64 * kib;
    // What any send or FIN costs of the budget at least: a flood of tiny datagrams is work too.
    static constexpr std::size_t least_cost = 256;

    bridge_direction(io_pipe& from, io_pipe& to, splice_pool* pool) noexcept;
    ~bridge_direction();
    bridge_direction(const bridge_direction&) = delete;
    bridge_direction& operator=(const bridge_direction&) = delete;

    struct progress {
        std::size_t spent = 0;  // of the budget
        bool moved = false;     // a byte, a datagram or the FIN, in or out
        bool more = false;      // stopped by the budget and by nothing else
    };
    // Moves what can be moved at once: at most `budget` bytes, `window` at a time.
    progress pump(std::size_t window, std::size_t budget);

    std::size_t held() const noexcept;
    std::uint64_t passed() const noexcept { return passed_; }

  private:
    bool holds() const noexcept;
    bool can_receive() const noexcept;
    bool receive(std::size_t max, progress& p);
    bool pass_on(progress& p);
    io_result send_held();
    void pass_fin(progress& p);
    bool want_splice() noexcept;
    void note_receive(std::size_t received) noexcept;
    void end_burst() noexcept;

    io_pipe& from_;
    io_pipe& to_;
    splice_pool* pool_;
    std::unique_ptr<splice_pipe> kernel_;
    chain held_;
    std::uint64_t passed_ = 0;
    std::size_t burst_ = 0;  // bytes spliced since the kernel pipe was taken
    // Copying: bulk receives in a row. Splicing: lean bursts in a row.
    std::uint8_t streak_ = 0;
    bool splicing_ = false;
    bool pending_ = false;  // held_ is one datagram (it may be empty) for a datagram pipe
};

}  // namespace libp
