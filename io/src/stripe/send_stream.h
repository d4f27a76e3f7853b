#pragma once

// The sending half of a stream: bytes that were never sent, and fragments that were sent and are
// not known to have arrived.
//
// A fragment is what went into one DATA frame, and it stays as it was cut: sent again, on another
// subflow, it is the same frame. It is on one subflow or on several, or waits to be sent again, or
// both; it is forgotten as soon as the first of its copies is confirmed (confirmed data is never
// taken back: the peer's credit had room for it), wherever it stands: a peer that leaves one
// unconfirmed does not make us remember all those behind it. The FIN counts as a place behind the
// last byte.

#include <libp/chain.h>
#include <libp/interval_set.h>
#include <libp/time.h>

#include <bit>
#include <cstdint>
#include <map>
#include <set>
#include <vector>

namespace libp::stripe {

struct fragment {
    std::uint64_t offset = 0;
    std::uint64_t end = 0;
    chain payload;
    std::uint64_t on = 0;      // the places of the subflows that carry it, a bit each
    std::uint64_t behind = 0;  // the count of the last of them behind it
    instant sent{};            // when that was
    std::uint32_t crc = 0;
    std::uint8_t place = 0;  // which it was
    bool fin = false;
    bool summed = false;   // `crc` is the payload's
    bool waiting = false;  // to be sent again

    std::size_t size() const noexcept { return static_cast<std::size_t>(end - offset); }
    bool is_on(unsigned p) const noexcept { return (on >> p & 1) != 0; }
    int copies() const noexcept { return std::popcount(on); }
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

    // -- what may be sent now, with at most `window` bytes unconfirmed
    bool has_new(std::size_t window) const noexcept;
    std::uint64_t allowed(std::size_t window) const noexcept;
    // At most `most` bytes, and the FIN if they are the last.
    fragment& take_new(std::size_t most, std::size_t window);
    bool has_waiting() const noexcept { return !waiting_.empty(); }
    const fragment& next_waiting() const;
    fragment& take_waiting();

    // -- what became of it
    // nullptr if it is delivered.
    fragment* find(std::uint64_t offset) noexcept;
    // It has to be sent again, or once more.
    void wait(fragment& f);
    // Returns how many bytes that lets go of. `f` is gone then.
    std::size_t delivered(fragment& f);
    // An ACK; returns the same.
    std::size_t acknowledged(std::uint64_t up_to, const std::vector<interval_set::range>& ranges);
    // The ACK has FIN: nothing is left to be done.
    std::size_t fin_acknowledged();

    std::uint64_t sent() const noexcept { return sent_; }
    std::uint64_t limit() const noexcept { return limit_; }
    const chain& unsent() const noexcept { return unsent_; }
    std::size_t unconfirmed() const noexcept { return unconfirmed_; }
    std::size_t waiting_bytes() const noexcept { return waiting_bytes_; }
    bool fin_wanted() const noexcept { return fin_wanted_; }
    bool fin_sent() const noexcept { return fin_sent_; }
    bool fin_acked() const noexcept { return fin_acked_; }
    // By offset.
    const std::map<std::uint64_t, fragment>& outstanding() const noexcept { return outstanding_; }

    std::size_t bound = 0;  // of the unsent bytes, as the last write() had it
    bool wants_room =
        false;  // write() took less than it was offered, and nobody was told of room since
    bool more_follows = false;  // ... and the application has not come back yet

  private:
    using place = std::map<std::uint64_t, fragment>::iterator;
    place let_go(place at);
    void let_go_between(std::uint64_t begin, std::uint64_t end);

    chain unsent_;
    std::uint64_t sent_ = 0;  // unsent_ begins here
    std::uint64_t limit_;
    std::size_t unconfirmed_ = 0;  // of outstanding_
    std::size_t waiting_bytes_ = 0;
    bool fin_wanted_ = false, fin_sent_ = false, fin_acked_ = false;
    std::map<std::uint64_t, fragment> outstanding_;
    std::set<std::uint64_t> waiting_;  // offsets
};

}  // namespace libp::stripe
