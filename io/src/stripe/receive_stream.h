#pragma once

// The receiving half of a stream: puts what arrives, in any order, twice or cut differently, back
// into the one order it was sent in.
//
// Invariants: parked ranges are disjoint, do not touch, and lie above next(); ready() ends at
// next(); what is held (ready and parked) is never more than the window's limit - consumed, so
// credit bounds it. Pieces that would pin a much larger block are copied.

#include <libp/block.h>
#include <libp/chain.h>

#include "stripe/credit.h"

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace libp::stripe {

class receive_stream {
  public:
    enum class verdict : std::uint8_t { ok, flow_control, final_size, too_many_ranges };

    struct range {
        std::uint64_t begin, end;
    };

    // DATA came. `repeated` is set if some of it had come before.
    verdict accept(block_pool& blocks, std::uint64_t offset, chain&& payload, bool fin,
                   bool& repeated);
    // RST says how much was sent.
    verdict check_final(std::uint64_t final_size) const noexcept;

    // In order and unread.
    chain& ready() noexcept { return ready_; }
    const chain& ready() const noexcept { return ready_; }
    std::uint64_t next() const noexcept { return next_; }
    std::optional<std::uint64_t> final_size() const noexcept { return final_; }
    // Everything has come, and the FIN.
    bool complete() const noexcept { return final_ && next_ == *final_; }
    std::size_t held() const noexcept { return ready_.size() + parked_bytes_; }
    // How many ranges are parked. Each costs a block and a node, however small it is.
    std::size_t ranges() const noexcept { return parked_.size(); }
    // The first of the parked ranges, for an ACK.
    std::vector<range> parked(std::size_t most) const;

    void check_invariants() const;

    struct window window;
    bool fin_read = false;       // the application was told of the FIN
    bool told_readable = false;  // an event is out; none more before the application found nothing

  private:
    void deliver(block_pool& blocks, chain&& piece);
    void park(block_pool& blocks, std::uint64_t at, chain&& piece);
    void absorb(block_pool& blocks);
    std::size_t most_ranges() const noexcept;

    chain ready_;
    std::uint64_t next_ = 0;     // everything below has come
    std::uint64_t highest_ = 0;  // the end of the farthest byte that came
    std::optional<std::uint64_t> final_;
    std::map<std::uint64_t, chain> parked_;
    std::size_t parked_bytes_ = 0;
};

}  // namespace libp::stripe
