// Two engines over simulated subflows: whatever happens to the subflows, every stream comes out
// exact and to its end.

#include <sim/stripe_world.h>

namespace libp::stripe::sim {
namespace {

TEST(transfer, one_stream_over_one_subflow) {
    world w(1);
    w.up(1);
    w.plan({.up = 1'000'000, .down = 300'000});
    ASSERT_TRUE(w.run());
    EXPECT_EQ(w.at(0, 1).read, 1'000'000u);
    EXPECT_EQ(w.at(0, 0).read, 300'000u);
    EXPECT_TRUE(w.at(0, 0).ready);
    w.run_for(1s);
    w.expect_empty();
}

TEST(transfer, one_stream_over_four_subflows_uses_them_all) {
    world w(2);
    for (subflow_id id : {1u, 2u, 3u, 4u})
        w.up(id);
    w.plan({.up = 20'000'000});
    ASSERT_TRUE(w.run());
    for (subflow_id id : {1u, 2u, 3u, 4u})
        EXPECT_GT(w.ends[0]->stats(id).data_sent, 3'000'000u) << id;
    // Four links of 50 MB/s: the window grew to what they can take.
    EXPECT_LT(seconds(w.now - instant{}), 20e6 / 200e6 * 1.5);
    w.run_for(1s);
    w.expect_empty();
}

// Everything at random: sizes, rates, delays, reading speeds, subflows that die (between frames and
// inside them) and join.
void random_run(std::uint64_t seed) {
    SCOPED_TRACE(seed_note(seed));
    engine_options o;
    test_random random(seed * 7919);
    if (random.one_in(3)) o.memory_budget = 2 * mib;
    if (random.one_in(3)) o.max_frame = 16 * kib;
    if (random.one_in(3)) o.max_window = 512 * kib;
    if (random.one_in(3)) o.send_buffer = 16 * kib;
    if (random.one_in(4)) o.own_initial_credit = 0;
    o.max_streams = 400;
    // Crumbs make for many steps, so there is less to carry then.
    const bool crumbs = random.one_in(3);
    const std::uint64_t most = crumbs ? 20'000 : 1'000'000;
    world w(seed, o);
    w.budget = o.memory_budget;
    const auto shape = [&] {
        return link_shape{.bytes_per_second = 1e5 * static_cast<double>(1 + random.below(500)),
                          .delay = std::chrono::microseconds(random.below(60000)),
                          .queue = 4 * kib + random.below(200 * kib),
                          .largest_packet = 1 + random.below(crumbs ? 200 : 20'000)};
    };
    subflow_id next = 1;
    for (std::uint64_t i = 0; i <= random.below(5); ++i)
        w.up(next++, shape(), random.one_in(2));
    const std::size_t streams = 1 + random.below(crumbs ? 6 : 20);
    for (std::size_t i = 0; i < streams; ++i) {
        stream_plan p;
        p.opener = static_cast<int>(random.below(2));
        p.up = random.one_in(5) ? 0 : random.below(random.one_in(4) ? most : 30'000);
        p.down = random.one_in(5) ? 0 : random.below(random.one_in(4) ? most : 30'000);
        p.interactive = random.one_in(4);
        p.write_chunk = 1 + random.below(crumbs ? 300 : 100'000);
        for (int side : {0, 1}) {
            if (random.one_in(3)) {
                p.read_chunk[side] = 1000 + random.below(50'000);
                p.read_every[side] = std::chrono::microseconds(random.below(3000));
            }
            if (random.one_in(8))
                p.abort_after[side] = static_cast<std::int64_t>(random.below(50'000));
        }
        p.refuse = random.one_in(12);
        p.start = std::chrono::microseconds(random.below(200'000));
        w.plan(p);
    }
    w.check_every = 1 + random.below(50);
    // The weather: every so often a subflow dies, or one joins.
    std::uint64_t events = random.below(30);
    for (instant until = w.now; events > 0 && !::testing::Test::HasFailure(); --events) {
        until += std::chrono::microseconds(random.below(40'000));
        w.run_for(until - w.now);
        const auto ids = w.path_ids();
        if (!ids.empty() && random.one_in(2)) {
            const subflow_id id = ids[random.below(ids.size())];
            if (random.one_in(2)) {
                w.cut(id, random.below(200'000));
            } else {
                w.cut_after(id, static_cast<int>(random.below(2)), random.below(100'000));
            }
        } else if (ids.size() < 8) {
            w.up(next++, shape(), random.one_in(2));
        }
    }
    if (w.paths() == 0) w.up(next++, shape());
    w.up(next++, {.bytes_per_second = 1e7});
    ASSERT_TRUE(w.run()) << "stuck at " << seconds(w.now - instant{}) << " s";
    for (std::size_t i = 0; i < streams; ++i) {
        for (int side : {0, 1}) {
            const auto& mine = w.at(i, side);
            const auto& theirs = w.at(i, 1 - side);
            EXPECT_LE(mine.read, theirs.written);
            if (mine.ended && theirs.ended) {
                EXPECT_EQ(mine.read, theirs.written);
            }
            if (mine.broken) {
                EXPECT_TRUE(theirs.aborted) << to_string(mine.broken);
            }
            // What was cut off never looks finished.
            if (theirs.aborted && theirs.begun && mine.begun && !mine.aborted) {
                EXPECT_TRUE(mine.broken || (mine.fin_read && mine.fin_acked));
            }
        }
    }
    w.run_for(2s);
    w.expect_empty();
}

TEST(transfer, random_weather) {
    for (std::uint64_t seed : test_seeds(debug_build ? 25 : 100)) {
        random_run(seed);
        if (HasFailure()) break;
    }
}

// Twenty small frames over two subflows, one of which dies after byte 0, 1, 2 ... of either
// direction: at every boundary of a frame and everywhere inside.
TEST(transfer, s01_one_subflow_dies_at_every_byte) {
    const link_shape small{
        .bytes_per_second = 1e6, .delay = 1ms, .queue = 200, .largest_packet = 64};
    engine_options o;
    o.send_buffer = 100;
    std::uint64_t resent = 0;
    for (int to : {0, 1}) {
        for (std::uint64_t at = 0;; ++at) {
            SCOPED_TRACE("cut when " + std::to_string(at) + " bytes arrived at end " +
                         std::to_string(to));
            world w(1, o);
            w.up(1, small);
            w.up(2, small);
            w.plan({.up = 1500, .down = 500, .write_chunk = 100});
            w.cut_after(1, to, at);
            // What it had in flight is all that is sent again.
            std::uint64_t in_flight[2] = {0, 0}, before[2] = {0, 0};
            w.after_step = [&] {
                for (int side : {0, 1}) {
                    if (w.is_up(1)) in_flight[side] = w.ends[side]->stats(1).in_flight;
                    if (w.is_up(1)) before[side] = w.ends[side]->stats(2).resent;
                }
            };
            ASSERT_TRUE(w.run());
            if (w.cuts() > 0) {
                for (int side : {0, 1})
                    EXPECT_LE(w.ends[side]->stats(2).resent - before[side], in_flight[side]);
            }
            ASSERT_EQ(w.at(0, 0).read, 500u);
            ASSERT_EQ(w.at(0, 1).read, 1500u);
            ASSERT_TRUE(w.at(0, 0).ended && w.at(0, 1).ended);
            resent += w.ends[0]->stats(2).resent;
            const bool died = w.cuts() > 0;
            w.run_for(1s);
            w.expect_empty();
            if (!died) break;
            ASSERT_LT(at, 10'000u);
        }
    }
    EXPECT_GT(resent, 0u);
}

// Every subflow dies again and again; somebody keeps dialling.
TEST(transfer, a_storm_of_deaths) {
    for (std::uint64_t seed : test_seeds(10)) {
        SCOPED_TRACE(seed_note(seed));
        world w(seed);
        w.check_every = 10;
        w.plan({.up = 3'000'000, .down = 3'000'000});
        w.plan({.up = 1000, .down = 2'000'000, .interactive = true});
        subflow_id next = 1;
        for (int i = 0; i < 400; ++i) {
            w.up(next++, {.bytes_per_second = 10e6, .delay = 3ms});
            w.run_for(std::chrono::microseconds(w.random.below(12'000)));
            if (w.paths() > 2) w.cut(w.path_ids()[w.random.below(3)], w.random.below(50'000));
        }
        ASSERT_TRUE(w.run());
        w.run_for(1s);
        w.expect_empty();
    }
}

TEST(transfer, three_of_four_die_and_the_last_carries_on) {
    world w(3);
    for (subflow_id id : {1u, 2u, 3u, 4u})
        w.up(id);
    w.plan({.up = 10'000'000});
    w.run_for(30ms);
    for (subflow_id id : {1u, 2u, 3u})
        w.cut(id);
    ASSERT_TRUE(w.run());
    EXPECT_LT(seconds(w.now - instant{}), 0.3) << "50 MB/s is what is left";
}

TEST(transfer, all_die_and_it_goes_on_where_it_was) {
    world w(4);
    w.up(1);
    w.up(2);
    w.plan({.up = 5'000'000, .down = 1'000'000});
    w.run_for(25ms);
    w.cut(1, 1000);
    w.cut(2);
    const std::uint64_t had = w.at(0, 1).read;
    EXPECT_GT(had, 0u);
    EXPECT_LT(had, 5'000'000u);
    w.run_for(30s);
    EXPECT_EQ(w.at(0, 1).read, had);
    w.up(3);
    ASSERT_TRUE(w.run());
    EXPECT_EQ(w.at(0, 1).read, 5'000'000u);
    w.run_for(1s);
    w.expect_empty();
}

// A subflow that goes silent without dying holds nothing up for long, and is given up in the end;
// nothing is lost.
TEST(transfer, a_black_hole_is_given_up) {
    world w(5);
    for (subflow_id id : {1u, 2u, 3u, 4u})
        w.up(id);
    w.plan({.up = 10'000'000});
    w.run_for(20ms);
    w.freeze(2, true);
    ASSERT_TRUE(w.run());
    EXPECT_LT(seconds(w.now - instant{}), 1.0);
    w.run_for(61s);
    EXPECT_FALSE(w.is_up(2));
    w.expect_empty();
}

TEST(transfer, half_closed_both_ways) {
    for (int opener : {0, 1}) {
        world w(6);
        w.up(1);
        w.up(2);
        w.plan({.opener = opener, .up = 0, .down = 5'000'000});
        w.plan({.opener = opener, .up = 5'000'000, .down = 0});
        w.plan({.opener = opener, .up = 0, .down = 0});
        w.run_for(10ms);
        w.cut(1);  // with the FINs and their ACKs, confirmed or not
        ASSERT_TRUE(w.run());
        EXPECT_EQ(w.at(0, opener).read, 5'000'000u);
        EXPECT_EQ(w.at(1, 1 - opener).read, 5'000'000u);
        w.run_for(1s);
        w.expect_empty();
    }
}

// How long 20 MB take beside `stuck` streams that nobody reads.
double beside_stuck(int stuck) {
    engine_options o;
    o.memory_budget = 8 * mib;
    o.first_window = 256 * kib;
    world w(7, o);
    w.budget = o.memory_budget;
    for (subflow_id id : {1u, 2u, 3u})
        w.up(id);
    for (int i = 0; i < stuck; ++i)
        w.plan({.up = 3'000'000, .read_chunk = {SIZE_MAX, 0}});
    w.run_for(1s);
    EXPECT_LE(w.largest_memory[1], stuck * 256 * kib + 3 * 64 * kib);
    EXPECT_GE(w.ends[1]->memory(), stuck * 100 * kib) << "they were granted something";
    const instant start = w.now;
    w.plan({.up = 20'000'000});
    while (!w.at(stuck, 1).ended && w.step(start + 10s)) {
    }
    EXPECT_EQ(w.at(stuck, 1).read, 20'000'000u);
    return seconds(w.now - start);
}

TEST(transfer, who_never_reads_costs_only_his_own_window) {
    EXPECT_LT(beside_stuck(5), 1.5 * beside_stuck(0));
}

TEST(transfer, slow_readers_slow_nobody_else) {
    world w(8);
    w.up(1);
    w.up(2);
    w.plan({.up = 500'000, .read_chunk = {SIZE_MAX, 1000}, .read_every = {0ms, 5ms}});
    w.plan({.up = 5'000'000});
    ASSERT_TRUE(w.run());
    w.run_for(1s);
    w.expect_empty();
}

TEST(transfer, ten_thousand_streams) {
    world w(9);
    w.check_every = 0;
    for (subflow_id id : {1u, 2u, 3u, 4u})
        w.up(id);
    for (int i = 0; i < 10'000; ++i)
        w.plan({.opener = i % 2, .up = 500, .down = 700});
    ASSERT_TRUE(w.run());
    w.run_for(1s);
    w.expect_empty();
    for (auto& e : w.ends)
        e->check_invariants();
}

TEST(transfer, the_same_seed_is_the_same_run) {
    const auto trace = [] {
        world w(11);
        w.up(1);
        w.up(2, {.bytes_per_second = 3e6, .delay = 20ms});
        w.plan({.up = 2'000'000, .down = 100'000});
        w.plan({.opener = 1, .up = 300'000});
        w.run_for(30ms);
        w.cut(2, 5000);
        EXPECT_TRUE(w.run());
        return std::pair(w.now, w.ends[0]->stats(1).sent_bytes);
    };
    EXPECT_EQ(trace(), trace());
}

}  // namespace
}  // namespace libp::stripe::sim
