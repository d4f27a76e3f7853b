// Who carries what, under each of the schedulers but `auto` (automatic_test.cc).

#include "scheduler_kit.h"

namespace libp::stripe {
namespace {

// -- rr -------------------------------------------------------------------------------------------

TEST(scheduler, round_robin_goes_round_frame_by_frame) {
    sender p(scheduler::round_robin, 3);
    for (int round = 0; round < 5; ++round)
        for (subflow_id on : {1u, 2u, 3u}) {
            EXPECT_GT(p.next(on), 0u) << on;
            EXPECT_EQ(p.next(on), 0u) << on << ": the others first";
        }
}

TEST(scheduler, round_robin_passes_over_who_is_congested_or_gone) {
    sender p(scheduler::round_robin, 3);
    EXPECT_GT(p.next(1), 0u);
    p.e.set_congested(2, true, p.now);
    EXPECT_GT(p.next(3), 0u);
    EXPECT_GT(p.next(1), 0u);
    p.e.set_congested(2, false, p.now);
    EXPECT_EQ(p.next(1), 0u);
    EXPECT_GT(p.next(2), 0u);
    p.e.subflow_down(3, p.now);
    for (int round = 0; round < 3; ++round)
        for (subflow_id on : {1u, 2u})
            EXPECT_GT(p.next(on), 0u) << on;
}

TEST(scheduler, round_robin_gives_equal_subflows_alike) {
    world w(1, with(scheduler::round_robin));
    for (subflow_id id : {1u, 2u, 3u})
        w.up(id);
    w.plan({.up = 10'000'000});
    ASSERT_TRUE(w.run());
    for (subflow_id id : {1u, 2u, 3u})
        EXPECT_NEAR(static_cast<double>(carried(w, id)), 10e6 / 3, 1e6) << id;
}

// -- congestion -----------------------------------------------------------------------------------

TEST(scheduler, congestion_gives_to_whoever_asks) {
    sender p(scheduler::congestion);
    std::size_t given = 0;
    for (int n = 0; n < 50; ++n)
        given += p.next(2);
    EXPECT_GT(given, 50u * 1024);
    EXPECT_GT(p.next(1), 0u);
    EXPECT_GT(p.next(1), 0u);
}

TEST(scheduler, congestion_gives_the_faster_more) {
    world w(1, with(scheduler::congestion));
    w.up(1, {.bytes_per_second = 20e6, .queue = 32 * kib});
    w.up(2, {.bytes_per_second = 5e6, .queue = 32 * kib});
    w.plan({.up = 20'000'000});
    ASSERT_TRUE(w.run());
    EXPECT_GT(carried(w, 1), 2 * carried(w, 2));
    EXPECT_GT(carried(w, 2), 1'000'000u);
}

// -- redundant ------------------------------------------------------------------------------------

TEST(scheduler, redundant_puts_everything_on_all_and_delivers_it_once) {
    world w(1, with(scheduler::redundant));
    for (subflow_id id : {1u, 2u, 3u})
        w.up(id);
    w.plan({.up = 2'000'000, .down = 500'000});
    ASSERT_TRUE(w.run());  // byte by byte what was sent
    EXPECT_EQ(w.at(0, 1).read, 2'000'000u);
    EXPECT_EQ(w.at(0, 0).read, 500'000u);
    // What one has confirmed need not go on the others any more.
    EXPECT_GT(w.sent(0), 2u * 2'000'000u);
    EXPECT_LE(w.sent(0), 3u * 2'000'000u);
    w.run_for(2s);
    w.expect_empty();
}

TEST(scheduler, redundant_does_not_feel_the_death_or_the_silence_of_one) {
    const auto took = [](int which) {
        world w(1, with(scheduler::redundant));
        w.up(1, {.bytes_per_second = 5e6, .delay = 10ms});
        w.up(2, {.bytes_per_second = 5e6, .delay = 10ms});
        w.plan({.up = 3'000'000});
        w.run_for(200ms);
        if (which == 1) w.cut(1);
        if (which == 2) w.freeze(1, true);
        EXPECT_TRUE(w.run(60s));
        EXPECT_EQ(w.at(0, 1).read, 3'000'000u);
        EXPECT_LT(w.at(0, 1).longest_gap, 50ms) << which;
        return seconds(w.at(0, 1).last_read - instant{});
    };
    const double undisturbed = took(0);
    EXPECT_LT(took(1), undisturbed * 1.1);
    EXPECT_LT(took(2), undisturbed * 1.1);
}

// -- backup ---------------------------------------------------------------------------------------

const link_shape slow{.bytes_per_second = 2e6, .delay = 5ms};

TEST(scheduler, backup_uses_the_lowest_rank_that_lives) {
    for (const scheduler s : {scheduler::backup, scheduler::automatic}) {
        SCOPED_TRACE(static_cast<int>(s));
        world w(1, with(s));
        up(w, 1, slow, 0);
        up(w, 2, slow, 1);
        up(w, 3, slow, 2);
        w.plan({.up = 40'000'000});
        const auto grows = [&](subflow_id id) {
            const std::uint64_t before = carried(w, id);
            w.run_for(1s);
            return carried(w, id) > before + 1'000'000;
        };
        EXPECT_TRUE(grows(1));
        EXPECT_EQ(carried(w, 2) + carried(w, 3), 0u);
        w.cut(1);
        EXPECT_TRUE(grows(2));
        EXPECT_EQ(carried(w, 3), 0u);
        w.cut(2);
        EXPECT_TRUE(grows(3));
        // It comes back.
        up(w, 4, slow, 0);
        EXPECT_TRUE(grows(4));
        const std::uint64_t then = carried(w, 3);
        EXPECT_TRUE(grows(4));
        EXPECT_EQ(carried(w, 3), then);
        ASSERT_TRUE(w.run());
        EXPECT_EQ(w.at(0, 1).read, 40'000'000u);
    }
}

TEST(scheduler, backup_takes_over_from_one_that_is_silent_and_gives_it_back) {
    world w(1, with(scheduler::backup));
    up(w, 1, slow, 0);
    up(w, 2, slow, 1);
    const std::size_t n = w.plan({.up = 60'000'000});
    w.run_for(1s);
    EXPECT_EQ(carried(w, 2), 0u);
    w.freeze(1, true);
    w.run_for(3s);
    EXPECT_GT(carried(w, 2), 2'000'000u);
    EXPECT_LT(w.at(n, 1).longest_gap, 1s);
    w.freeze(1, false);
    w.run_for(3s);
    const std::uint64_t then = carried(w, 2);
    const std::uint64_t before = carried(w, 1);
    w.run_for(1s);
    EXPECT_EQ(carried(w, 2), then);
    EXPECT_GT(carried(w, 1), before + 1'000'000);
    ASSERT_TRUE(w.run());
}

// -- changing one's mind --------------------------------------------------------------------------

TEST(scheduler, may_be_another_at_any_time) {
    world w(1, with(scheduler::redundant));
    for (subflow_id id : {1u, 2u})
        w.up(id, {.bytes_per_second = 5e6, .delay = 5ms});
    w.plan({.up = 60'000'000});
    const auto goodput = [&] {
        const std::uint64_t before = w.at(0, 1).read;
        w.run_for(1s);
        return static_cast<double>(w.at(0, 1).read - before);
    };
    w.run_for(500ms);
    EXPECT_NEAR(goodput(), 5e6, 1e6) << "all of it twice";
    w.ends[0]->set_scheduler(scheduler::automatic);
    w.run_for(500ms);
    EXPECT_NEAR(goodput(), 10e6, 1.5e6);
    w.ends[0]->set_scheduler(scheduler::redundant);
    w.run_for(500ms);
    EXPECT_NEAR(goodput(), 5e6, 1e6);
    for (const scheduler s : {scheduler::round_robin, scheduler::congestion, scheduler::backup}) {
        w.keeps_allowance = s == scheduler::backup;
        w.ends[0]->set_scheduler(s);
        w.run_for(100ms);
    }
    ASSERT_TRUE(w.run());
    w.run_for(2s);
    w.expect_empty();
}

}  // namespace
}  // namespace libp::stripe
