// Two engines over simulated subflows: whatever happens to the subflows, every stream comes out exact and to its end.

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

// Everything at random: sizes, rates, delays, reading speeds, subflows that die (between frames and inside them) and join.
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

}  // namespace
}  // namespace libp::stripe::sim
