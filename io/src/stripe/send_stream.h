#pragma once

// The sending half of a stream: bytes that were never sent, and pieces that were sent and lost with a subflow.
//
// What is in flight belongs to the subflow it was sent on (subflow.h), so every byte of the stream is in exactly one place:
// unsent, on one subflow, lost and waiting here, or confirmed. The FIN counts as a place behind the last byte.

#include <libp/chain.h>
#include <libp/interval_set.h>

#include <cstdint>
#include <map>
#include <vector>

namespace libp::stripe {

// What goes into one DATA frame, and is kept until it is confirmed.
struct fragment {
    std::uint64_t offset = 0;
    chain payload;
    bool fin = false;
    bool summed = false;  // `crc` is the payload's
    std::uint32_t crc = 0;

    std::uint64_t end() const noexcept { return offset + payload.size(); }
};

class send_stream {
  public:
    explicit send_stream(std::uint64_t limit) noexcept : limit_(limit) {}

    // -- the application's side
    std::size_t write(block_pool& blocks, chain& data, std::size_t room);
    void finish() noexcept { fin_wanted_ = true; }

    // -- credit
    // The greatest counts. True if it was raised.
    bool raise_limit(std::uint64_t limit) noexcept;
    // There is more to send and the limit is what holds it back.
    bool blocked() const noexcept { return !unsent_.empty() && sent_ >= limit_; }

    // -- what may be sent now, with at most `window` bytes unconfirmed
    bool has_lost() const noexcept { return !lost_.empty(); }
    bool has_new(std::size_t window) const noexcept;
    fragment take_lost();
    // At most `most` bytes, and the FIN if they are the last.
    fragment take_new(std::size_t most, std::size_t window);

    // -- what became of it
    void confirmed(std::size_t bytes) noexcept { unconfirmed_ -= bytes; }
    // Its subflow died. Returns how many bytes need not be sent again, because an ACK covers them.
    std::size_t lost(fragment&& f);
    // An ACK: returns how many lost bytes it confirms.
    std::size_t acknowledged(std::uint64_t up_to, const std::vector<interval_set::range>& ranges);
    // The ACK has FIN: nothing is left to be done. Returns the lost bytes that were let go of.
    std::size_t fin_acknowledged();

    std::uint64_t sent() const noexcept { return sent_; }
    std::uint64_t limit() const noexcept { return limit_; }
    const chain& unsent() const noexcept { return unsent_; }
    std::size_t unconfirmed() const noexcept { return unconfirmed_; }
    std::size_t lost_bytes() const noexcept;
    bool fin_wanted() const noexcept { return fin_wanted_; }
    bool fin_sent() const noexcept { return fin_sent_; }
    bool fin_acked() const noexcept { return fin_acked_; }
    const std::map<std::uint64_t, fragment>& lost_fragments() const noexcept { return lost_; }

    std::size_t bound = 0;           // of the unsent bytes, as the last write() had it
    bool wants_room = false;         // write() took less than it was offered
    std::uint64_t blocked_told = 0;  // BLOCKED was sent for this limit

  private:
    void keep_lost(fragment&& f, std::size_t& freed);

    chain unsent_;
    std::uint64_t sent_ = 0;  // unsent_ begins here
    std::uint64_t limit_;
    std::size_t unconfirmed_ = 0;  // in flight or lost
    bool fin_wanted_ = false, fin_sent_ = false, fin_acked_ = false;
    std::map<std::uint64_t, fragment> lost_;  // by offset, disjoint
    std::uint64_t acked_up_to_ = 0;
    interval_set acked_;  // the ranges of the latest ACK
};

}  // namespace libp::stripe
