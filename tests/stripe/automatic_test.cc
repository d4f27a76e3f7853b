// Who carries what under the scheduler `auto`: which path for what, what is sent again first, what
// is copied.

#include <algorithm>

#include "scheduler_kit.h"

namespace libp::stripe {
namespace {

TEST(scheduler, a_path_that_would_come_too_late_is_spared_and_said_to_be) {
    // In the time that it takes, the other path delivers three times what credit leaves room for.
    engine_options o = with(scheduler::automatic);
    o.first_window = o.max_window = 1 * mib;
    world w(3, o);
    up(w, 1, {.bytes_per_second = 10e6, .delay = 5ms}, 0);
    up(w, 2, {.bytes_per_second = 1e6, .delay = 300ms}, 0);
    w.plan({.up = 60'000'000});
    w.run_for(20s);
    EXPECT_LT(carried(w, 2), carried(w, 1) / 100);
    EXPECT_GT(w.ends[0]->stats(2).declined, 0u);
    EXPECT_EQ(w.at(0, 1).read, 60'000'000u);
}

TEST(scheduler, automatic_uses_each_for_what_it_can_do) {
    world w(1);
    w.up(1, {.bytes_per_second = 20e6, .delay = 5ms});
    w.up(2, {.bytes_per_second = 5e6, .delay = 20ms});
    w.plan({.up = 50'000'000});
    ASSERT_TRUE(w.run());
    EXPECT_NEAR(static_cast<double>(carried(w, 1)), 40e6, 4e6);
    EXPECT_NEAR(static_cast<double>(carried(w, 2)), 10e6, 4e6);
    EXPECT_LT(seconds(w.now - instant{}), 2.0 * 1.15);
}

// What a path died with takes the next room there is, but somebody who waits for two bytes does not
// wait for that.
TEST(scheduler, what_somebody_waits_for_is_copied_past_what_lacks_room) {
    raw_peer p(with(scheduler::automatic), 0);
    p.e.subflow_up(1, {.payload_crc = false, .rtt = 2ms}, p.now);
    p.e.subflow_up(2, {.payload_crc = false, .rtt = 10ms}, p.now);
    p.e.subflow_up(3, {.payload_crc = false, .rtt = 1s}, p.now);
    const stream_id bulk = p.e.open({"x"}, p.now), typed = p.e.open({"y", true}, p.now);
    p.frames(1);
    for (const stream_id id : {bulk, typed})
        p.send({.type = wire::type::open_ok, .stream = id, .offset = 1 * mib});
    p.write(bulk, std::string(128 * kib, 'x'));
    EXPECT_GT(p.frames(1).size(), 1u);
    EXPECT_GT(p.frames(2).size(), 1u);

    // Typed while only the far one takes bytes.
    for (const subflow_id id : {1u, 2u})
        p.e.set_congested(id, true, p.now);
    p.write(typed, "ls");
    EXPECT_EQ(p.last_of(p.frames(3), wire::type::data).payload, "ls");

    p.e.set_congested(2, false, p.now);
    p.down();
    const auto copied = p.frames(2);
    EXPECT_EQ(p.last_of(copied, wire::type::data).payload, "ls");
    EXPECT_EQ(
        std::ranges::count(copied, wire::type::data, [](const auto& f) { return f.head.type; }), 1);
    EXPECT_GT(p.e.stats(2).in_flight + 8 * kib, p.e.stats(2).allowance) << "no room for the rest";
}

// What the near one has delivered before the far one could is not put on the far one.
TEST(scheduler, automatic_leaves_a_far_one_alone_where_it_would_only_delay) {
    world w(1);
    w.up(1, {.bytes_per_second = 10e6, .delay = 2ms});
    w.up(2, {.bytes_per_second = 10e6, .delay = 60ms});
    w.plan({.up = 60'000'000});
    ASSERT_TRUE(w.run());
    ASSERT_GT(carried(w, 2), 1'000'000u) << "where there is much to carry it is of use";
    w.run_for(2s);
    const std::uint64_t before = carried(w, 2);
    const instant since = w.now;
    w.plan({.up = 100'000, .start = w.now - instant{}});
    ASSERT_TRUE(w.run());
    EXPECT_EQ(carried(w, 2), before);
    EXPECT_LT(w.at(1, 1).last_read - since, 60ms);
}

TEST(scheduler, automatic_puts_what_is_in_a_hurry_on_the_nearest) {
    world w(1);
    w.up(1, {.bytes_per_second = 10e6, .delay = 5ms});
    w.up(2, {.bytes_per_second = 10e6, .delay = 50ms});
    w.plan({.up = 100'000'000});
    const std::size_t echo = w.plan({.up = 64 * 50,
                                     .down = 64 * 50,
                                     .interactive = true,
                                     .write_chunk = 64,
                                     .start = 1s,
                                     .echo_every = 50ms});
    while (!w.at(echo, 0).fin_read && w.step(instant{} + 20s)) {
    }
    std::vector<duration> all = w.at(echo, 0).latencies;
    ASSERT_GT(all.size(), 40u);
    std::ranges::sort(all);
    EXPECT_LT(all[all.size() / 2], 50ms) << "it took the far one";
}

// Frames of a fast path are larger than what a confirmation makes room for on the other: what is
// new must not take it again and again.
TEST(scheduler, automatic_sends_again_first_what_a_fast_path_died_with) {
    for (const double fast : {100e6, 300e6}) {
        for (const duration delay : {duration(200us), duration(1ms), duration(5ms)}) {
            world w(1, with(scheduler::automatic));
            up(w, 1, {.bytes_per_second = fast, .delay = 500us}, 0);
            up(w, 2, {.bytes_per_second = 3e6, .delay = delay}, 0);
            w.plan({.up = 200'000'000});
            w.run_for(400ms);
            w.cut(1);
            w.run_for(2s);
            const auto silent = w.now - std::max(w.at(0, 1).last_read, instant{} + 400ms);
            EXPECT_LT(std::max(w.at(0, 1).longest_gap, silent), 100ms) << fast;
        }
    }
}

TEST(scheduler, automatic_sends_what_is_typed_while_large_frames_wait_for_room) {
    sender p(scheduler::automatic);
    const stream_id typed = p.e.open({.target = "x", .interactive = true}, p.now);
    p.frames(2);
    p.send({.type = wire::type::open_ok, .stream = typed, .offset = 64 * kib}, {}, 2);
    ASSERT_GT(p.e.stats(2).in_flight, 0u);
    // The first is found to be fast.
    std::size_t largest = 0;
    for (int round = 0; round < 20 && largest < 100 * kib; ++round) {
        while (const std::size_t n = p.next(1))
            largest = std::max(largest, n);
        p.now += 1ms;
        p.path_ack(1, p.e.stats(1).sent_bytes, 2);
        p.write(1, std::string(1 * mib, 'x'));
    }
    ASSERT_GE(p.next(1), 100 * kib);
    p.down();
    ASSERT_EQ(p.next(2), 0u) << "there is no room for what waits";
    p.write(typed, "ls");
    EXPECT_EQ(raw_peer::last_of(p.frames(2), wire::type::data).payload, "ls");
}

// A stream's first bytes are copied where they are late; by themselves nobody could read them.
TEST(scheduler, automatic_copies_an_open_with_its_first_bytes) {
    for (const bool answered : {false, true}) {
        raw_peer p(with(scheduler::automatic));
        const stream_id id = p.e.open({.target = "x", .interactive = true}, p.now);
        p.write(id, "hello");
        EXPECT_EQ(p.frames(1).size(), 2u);
        EXPECT_TRUE(p.frames(2).empty());
        if (answered) p.send({.type = wire::type::open_ok, .stream = id, .offset = 64 * kib});
        p.now += 400ms;
        const auto again = p.frames(2);
        EXPECT_EQ(raw_peer::last_of(again, wire::type::data).payload, "hello");
        EXPECT_EQ(raw_peer::last_of(again, wire::type::open).head.stream, answered ? 0 : id);
        p.now += 1ms;
        EXPECT_TRUE(p.frames(2).empty());
    }
}

// The nearer path should have confirmed something long ago: what the peer waits for goes by the
// other.
TEST(scheduler, automatic_says_nothing_that_must_arrive_by_a_path_that_is_overdue) {
    raw_peer p({}, 0);
    p.e.subflow_up(1, {.payload_crc = false, .rtt = 10ms}, p.now);
    p.e.subflow_up(2, {.payload_crc = false, .rtt = 100ms}, p.now);
    p.open(2);
    p.e.accept(2, p.now);
    ASSERT_EQ(raw_peer::last_of(p.frames(1), wire::type::open_ok).head.stream, 2u);
    p.now += 500ms;
    for (int twice = 0; twice < 2; ++twice)
        p.data(2, 0, "x", false, 2);
    EXPECT_EQ(raw_peer::last_of(p.frames(1), wire::type::ack).head.type, 0);
    EXPECT_EQ(raw_peer::last_of(p.frames(2), wire::type::ack).head.stream, 2u);
}

}  // namespace
}  // namespace libp::stripe
