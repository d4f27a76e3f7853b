#include "stripe/send_stream.h"

#include <libp/assert.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace libp::stripe {

namespace {

// Writes smaller than this are copied together: a thousand of one byte are one slice then, and one
// byte does not hold the large block it was read into until the peer confirms it.
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
    return allowed(window) > 0;
}

std::uint64_t send_stream::allowed(std::size_t window) const noexcept {
    if (sent_ >= limit_ || unconfirmed_ >= window) return 0;
    return std::min<std::uint64_t>(limit_ - sent_, window - unconfirmed_);
}

fragment& send_stream::take_new(std::size_t most, std::size_t window) {
    fragment& f = outstanding_[sent_];
    f.offset = sent_;
    if (!unsent_.empty()) {
        const std::uint64_t n = std::min<std::uint64_t>({most, unsent_.size(), allowed(window)});
        check(n > 0, "a stream is sent beyond its bounds");
        unsent_.move_front(f.payload, static_cast<std::size_t>(n));
        sent_ += n;
        unconfirmed_ += static_cast<std::size_t>(n);
    }
    f.end = sent_;
    if (unsent_.empty() && fin_wanted_ && !fin_sent_) f.fin = fin_sent_ = true;
    return f;
}

// -- what was sent --------------------------------------------------------------------------------

fragment* send_stream::find(std::uint64_t offset) noexcept {
    const auto at = outstanding_.find(offset);
    return at == outstanding_.end() ? nullptr : &at->second;
}

void send_stream::wait(fragment& f) {
    if (std::exchange(f.waiting, true)) return;
    waiting_.insert(f.offset);
    waiting_bytes_ += f.size();
}

const fragment& send_stream::next_waiting() const {
    return outstanding_.at(*waiting_.begin());
}

fragment& send_stream::take_waiting() {
    fragment& f = outstanding_.at(*waiting_.begin());
    waiting_.erase(waiting_.begin());
    waiting_bytes_ -= f.size();
    f.waiting = false;
    return f;
}

send_stream::place send_stream::let_go(place at) {
    const fragment& f = at->second;
    if (f.waiting) {
        waiting_.erase(f.offset);
        waiting_bytes_ -= f.size();
    }
    unconfirmed_ -= f.size();
    return outstanding_.erase(at);
}

std::size_t send_stream::delivered(fragment& f) {
    const std::size_t n = f.size();
    let_go(outstanding_.find(f.offset));
    return n;
}

// A fragment that is covered in part stays whole. So does one with the FIN: only an ACK with FIN
// covers that.
void send_stream::let_go_between(std::uint64_t begin, std::uint64_t end) {
    for (place at = outstanding_.lower_bound(begin);
         at != outstanding_.end() && at->second.end <= end;)
        at = at->second.fin ? std::next(at) : let_go(at);
}

std::size_t send_stream::acknowledged(std::uint64_t up_to,
                                      const std::vector<interval_set::range>& ranges) {
    const std::size_t before = unconfirmed_;
    let_go_between(0, up_to);
    for (const interval_set::range& r : ranges)
        let_go_between(r.begin, r.end);
    return before - unconfirmed_;
}

std::size_t send_stream::fin_acknowledged() {
    const std::size_t freed = unconfirmed_;
    outstanding_.clear();
    waiting_.clear();
    waiting_bytes_ = 0;
    unconfirmed_ = 0;
    fin_acked_ = true;
    return freed;
}

}  // namespace libp::stripe
