#include "stripe/send_stream.h"

#include <libp/assert.h>

#include <algorithm>
#include <utility>

namespace libp::stripe {

namespace {

// Writes smaller than this are copied together: a thousand of one byte are one slice then, and one byte does not hold the
// large block it was read into until the peer confirms it.
constexpr std::size_t small_write = 2 * kib;

}  // namespace

std::size_t send_stream::write(block_pool& blocks, chain& data, std::size_t room) {
    const std::size_t n = std::min(room, data.size());
    if (n == 0) return 0;
    if (n >= small_write) {
        data.move_front(unsent_, n);
        return n;
    }
    const std::size_t reserve = std::min<std::size_t>(unsent_.size(), 16 * kib);
    chain piece;
    data.move_front(piece, n);
    for (std::size_t i = 0; i < piece.slices(); ++i)
        unsent_.append_copy(blocks, piece[i].view(), reserve);
    return n;
}

bool send_stream::raise_limit(std::uint64_t limit) noexcept {
    if (limit <= limit_) return false;
    limit_ = limit;
    return true;
}

bool send_stream::has_new(std::size_t window) const noexcept {
    if (unsent_.empty()) return fin_wanted_ && !fin_sent_;
    return sent_ < limit_ && unconfirmed_ < window;
}

fragment send_stream::take_lost() {
    return std::move(lost_.extract(lost_.begin()).mapped());
}

fragment send_stream::take_new(std::size_t most, std::size_t window) {
    fragment f;
    f.offset = sent_;
    if (!unsent_.empty()) {
        check(sent_ < limit_ && unconfirmed_ < window, "a stream is sent beyond its bounds");
        const std::uint64_t n =
            std::min<std::uint64_t>({most, unsent_.size(), limit_ - sent_, window - unconfirmed_});
        unsent_.move_front(f.payload, static_cast<std::size_t>(n));
        sent_ += n;
        unconfirmed_ += static_cast<std::size_t>(n);
    }
    if (unsent_.empty() && fin_wanted_ && !fin_sent_) f.fin = fin_sent_ = true;
    return f;
}

// Splits off what ACKs cover; keeps the rest, and the FIN with whatever comes last.
void send_stream::keep_lost(fragment&& f, std::size_t& freed) {
    const auto drop = [&](std::uint64_t until) {
        const std::size_t n = std::min<std::uint64_t>(until - f.offset, f.payload.size());
        f.payload.drop_front(n);
        f.offset += n;
        f.summed = false;
        freed += n;
    };
    if (acked_up_to_ > f.offset) drop(acked_up_to_);
    while (!f.payload.empty()) {
        const interval_set::range r = acked_.first_after(f.offset);
        if (r.end == 0 || r.begin >= f.end()) break;
        if (r.begin == f.offset) {
            drop(r.end);
            continue;
        }
        fragment head;
        head.offset = f.offset;
        const std::size_t n = static_cast<std::size_t>(r.begin - f.offset);
        f.payload.move_front(head.payload, n);
        f.offset += n;
        f.summed = false;
        lost_.emplace(head.offset, std::move(head));
    }
    if (!f.payload.empty() || f.fin) lost_.emplace(f.offset, std::move(f));
}

std::size_t send_stream::lost(fragment&& f) {
    std::size_t freed = 0;
    if (fin_acked_) {
        freed = f.payload.size();
    } else {
        keep_lost(std::move(f), freed);
    }
    unconfirmed_ -= freed;
    return freed;
}

std::size_t send_stream::acknowledged(std::uint64_t up_to,
                                      const std::vector<interval_set::range>& ranges) {
    // ACKs overtake each other; the older says nothing new.
    if (up_to < acked_up_to_) return 0;
    acked_up_to_ = up_to;
    acked_.clear();
    for (const interval_set::range& r : ranges)
        acked_.insert(r.begin, r.end);
    std::size_t freed = 0;
    for (auto& [at, f] : std::exchange(lost_, {}))
        keep_lost(std::move(f), freed);
    unconfirmed_ -= freed;
    return freed;
}

std::size_t send_stream::fin_acknowledged() {
    const std::size_t freed = lost_bytes();
    lost_.clear();
    fin_acked_ = true;
    unconfirmed_ -= freed;
    return freed;
}

std::size_t send_stream::lost_bytes() const noexcept {
    std::size_t n = 0;
    for (const auto& [at, f] : lost_)
        n += f.payload.size();
    return n;
}

}  // namespace libp::stripe
