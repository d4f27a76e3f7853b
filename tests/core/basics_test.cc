// The small types of core: assertions, results, flags, delegates, endian, time.

#include <gtest/gtest.h>
#include <libp/assert.h>
#include <libp/delegate.h>
#include <libp/endian.h>
#include <libp/flags.h>
#include <libp/number.h>
#include <libp/result.h>
#include <libp/time.h>
#include <libp/types.h>
#include <libp/version.h>

#include <cstdio>
#include <memory>

namespace libp {
namespace {

TEST(assert_test, a_check_that_holds_says_nothing) {
    check(true, "never printed");
}

TEST(assert_death_test, a_check_that_fails_says_where_and_what) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(check(false, "two and two are five"),
                 "^bug: .*basics_test.cc:[0-9]+: two and two are five\n");
}

TEST(assert_death_test, a_debug_check_is_there_in_debug_builds_only) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    if (debug_build) {
        EXPECT_DEATH(debug_check(false, "only here"), "only here");
    } else {
        debug_check(false, "compiled out");
    }
}

TEST(result_test, holds_a_value_or_an_error) {
    result<std::string> good = std::string("yes");
    ASSERT_TRUE(good);
    EXPECT_EQ(*good, "yes");
    EXPECT_EQ(good->size(), 3u);
    EXPECT_FALSE(good.error());

    result<std::string> bad = error{reason::refused, 111};
    EXPECT_FALSE(bad);
    EXPECT_EQ(bad.error().why, reason::refused);
    EXPECT_EQ(bad.error().os_errno, 111);
}

TEST(result_test, carries_what_can_only_be_moved) {
    result<std::unique_ptr<int>> r = std::make_unique<int>(7);
    std::unique_ptr<int> taken = *std::move(r);
    EXPECT_EQ(*taken, 7);
}

TEST(result_death_test, the_value_of_a_failure_is_a_bug) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    result<int> bad = error{reason::limit};
    EXPECT_DEATH((void)*bad, "the value of a failed result was used");
    EXPECT_DEATH(std::ignore = result<int>(error{}), "needs a reason");
}

enum class door_flag : std::uint8_t { open = 1, locked = 2, painted = 4 };

TEST(flags_test, are_a_typed_set) {
    flags<door_flag> f;
    EXPECT_TRUE(f.none());
    f.set(door_flag::open).set(door_flag::painted);
    EXPECT_TRUE(f.has(door_flag::open));
    EXPECT_FALSE(f.has(door_flag::locked));
    EXPECT_EQ(f.raw(), 5);
    f.put(door_flag::open, false).put(door_flag::locked, true);
    EXPECT_EQ(f, flags<door_flag>(door_flag::locked) | door_flag::painted);
    EXPECT_EQ(f - door_flag::locked, flags<door_flag>(door_flag::painted));
    EXPECT_TRUE((f & door_flag::open).none());
    EXPECT_EQ(flags<door_flag>::from_raw(6), f);
}

struct counter {
    int total = 0;
    void add(int n) { total += n; }
    int twice() const { return 2 * total; }
};

TEST(delegate_test, calls_methods_and_callables) {
    EXPECT_FALSE(delegate<void()>());
    counter c;
    auto add = delegate<void(int)>::to<&counter::add>(c);
    ASSERT_TRUE(add);
    add(3);
    auto copy = add;
    copy(4);
    EXPECT_EQ(c.total, 7);
    const counter& fixed = c;
    EXPECT_EQ(delegate<int()>::to<&counter::twice>(fixed)(), 14);

    int seen = 0;
    const auto note = [&seen](int n) { seen = n; };
    delegate<void(int)>::of(note)(9);
    EXPECT_EQ(seen, 9);
    auto take = [&seen](std::unique_ptr<int> p) { seen = *p; };
    delegate<void(std::unique_ptr<int>)>::of(take)(std::make_unique<int>(5));
    EXPECT_EQ(seen, 5);
}

TEST(endian_test, the_wire_is_big_endian_at_any_alignment) {
    for (std::size_t at = 0; at < 8; ++at) {
        std::uint8_t wire[16] = {};
        store_be64(wire + at, 0x0102030405060708);
        for (std::size_t i = 0; i < 8; ++i)
            EXPECT_EQ(wire[at + i], i + 1);
        EXPECT_EQ(load_be64(wire + at), 0x0102030405060708u);
        EXPECT_EQ(load_be32(wire + at), 0x01020304u);
        EXPECT_EQ(load_be16(wire + at), 0x0102u);
        store_be32(wire + at, 0xfffefdfc);
        EXPECT_EQ(load_be32(wire + at), 0xfffefdfcu);
        EXPECT_EQ(wire[at + 4], 5);
    }
}

TEST(time_test, adding_stops_at_never) {
    const instant start{};
    EXPECT_EQ(saturating_add(start, 5ms), start + 5ms);
    EXPECT_EQ(saturating_add(start + 5ms, -2ms), start + 3ms);
    EXPECT_EQ(saturating_add(start + 1ns, duration::max()), never);
    EXPECT_EQ(saturating_add(never - 1ns, 1ns), never);
    EXPECT_EQ(saturating_add(never, 1s), never);
    EXPECT_EQ(saturating_add(never, -1s), never);
    EXPECT_DOUBLE_EQ(seconds(1500ms), 1.5);
}

TEST(types_test, text_and_bytes_are_two_views_of_one_memory) {
    const std::string text("a\0b", 3);
    EXPECT_EQ(bytes_of(text).size(), 3u);
    EXPECT_EQ(text_of(bytes_of(text)), text);
}

TEST(version_test, is_three_numbers) {
    unsigned major, minor, patch;
    char rest;
    EXPECT_EQ(std::sscanf(version(), "%u.%u.%u%c", &major, &minor, &patch, &rest), 3) << version();
}

TEST(number_test, is_all_of_the_text_or_none) {
    EXPECT_EQ(number_of<std::uint16_t>("0"), 0);
    EXPECT_EQ(number_of<std::uint16_t>("0080"), 80);
    EXPECT_EQ(number_of<std::uint16_t>("65535"), 65535);
    EXPECT_EQ(number_of<int>("-7"), -7);
    for (const char* bad :
         {"", " 1", "1 ", "+1", "-1", "1x", "0x1", "65536", "99999999999999999999"})
        EXPECT_EQ(number_of<std::uint16_t>(bad), std::nullopt) << bad;
}

}  // namespace
}  // namespace libp
