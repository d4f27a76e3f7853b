#pragma once

// A set of half-open ranges [begin, end) of 64-bit offsets, kept sorted, disjoint and merged: which
// bytes of a stream have arrived, have been acknowledged, or must be sent again.
//
// Ranges that touch are merged, so the number of ranges is the number of gaps plus one. Insert and
// erase are O(log n + ranges touched).

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
    std::uint64_t total() const noexcept { return total_; }

    // Adds [begin, end); returns how many of its bytes were not there before. begin <= end.
    std::uint64_t insert(std::uint64_t begin, std::uint64_t end);
    // Removes [begin, end); returns how many bytes were there.
    std::uint64_t erase(std::uint64_t begin, std::uint64_t end);
    bool contains(std::uint64_t begin, std::uint64_t end) const noexcept;
    // The first range that ends after `from`, clipped to start at `from` or later; {0, 0} if there is none.
    range first_after(std::uint64_t from) const noexcept;
    // The end of the run of present bytes that starts at `from`; `from` itself if that byte is missing.
    std::uint64_t contiguous_end(std::uint64_t from) const noexcept;

    // begin -> end, ascending.
    const std::map<std::uint64_t, std::uint64_t>& ranges() const noexcept { return ranges_; }
    void clear() noexcept;

  private:
    std::map<std::uint64_t, std::uint64_t> ranges_;
    std::uint64_t total_ = 0;
};

}  // namespace libp
