#include <libp/interval_set.h>

#include <libp/assert.h>

#include <algorithm>
#include <iterator>

namespace libp {

namespace {

using range_map = std::map<std::uint64_t, std::uint64_t>;

// The first range whose end is past `from`; one that merely ends there counts if `touching`.
template <class Map>
auto first_reaching(Map& ranges, std::uint64_t from, bool touching) noexcept {
    auto at = ranges.upper_bound(from);
    if (at == ranges.begin()) return at;
    const auto before = std::prev(at);
    return before->second > from || (touching && before->second == from) ? before : at;
}

}  // namespace

std::uint64_t interval_set::insert(std::uint64_t begin, std::uint64_t end) {
    check(begin <= end, "a range ends before it begins");
    if (begin == end) return 0;
    auto at = first_reaching(ranges_, begin, true);
    if (at == ranges_.end() || at->first > end) {
        ranges_.emplace_hint(at, begin, end);
        total_ += end - begin;
        return end - begin;
    }
    // `at` grows to cover the new range and everything that touches it: no allocation.
    std::uint64_t there = at->second - at->first;
    std::uint64_t last = std::max(end, at->second);
    for (auto next = std::next(at); next != ranges_.end() && next->first <= end;
         next = ranges_.erase(next)) {
        there += next->second - next->first;
        last = std::max(last, next->second);
    }
    if (begin < at->first) {
        const auto hint = std::next(at);
        auto node = ranges_.extract(at);
        node.key() = begin;
        at = ranges_.insert(hint, std::move(node));
    }
    at->second = last;
    const std::uint64_t added = last - at->first - there;
    total_ += added;
    return added;
}

std::uint64_t interval_set::erase(std::uint64_t begin, std::uint64_t end) {
    check(begin <= end, "a range ends before it begins");
    if (begin == end) return 0;
    std::uint64_t removed = 0;
    auto at = first_reaching(ranges_, begin, false);
    while (at != ranges_.end() && at->first < end) {
        const auto [old_begin, old_end] = *at;
        removed += std::min(end, old_end) - std::max(begin, old_begin);
        auto next = std::next(at);
        // What sticks out on the right becomes a range of its own, the left keeps the node.
        if (old_end > end) next = ranges_.emplace_hint(next, end, old_end);
        if (old_begin < begin) {
            at->second = begin;
        } else {
            ranges_.erase(at);
        }
        at = next;
    }
    total_ -= removed;
    return removed;
}

bool interval_set::contains(std::uint64_t begin, std::uint64_t end) const noexcept {
    if (begin == end) return true;
    const auto at = first_reaching(ranges_, begin, false);
    return at != ranges_.end() && at->first <= begin && end <= at->second;
}

interval_set::range interval_set::first_after(std::uint64_t from) const noexcept {
    const auto at = first_reaching(ranges_, from, false);
    if (at == ranges_.end()) return {0, 0};
    return {std::max(from, at->first), at->second};
}

std::uint64_t interval_set::contiguous_end(std::uint64_t from) const noexcept {
    const auto at = first_reaching(ranges_, from, false);
    return at != ranges_.end() && at->first <= from ? at->second : from;
}

void interval_set::clear() noexcept {
    ranges_.clear();
    total_ = 0;
}

}  // namespace libp
