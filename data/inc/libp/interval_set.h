#pragma once

// A set of numbers that only grows, kept as half-open ranges [begin, end), sorted and disjoint: a
// session's engine has the ids in it that its peer ever used for streams.
//
// Ranges that touch are merged, so the number of ranges is the number of gaps plus one. Insert is
// O(log n + ranges touched).

#include <cstdint>
#include <map>

namespace libp {

class interval_set {
  public:
    struct range {
        std::uint64_t begin;
        std::uint64_t end;
        friend bool operator==(const range&, const range&) = default;
    };

    bool empty() const noexcept { return ranges_.empty(); }
    std::size_t count() const noexcept { return ranges_.size(); }

    // Adds [begin, end); returns how many of its numbers were not there before. begin <= end.
    std::uint64_t insert(std::uint64_t begin, std::uint64_t end);
    bool contains(std::uint64_t begin, std::uint64_t end) const noexcept;

    // begin -> end, ascending.
    const std::map<std::uint64_t, std::uint64_t>& ranges() const noexcept { return ranges_; }

  private:
    std::map<std::uint64_t, std::uint64_t> ranges_;
};

}  // namespace libp
