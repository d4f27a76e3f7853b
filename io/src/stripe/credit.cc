#include "stripe/credit.h"

#include <libp/assert.h>

#include <algorithm>

namespace libp::stripe {

credit::credit(std::uint64_t budget, std::uint64_t floor, std::uint64_t first, std::uint64_t most,
               std::uint32_t max_streams) noexcept
    : budget_(budget),
      floor_(std::max<std::uint64_t>(floor, 1 * kib)),
      first_(std::max(first, floor_)),
      most_(std::max(most, first_)),
      max_streams_(max_streams) {}

std::uint64_t credit::charge(const window& w) const noexcept {
    if (!w.open) return 0;
    return w.final ? w.outstanding() : std::max(w.outstanding(), floor_);
}

template <class Change>
void credit::recount(window& w, Change change) noexcept {
    charged_ -= charge(w);
    granted_ -= w.open ? w.outstanding() : 0;
    change();
    charged_ += charge(w);
    granted_ += w.open ? w.outstanding() : 0;
    debug_check(granted_ <= charged_, "more was granted than is charged");
}

// What windows may still take above their floors. Newcomers' floors are kept free, within half of
// the budget: a stream that finds no floor is refused, a window that stays smaller is only slower.
std::uint64_t credit::room() const noexcept {
    const std::uint64_t newcomers = open_ < max_streams_ ? max_streams_ - open_ : 0;
    const std::uint64_t usable = budget_ - std::min(budget_ / 2, newcomers * floor_);
    return usable > charged_ ? usable - charged_ : 0;
}

bool credit::admit(window& w, std::uint64_t limit) noexcept {
    check(!w.open, "a window was admitted twice");
    const std::uint64_t needed = std::max(limit, floor_);
    if (charged_ > budget_ || needed > budget_ - charged_) return false;
    recount(w, [&] {
        w.open = true;
        w.limit = limit;
        w.size = needed;
    });
    ++open_;
    return true;
}

bool credit::admit_ahead(window& w, std::uint64_t limit) noexcept {
    limit = std::min(limit, room() / 16);
    return limit > floor_ && admit(w, limit);
}

void credit::raise(window& w, std::uint64_t limit) noexcept {
    if (limit > w.limit) recount(w, [&] { w.limit = limit; });
}

void credit::grant_first(window& w) noexcept {
    if (!w.open || w.final) return;
    w.size = std::clamp(room() / 4, floor_, first_);
    // The floor is charged already, so this fits whatever the room.
    raise(w, w.consumed + w.size);
}

bool credit::consume(window& w, std::uint64_t n) noexcept {
    check(n <= w.outstanding(), "more was read than was granted");
    recount(w, [&] { w.consumed += n; });
    if (w.final || w.outstanding() > w.size / 4 * 3) return false;
    // Where the room has become scarce the window shrinks to what there is.
    const std::uint64_t possible = charge(w) + room();
    w.size = std::min(w.size, std::max(floor_, possible));
    const std::uint64_t before = w.limit;
    raise(w, w.consumed + w.size);
    return w.limit != before;
}

bool credit::grow(window& w) noexcept {
    if (!w.open || w.final) return false;
    const std::uint64_t possible = std::max(floor_, charge(w) + room());
    const std::uint64_t size = std::min({2 * w.size, most_, possible});
    if (size <= w.size) return false;
    w.size = size;
    const std::uint64_t before = w.limit;
    raise(w, w.consumed + w.size);
    return w.limit != before;
}

void credit::finish(window& w, std::uint64_t final_size) noexcept {
    if (w.final) return;
    check(final_size <= w.limit && final_size >= w.consumed, "a stream ends outside its window");
    recount(w, [&] {
        w.final = true;
        w.limit = final_size;
    });
}

void credit::release(window& w) noexcept {
    if (!w.open) return;
    recount(w, [&] { w.open = false; });
    --open_;
}

bool credit::keep(std::uint64_t n) noexcept {
    if (charged_ > budget_ || n > budget_ - charged_ || kept_ + n > budget_ / 8) return false;
    kept_ += n;
    charged_ += n;
    return true;
}

void credit::let_go(std::uint64_t n) noexcept {
    check(n <= kept_, "more is let go of than was kept");
    kept_ -= n;
    charged_ -= n;
}

}  // namespace libp::stripe
