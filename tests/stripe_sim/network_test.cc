// The simulated network itself: what TCP reaches over it is what TCP reaches.

#include <sim/greedy.h>
#include <sim/routes.h>
#include <sim/stripe_world.h>

#include <cmath>

namespace libp::sim {
namespace {

constexpr double payload = 1448.0 / 1500;

double fraction(const path_shape& p, std::size_t connections, duration d = 20s,
                congestion_control congestion = congestion_control::cubic) {
    return greedy({p}, connections, d, 1, {.congestion = congestion}) * 8 / p.bits_per_second /
           payload;
}

TEST(network, tcp_fills_a_path) {
    EXPECT_GT(fraction({.bits_per_second = 20e6, .delay = 20ms}, 1), 0.95);
    EXPECT_GT(fraction({.bits_per_second = 20e6, .delay = 20ms}, 8), 0.98);
    EXPECT_LE(fraction({.bits_per_second = 20e6, .delay = 20ms}, 8), 1.0);
    EXPECT_GT(fraction({.bits_per_second = 2e6, .delay = 150ms}, 1), 0.9);
}

TEST(network, loss_costs_tcp_what_the_formula_says) {
    // Mathis et al.: 1.22 segments per round trip over the root of the loss; CUBIC does no worse.
    const double got = fraction({.bits_per_second = 100e6, .delay = 20ms, .loss = 0.01}, 1, 60s);
    const double formula = 1448 * 8 / 0.04 * 1.22 / std::sqrt(0.01) / 100e6;
    EXPECT_GT(got, formula * 0.7);
    EXPECT_LT(got, formula * 2);
}

TEST(network, bbr_fills_a_path_that_loses_packets_and_cubic_does_not) {
    const path_shape p{.bits_per_second = 20e6, .delay = 20ms, .loss = 0.01};
    EXPECT_GT(fraction(p, 1, 30s, congestion_control::bbr), 0.9);
    EXPECT_LT(fraction(p, 1, 30s), 0.5);
}

// It keeps twice in flight what the path holds, and less on average; CUBIC fills whatever queue
// there is.
TEST(network, bbr_leaves_queues_short) {
    const auto queue = [](congestion_control congestion) {
        const path_shape p{.bits_per_second = 20e6, .delay = 20ms, .queue = 2 * mib};
        greedy_flows flows({p}, 1, 1, {.congestion = congestion});
        duration sum{0};
        for (int tenths = 30; tenths < 230; ++tenths) {
            flows.run_until(100ms * tenths);
            sum += flows.all[0]->lines[0].waiting();
        }
        EXPECT_GT(static_cast<double>(flows.got) * 8 / 22.9 / p.bits_per_second / payload, 0.9);
        return sum / 200;
    };
    EXPECT_LT(queue(congestion_control::bbr), 20ms);
    EXPECT_GT(queue(congestion_control::cubic), 40ms);
}

TEST(network, a_flow_is_capped_and_many_are_not) {
    const path_shape p{.bits_per_second = 100e6, .delay = 10ms, .queue = 1 * mib, .flow_cap = 10e6};
    EXPECT_NEAR(fraction(p, 1), 0.1, 0.01);
    EXPECT_NEAR(fraction(p, 8), 0.8, 0.05);
}

TEST(network, a_shallow_queue_costs_little) {
    EXPECT_GT(fraction({.bits_per_second = 20e6, .delay = 10ms, .queue = 64 * kib}, 4), 0.93);
}

}  // namespace
}  // namespace libp::sim

namespace libp::stripe::sim {
namespace {

// Bytes come out of a connection as they went in, whatever the route does to its packets.
TEST(network, a_connection_survives_loss_freezes_and_holes) {
    for (std::uint64_t seed : test_seeds(10)) {
        SCOPED_TRACE(seed_note(seed));
        world w(seed);
        routes net(w);
        net.add({.bits_per_second = 4e6, .delay = 15ms, .jitter = 30ms, .loss = 0.02});
        net.dial(0);
        w.plan({.up = 2'000'000, .down = 1'000'000});
        w.run_for(500ms);
        net.at(0).freeze(true);
        w.run_for(300ms);
        net.at(0).freeze(false);
        w.run_for(500ms);
        net.at(0).black_hole(true);
        w.run_for(1s);
        net.at(0).black_hole(false);
        ASSERT_TRUE(w.run(60s));
        w.run_for(2s);
        w.expect_empty();
    }
}

TEST(network, a_reset_reaches_the_other_end_a_delay_later) {
    world w(1);
    routes net(w, 100ms);
    net.add({.delay = 30ms});
    const subflow_id id = net.dial(0);
    std::vector<std::pair<int, instant>> lost;
    const auto redial = w.on_lost;
    w.on_lost = [&](subflow_id gone, int side) {
        if (gone == id) lost.emplace_back(side, w.now);
        redial(gone, side);
    };
    w.plan({.up = 1'000'000});
    w.run_for(200ms);
    const instant at = w.now;
    w.close(id, 0);
    ASSERT_TRUE(w.run(60s));
    ASSERT_EQ(lost.size(), 2u);
    EXPECT_EQ(lost[0], std::pair(0, at));
    EXPECT_EQ(lost[1].first, 1);
    EXPECT_GE(lost[1].second - at, 30ms);
    EXPECT_LE(lost[1].second - at, 200ms);
    EXPECT_FALSE(w.is_up(id));
    EXPECT_EQ(w.paths(), 1u) << "dialled again";
}

TEST(network, s15_a_wrong_bit_costs_one_subflow_and_nothing_else) {
    for (std::uint64_t at : {1u, 24u, 25u, 60u, 70'000u, 70'013u}) {
        world w(1);
        w.may_break = true;
        routes net(w, 100ms);
        net.add({.delay = 5ms});
        net.add({.delay = 5ms});
        const subflow_id id = net.dial(0);
        net.dial(1);
        net.flow(id).corrupt(0, at);
        w.plan({.up = 2'000'000});
        ASSERT_TRUE(w.run(60s));
        EXPECT_FALSE(w.is_up(id)) << at;
        EXPECT_EQ(w.losses, 2u);
    }
}

TEST(network, the_same_seed_is_the_same_run) {
    const auto trace = [](std::uint64_t seed) {
        world w(seed);
        routes net(w);
        net.add({.delay = 5ms, .loss = 0.01});
        net.add({.delay = 50ms, .jitter = 20ms});
        net.dial_all(2);
        w.plan({.up = 3'000'000, .down = 300'000});
        EXPECT_TRUE(w.run(60s));
        return std::pair(w.now, w.ends[0]->stats(1).sent_bytes);
    };
    EXPECT_EQ(trace(1), trace(1));
    EXPECT_NE(trace(1), trace(2));
}

}  // namespace
}  // namespace libp::stripe::sim
