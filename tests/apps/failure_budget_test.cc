#include <gtest/gtest.h>
#include <kit/failure_budget.h>

#include <algorithm>
#include <sstream>
#include <vector>

namespace libp::app {
namespace {

socket_address address(const std::string& text) {
    return *socket_address::parse(text);
}

using toll = failure_budget::toll;

// How many of `tries` at `from` get in within one instant.
int admitted(failure_budget& door, const socket_address& from, instant now, int tries = 10'000) {
    int in = 0;
    for (int i = 0; i < tries; ++i)
        in += door.admit(from, now).has_value();
    return in;
}

// The n-th of many addresses.
socket_address nth(int n) {
    return address("10." + std::to_string(n / 62500) + "." + std::to_string(n / 250 % 250) + "." +
                   std::to_string(n % 250) + ":1");
}

const instant start{1000s};

// Where nobody else is, one has what there is for newcomers and for all: 8, and 256 less what those
// cost.
TEST(failure_budget, so_many_of_one_address_fail_and_no_more) {
    failure_budget door;
    const socket_address a = address("192.0.2.1:1000"), same = address("192.0.2.1:2000");
    EXPECT_EQ(admitted(door, a, start), 256);
    EXPECT_EQ(admitted(door, same, start), 0) << "another port is no other address";
    EXPECT_EQ(admitted(door, a, start + 1s), 100);
    EXPECT_EQ(admitted(door, a, start + 1h), 256) << "nothing is saved up";
}

TEST(failure_budget, who_proves_himself_costs_nothing) {
    failure_budget door;
    const socket_address a = address("[2001:db8::1]:1000");
    for (int i = 0; i < 100'000; ++i) {
        const auto paid = door.admit(a, start);
        ASSERT_TRUE(paid) << i;
        door.proved(a, *paid, start);
    }
    // As many as there are tokens may be on their way at once.
    EXPECT_EQ(admitted(door, a, start), 256);
    for (int i = 0; i < 200; ++i)
        door.proved(a, toll::nothing, start);
    EXPECT_EQ(admitted(door, a, start), 200);
}

TEST(failure_budget, who_proves_himself_gets_back_what_he_paid) {
    failure_budget door;
    // More at once than there are first tries.
    std::vector<toll> paid;
    for (int i = 0; i < 100; ++i)
        paid.push_back(*door.admit(nth(0), start));
    EXPECT_EQ(std::ranges::count(paid, toll::newcomers), 8);
    EXPECT_EQ(std::ranges::count(paid, toll::all), 92);
    for (const toll t : paid)
        door.proved(nth(0), t, start);
    int in = 0;
    for (int i = 1; i < 10'000; ++i)
        in += door.admit(nth(i), start).has_value();
    EXPECT_EQ(in, 768);
}

TEST(failure_budget, one_address_does_not_keep_the_others_out) {
    failure_budget door;
    EXPECT_EQ(admitted(door, address("192.0.2.1:1"), start), 256);
    int in = 0;
    for (int i = 0; i < 100; ++i)
        in += door.admit(nth(i), start).has_value();
    EXPECT_GE(in, 95) << "but for those few that share his place";
}

TEST(failure_budget, all_addresses_together_have_a_bound) {
    failure_budget door;
    int in = 0;
    for (int i = 0; i < 5000; ++i)
        in += door.admit(nth(i), start).has_value();
    EXPECT_EQ(in, 768);
    for (int i = 0; i < 5000; ++i)
        in += door.admit(nth(i), start + 1s).has_value();
    EXPECT_EQ(in, 768 + 250);
    const socket_address none = *socket_address::from_path("/run/x");
    const int of_none = admitted(door, none, start + 2s);
    EXPECT_GE(of_none, 150) << "no address is one, too";
    EXPECT_LE(of_none, 8 + 150);
}

// A few addresses that fail again and again, each below what one may, together above what all may.
TEST(failure_budget, a_flood_from_some_addresses_keeps_no_newcomer_out) {
    failure_budget door;
    int in = 0, newcomers = 0;
    instant now = start;
    for (int i = 0; i < 10'000; ++i, now += 1ms) {
        in += door.admit(nth(i % 16), now).has_value();
        if (i >= 5000 && i % 50 == 0) newcomers += door.admit(nth(1000 + i), now).has_value();
    }
    EXPECT_GE(newcomers, 95) << "but for those few that share a place with one of them";
    EXPECT_LE(in, 16 * 9 + 256 + 150 * 10 + 5);
    EXPECT_GE(in, 256 + 150 * 10);
}

TEST(failure_budget, no_flood_keeps_out_who_is_known) {
    failure_budget door;
    const socket_address known = address("192.0.2.7:1000");
    door.proved(known, *door.admit(known, start), start);
    for (const duration later : {duration(0s), duration(1h), duration(23h)}) {
        int in = 0;
        for (int i = 0; i < 3000; ++i)
            in += door.admit(nth(i), start + later).has_value();
        ASSERT_EQ(in, 768);
        EXPECT_FALSE(door.admit(nth(5000), start + later));
        EXPECT_EQ(door.admit(known, start + later), toll::nothing);
    }
    EXPECT_EQ(door.admit(known, start + 48h), toll::newcomers) << "not for ever";
}

TEST(failure_budget, an_ipv6_network_is_one_address) {
    failure_budget door;
    int in = 0;
    for (int i = 1; i <= 3000; ++i)
        in += door.admit(address("[2001:db8:0:1::" + std::to_string(i) + "]:1"), start).has_value();
    EXPECT_EQ(in, 256);
    in = 0;
    for (int i = 10; i < 30; ++i)
        in += door.admit(address("[2001:db8:" + std::to_string(i) + "::1]:1"), start).has_value();
    EXPECT_GE(in, 18) << "but for those few that share its place";
    // But IPv4 within IPv6 is not one network.
    failure_budget other;
    EXPECT_EQ(admitted(other, address("[::ffff:192.0.2.1]:1"), start), 256);
    in = 0;
    for (int i = 10; i < 30; ++i)
        in +=
            other.admit(address("[::ffff:192.0.2." + std::to_string(i) + "]:1"), start).has_value();
    EXPECT_GE(in, 18);
    EXPECT_FALSE(other.admit(address("192.0.2.1:1"), start)) << "written either way";
}

// Whoever was given one network was often given all of its neighbours.
TEST(failure_budget, an_ipv6_site_of_many_networks_keeps_no_newcomer_out) {
    failure_budget door;
    instant now = start;
    int in = 0, tries = 0;
    for (int n = 0; n < 60'000; ++n) {
        now += 2ms;
        std::ostringstream network;
        network << std::hex << "[2001:db8:0:" << n % 60'000 << "::1]:1";
        door.admit(address(network.str()), now);
        if (n < 30'000 || n % 500 != 0) continue;
        ++tries;
        in +=
            door.admit(address("192.0.2." + std::to_string(n / 500 % 250) + ":1"), now).has_value();
    }
    EXPECT_GE(in, tries * 9 / 10);
}

}  // namespace
}  // namespace libp::app
