#include "happy_eyeballs.h"

#include <gtest/gtest.h>

namespace libp {
namespace {

std::vector<std::string> interleaved(std::initializer_list<const char*> texts) {
    std::vector<socket_address> in;
    for (const char* t : texts)
        in.push_back(*socket_address::parse(t));
    std::vector<std::string> out;
    for (const socket_address& a : interleave_families(in))
        out.push_back(a.to_string());
    return out;
}

using texts = std::vector<std::string>;

TEST(interleave_families, alternates_from_the_preferred_one_on) {
    EXPECT_EQ(interleaved({"[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"}),
              (texts{"[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"}));
    EXPECT_EQ(interleaved({"1.1.1.1:1", "[::1]:1", "[::2]:1", "[::3]:1"}),
              (texts{"1.1.1.1:1", "[::1]:1", "[::2]:1", "[::3]:1"}));
    EXPECT_EQ(interleaved({"1.1.1.1:1", "2.2.2.2:1"}), (texts{"1.1.1.1:1", "2.2.2.2:1"}));
    EXPECT_EQ(interleaved({}), texts{});
}

constexpr instant start = instant{} + 1h;

TEST(happy_eyeballs, begins_one_attempt_each_stagger) {
    happy_eyeballs race(3, 250ms);
    EXPECT_EQ(race.begin(start), 0u);
    EXPECT_EQ(race.begin(start), std::nullopt);
    EXPECT_EQ(race.due(), start + 250ms);
    EXPECT_EQ(race.begin(start + 249ms), std::nullopt);
    EXPECT_EQ(race.begin(start + 260ms), 1u);
    EXPECT_EQ(race.due(), start + 510ms);
    EXPECT_EQ(race.begin(start + 510ms), 2u);
    EXPECT_EQ(race.due(), never);
    EXPECT_EQ(race.begin(start + 1h), std::nullopt);
    EXPECT_FALSE(race.lost());
}

TEST(happy_eyeballs, a_failure_lets_the_next_begin_at_once) {
    happy_eyeballs race(3, 250ms);
    EXPECT_EQ(race.begin(start), 0u);
    race.failed(0, {reason::refused, 0});
    EXPECT_LE(race.due(), start + 1ms);
    EXPECT_EQ(race.begin(start + 1ms), 1u);
    EXPECT_EQ(race.begin(start + 1ms), std::nullopt);
    EXPECT_EQ(race.due(), start + 251ms);
}

TEST(happy_eyeballs, is_lost_when_all_failed_with_the_first_ones_error) {
    happy_eyeballs race(2, 250ms);
    EXPECT_EQ(race.begin(start), 0u);
    EXPECT_EQ(race.begin(start + 250ms), 1u);
    race.failed(1, {reason::unreachable, 0});
    EXPECT_FALSE(race.lost());
    race.failed(0, {reason::refused, 0});
    EXPECT_TRUE(race.lost());
    EXPECT_EQ(race.why().why, reason::refused);
    EXPECT_EQ(race.due(), never);
}

}  // namespace
}  // namespace libp
