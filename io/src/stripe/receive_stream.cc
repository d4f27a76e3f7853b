#include "stripe/receive_stream.h"

#include <libp/assert.h>
#include <libp/stripe/wire.h>

#include <algorithm>
#include <iterator>

namespace libp::stripe {

namespace {

// Below this a piece that will be held is copied to where its neighbours are.
constexpr std::size_t small_piece = 16 * kib;
// A piece may pin a block of at most this many times its size.
constexpr std::size_t pin_factor = 4;

bool pins_too_much(const chain& piece) noexcept {
    std::size_t pinned = 0;
    for (std::size_t i = 0; i < piece.slices(); ++i)
        if (piece[i].owner) pinned += piece[i].owner->capacity();
    return pinned / pin_factor > piece.size();
}

// Joins `piece` to the end of `to`, copying it if `copy`.
void join(block_pool& blocks, chain& to, chain&& piece, bool copy) {
    if (!copy) {
        to.append(std::move(piece));
        return;
    }
    // Blocks grow with what is collected, so that neither one byte nor a thousand waste much; but
    // not far, because what comes next may have a block of its own, and then the rest of this one
    // stays empty.
    const std::size_t reserve = std::min<std::size_t>(to.size(), 4 * kib);
    for (std::size_t i = 0; i < piece.slices(); ++i)
        to.append_copy(blocks, piece[i].view(), reserve);
    piece.clear();
}

// Two runs meet. Each may end there in a small piece with a block of its own: those are put
// together. And the shorter goes to the longer, or a peer that sends backwards would have the same
// long run moved again and again.
void unite(block_pool& blocks, chain& low, chain&& high) {
    if (!low.empty() && high[0].size < small_piece) {
        chain first;
        high.move_front(first, high[0].size);
        join(blocks, low, std::move(first), true);
    }
    if (low.slices() >= high.slices()) {
        low.append(std::move(high));
    } else {
        high.prepend(std::move(low));
        low = std::move(high);
    }
}

}  // namespace

receive_stream::verdict receive_stream::check_final(std::uint64_t final_size) const noexcept {
    if (final_ ? *final_ != final_size : final_size < highest_) return verdict::final_size;
    if (final_size > window.limit) return verdict::flow_control;
    return verdict::ok;
}

receive_stream::verdict receive_stream::accept(block_pool& blocks, std::uint64_t offset,
                                               chain&& payload, bool fin, bool& repeated) {
    if (payload.size() > UINT64_MAX - offset) return verdict::flow_control;
    const std::uint64_t end = offset + payload.size();
    if (final_ && end > *final_) return verdict::final_size;
    if (end > window.limit) return verdict::flow_control;
    if (fin) {
        if (verdict v = check_final(end); v != verdict::ok) return v;
        if (final_ && payload.empty()) repeated = true;
        final_ = end;
    }
    highest_ = std::max(highest_, end);

    std::uint64_t at = offset;
    while (!payload.empty()) {
        // Where `at` stands is: below next_ (had that), at next_ (deliver), in a parked range (had
        // that), or in a gap (park).
        const auto above = parked_.upper_bound(at);
        std::uint64_t had_until = next_;
        if (above != parked_.begin()) {
            const auto below = std::prev(above);
            had_until = std::max<std::uint64_t>(had_until, below->first + below->second.size());
        }
        if (at < had_until) {
            const std::size_t n = std::min<std::uint64_t>(had_until - at, payload.size());
            payload.drop_front(n);
            at += n;
            repeated = true;
            continue;
        }
        const std::uint64_t gap_end = above == parked_.end() ? UINT64_MAX : above->first;
        chain piece;
        const std::size_t n = std::min<std::uint64_t>(gap_end - at, payload.size());
        payload.move_front(piece, n);
        if (at == next_) {
            deliver(blocks, std::move(piece));
        } else {
            park(blocks, at, std::move(piece));
        }
        at += n;
    }
    return parked_.size() > most_ranges() ? verdict::too_many_ranges : verdict::ok;
}

void receive_stream::deliver(block_pool& blocks, chain&& piece) {
    // An application that keeps up reads large pieces before the next comes; they are worth no
    // copy.
    const bool copy = pins_too_much(piece) || (!ready_.empty() && piece.size() < small_piece / 4);
    next_ += piece.size();
    join(blocks, ready_, std::move(piece), copy);
    absorb(blocks);
}

// What was parked right at next_ is in order now.
void receive_stream::absorb(block_pool& blocks) {
    while (!parked_.empty() && parked_.begin()->first == next_) {
        chain& front = parked_.begin()->second;
        next_ += front.size();
        parked_bytes_ -= front.size();
        unite(blocks, ready_, std::move(front));
        parked_.erase(parked_.begin());
    }
}

void receive_stream::park(block_pool& blocks, std::uint64_t at, chain&& piece) {
    const std::size_t n = piece.size();
    parked_bytes_ += n;
    const bool copy = n < small_piece || pins_too_much(piece);
    auto above = parked_.upper_bound(at);
    if (above != parked_.begin()) {
        const auto below = std::prev(above);
        if (below->first + below->second.size() == at) {
            join(blocks, below->second, std::move(piece), copy);
            if (above != parked_.end() && above->first == at + n) {
                unite(blocks, below->second, std::move(above->second));
                parked_.erase(above);
            }
            return;
        }
    }
    chain kept;
    join(blocks, kept, std::move(piece), copy);
    if (above != parked_.end() && above->first == at + n) {
        unite(blocks, kept, std::move(above->second));
        above = parked_.erase(above);
    }
    parked_.emplace_hint(above, at, std::move(kept));
}

// Ranges are bookkeeping the window does not count; what an honest sender needs is far less. All
// streams together: see the engine's most_ranges().
std::size_t receive_stream::most_ranges() const noexcept {
    return wire::ranges_max + window.size / 2048;
}

std::vector<receive_stream::range> receive_stream::parked(std::size_t most) const {
    std::vector<range> out;
    for (const auto& [at, piece] : parked_) {
        if (out.size() == most) break;
        out.push_back({at, at + piece.size()});
    }
    return out;
}

void receive_stream::check_invariants() const {
    std::uint64_t last = next_;
    std::size_t bytes = 0;
    for (const auto& [at, piece] : parked_) {
        check(at > last, "parked ranges touch");
        check(!piece.empty(), "an empty range is parked");
        last = at + piece.size();
        bytes += piece.size();
    }
    check(bytes == parked_bytes_, "parked bytes are miscounted");
    check(last <= highest_ && highest_ <= window.limit, "more is held than was granted");
    check(!final_ || highest_ <= *final_, "bytes beyond the end are held");
    check(next_ - ready_.size() == window.consumed, "what was read and what is left do not add up");
}

}  // namespace libp::stripe
