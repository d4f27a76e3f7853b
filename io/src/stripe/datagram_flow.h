#pragma once

// The two halves of a datagram flow: what waits to be sent, what came and was not read, and which
// numbers came.
//
// Nothing here is ever sent again or put in order, and nobody waits for room: a queue that is full
// lets go of its oldest datagram, for what is new is worth more than what is late. A datagram
// counts what it costs to keep, which for small ones is more than they are.
//
// What waits to be sent is let wait for little: 64 datagrams of 128 KiB. What came is read in the
// same turn of the loop, if anybody reads at all, so its queue is to hold what comes in one turn.

#include <libp/chain.h>
#include <libp/stripe/engine.h>
#include <libp/time.h>

#include "stripe/leaky_bucket.h"

#include <array>
#include <cstdint>
#include <deque>

namespace libp::stripe {

struct datagram {
    chain payload;
    std::uint64_t number = 0;  // of its flow
    instant deadline = never;  // later it is not sent, or not read
    instant expires = never;   // later it is worth nothing: what the peer is told
    std::uint32_t crc = 0;
    bool summed = false;  // `crc` is the payload's

    // Sent once; what waits is a second copy, which is to go another way than by that subflow.
    bool copy = false;
    std::uint8_t place = 0;
    std::uint32_t path = 0;

    static constexpr std::size_t overhead = 512;
    std::size_t cost() const noexcept { return payload.size() + overhead; }
};

class datagram_queue {
  public:
    // It holds at most `most` datagrams, of most_bytes together.
    datagram_queue(std::size_t most, std::size_t most_bytes) noexcept
        : most_(most), most_bytes_(most_bytes) {}

    bool empty() const noexcept { return all_.empty(); }
    std::size_t size() const noexcept { return all_.size(); }
    // Of payload.
    std::size_t bytes() const noexcept { return bytes_; }
    std::size_t cost() const noexcept { return bytes_ + size() * datagram::overhead; }
    bool has_room(std::size_t payload) const noexcept {
        return size() < most_ && bytes_ + payload <= most_bytes_;
    }
    const datagram& operator[](std::size_t i) const noexcept { return all_[i]; }
    datagram& at(std::size_t i) noexcept { return all_[i]; }

    void push(datagram&& d);
    datagram take(std::size_t i);

    void check_invariants() const;

  private:
    const std::size_t most_, most_bytes_;
    std::deque<datagram> all_;
    std::size_t bytes_ = 0;
};

// Which of the last numbers came: of so many that a fast flow over unequal paths may be out of
// order by as much. (RFC 6479: a ring of words, of which the oldest are cleared whole, so that a
// number far ahead costs little.)
class number_window {
    static constexpr std::uint64_t words = 128;

  public:
    static constexpr std::uint64_t size = (words - 1) * 64;

    // False: it came before, or is too far behind to know.
    bool admit(std::uint64_t number) noexcept;

  private:
    std::array<std::uint64_t, words> seen_{};
    std::uint64_t last_ = 0;  // the greatest that came, or 0
};

struct datagram_flow {
    datagram_queue out{64, 128 * kib};
    datagram_queue in{1024, 1 * mib};
    number_window seen;
    std::uint64_t next_number = 0;
    bool twice = false;      // copies are sent, as long as it is small
    duration ttl{0};         // as OPEN said, for the peer to know
    bool finishing = false;  // the FIN follows what is in `out`
    datagram_stats stats;

    // While it is within this somebody speaks: 64 kbit/s, and a little so that a flow of exactly
    // that is.
    leaky_bucket small{8 * kib, 8 * kib};
};

}  // namespace libp::stripe
