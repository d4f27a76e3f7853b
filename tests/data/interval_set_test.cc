#include <gtest/gtest.h>
#include <libp/interval_set.h>

#include <set>
#include <vector>

#include "support/seed.h"

namespace libp {
namespace {

using range = interval_set::range;

std::vector<range> list_of(const interval_set& set) {
    std::vector<range> out;
    for (const auto& [begin, end] : set.ranges())
        out.push_back({begin, end});
    return out;
}

TEST(interval_set_test, merges_what_overlaps_or_touches) {
    interval_set set;
    EXPECT_EQ(set.insert(10, 20), 10u);
    EXPECT_EQ(set.insert(30, 40), 10u);
    EXPECT_EQ(set.insert(20, 30), 10u);
    EXPECT_EQ(list_of(set), (std::vector<range>{{10, 40}}));
    EXPECT_EQ(set.insert(5, 50), 15u);
    EXPECT_EQ(set.insert(7, 9), 0u);
    EXPECT_EQ(set.insert(60, 60), 0u);
    EXPECT_EQ(set.count(), 1u);
}

TEST(interval_set_test, the_whole_number_line) {
    interval_set set;
    const std::uint64_t top = ~std::uint64_t{0};
    EXPECT_EQ(set.insert(0, top), top);
    EXPECT_TRUE(set.contains(0, top));
}

TEST(interval_set_death_test, a_range_must_not_end_before_it_begins) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    interval_set set;
    EXPECT_DEATH(set.insert(2, 1), "ends before it begins");
}

// Random operations on a set of ranges and on a set of single points must agree about everything.
class point_model {
  public:
    std::uint64_t insert(std::uint64_t begin, std::uint64_t end) {
        std::uint64_t added = 0;
        for (; begin < end; ++begin)
            added += points_.insert(begin).second;
        return added;
    }
    bool contains(std::uint64_t begin, std::uint64_t end) const { return run_end(begin) >= end; }
    std::uint64_t run_end(std::uint64_t from) const {
        while (points_.count(from))
            ++from;
        return from;
    }
    range first_after(std::uint64_t from) const {
        const auto at = points_.lower_bound(from);
        return at == points_.end() ? range{0, 0} : range{*at, run_end(*at)};
    }
    std::vector<range> ranges() const {
        std::vector<range> out;
        for (range r = first_after(0); r.end != 0; r = first_after(r.end))
            out.push_back(r);
        return out;
    }
    std::size_t size() const { return points_.size(); }

  private:
    std::set<std::uint64_t> points_;
};

TEST(interval_set_test, agrees_with_a_set_of_points) {
    constexpr std::uint64_t line = 1000;
    for (const std::uint64_t seed : test_seeds(150)) {
        SCOPED_TRACE(seed_note(seed));
        test_random random(seed);
        interval_set set;
        point_model model;
        for (int step = 0; step < 120; ++step) {
            const std::uint64_t begin = random.below(line);
            const std::uint64_t end = begin + random.below(random.one_in(6) ? 60 : 7);
            ASSERT_EQ(set.insert(begin, end), model.insert(begin, end));
            const std::uint64_t from = random.below(line);
            const std::uint64_t to = from + random.below(10);
            ASSERT_EQ(set.contains(from, to), model.contains(from, to)) << from << ' ' << to;
            ASSERT_EQ(list_of(set), model.ranges());
            ASSERT_EQ(set.empty(), model.size() == 0);
        }
    }
}

}  // namespace
}  // namespace libp
