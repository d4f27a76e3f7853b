#include <gtest/gtest.h>
#include <kit/failure_budget.h>

namespace libp::app {
namespace {

socket_address address(const std::string& text) {
    return *socket_address::parse(text);
}

// How many of `tries` at `from` get in within one instant.
int admitted(failure_budget& door, const socket_address& from, instant now, int tries = 10'000) {
    int in = 0;
    for (int i = 0; i < tries; ++i)
        in += door.admit(from, now);
    return in;
}

const instant start{1000s};

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
        ASSERT_TRUE(door.admit(a, start)) << i;
        door.proved(a);
    }
    // As many as there are tokens may be on their way at once.
    EXPECT_EQ(admitted(door, a, start), 256);
    for (int i = 0; i < 200; ++i)
        door.proved(a);
    EXPECT_EQ(admitted(door, a, start), 200);
}

TEST(failure_budget, one_address_does_not_keep_the_others_out) {
    failure_budget door;
    EXPECT_EQ(admitted(door, address("192.0.2.1:1"), start), 256);
    int in = 0;
    for (int i = 1; i <= 100; ++i)
        in += door.admit(address("198.51.100." + std::to_string(i) + ":1"), start);
    EXPECT_GE(in, 95) << "but for those few that share his place";
}

TEST(failure_budget, all_addresses_together_have_a_bound) {
    failure_budget door;
    int in = 0;
    for (int i = 0; i < 5000; ++i)
        in += door.admit(
            address("10.1." + std::to_string(i / 250) + "." + std::to_string(i % 250) + ":1"),
            start);
    EXPECT_EQ(in, 512);
    EXPECT_EQ(admitted(door, *socket_address::from_path("/run/x"), start + 1s), 250)
        << "no address is one, too";
}

}  // namespace
}  // namespace libp::app
