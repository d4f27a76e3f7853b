#include <libp/interval_set.h>

#include <libp/assert.h>

#include <algorithm>
#include <iterator>

namespace libp {

namespace {

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
    return last - at->first - there;
}

bool interval_set::contains(std::uint64_t begin, std::uint64_t end) const noexcept {
    if (begin == end) return true;
    const auto at = first_reaching(ranges_, begin, false);
    return at != ranges_.end() && at->first <= begin && end <= at->second;
}

}  // namespace libp
