// Scenarios about paths of unequal quality and about streams that share them.

#include "stripe_sim/bond.h"

namespace libp::stripe::sim {
namespace {

TEST(scenario, s07_heterogeneity) {
    constexpr double mbit = 50, ms = 5;
    for (const std::size_t window : {256 * kib, 2 * mib, 32 * mib})
        for (const double rate : {1.0, 10.0, 100.0})
            for (const double rtt : {1.0, 5.0, 30.0})
                for (const std::size_t queue : {std::size_t{64}, std::size_t{512}}) {
                    if (debug_build && (queue == 64 || rtt == 5 || rate == 10)) continue;
                    const std::vector<path_shape> paths = {path(mbit, ms, queue),
                                                           path(mbit / rate, ms * rtt, queue)};
                    engine_options o;
                    o.max_window = window;
                    o.memory_budget = 128 * mib;
                    bond b(paths, 1, 1, o);
                    b.w.check_every = 0;
                    constexpr std::uint64_t size = 25 * mib;
                    const std::size_t bulk = b.transfer(false, size);
                    const double took = b.until_read(bulk, 1, size);
                    const double goodput = static_cast<double>(size) / took;
                    // What one connection makes of the better path: a shallow queue is not its fault.
                    const duration d(static_cast<std::int64_t>(took * 1e9));
                    const double best = libp::sim::greedy({paths[0]}, 1, d, 1);
                    const double all = libp::sim::greedy(paths, 2, d, 1);
                    const std::string where = "window " + std::to_string(window / kib) +
                                              " KiB, rate 1/" + std::to_string(rate) + ", rtt x" +
                                              std::to_string(rtt) + ", queue " +
                                              std::to_string(queue) + " KiB";
                    EXPECT_GE(goodput, 0.95 * best) << where;
                    const double needed =
                        1.5 * mbit * (1 + 1 / rate) * 1e6 / 8 * 2 * ms * rtt / 1e3;
                    if (static_cast<double>(window) >= needed) {
                        EXPECT_GE(goodput, 0.7 * all) << where;
                    }
                }
}

TEST(scenario, s08_a_slow_path_that_is_near) {
    for (const bool down : {false, true}) {
        bond b({path(100, 5), path(2, 0.5)}, 4);
        const std::size_t bulk = b.transfer(down, 60 * mib);
        b.until(4s);
        const auto got = static_cast<double>(b.w.at(bulk, down ? 0 : 1).read_between(2s, 4s));
        EXPECT_GE(got * 8 / 2 / 1e6 / payload_share, 98) << down;
    }
}

// Both ends send all they can through little queues: nobody waits for the other.
TEST(scenario, s11_both_ways_at_once) {
    engine_options o;
    o.send_buffer = 8 * kib;
    bond b({path(20, 10, 16), path(10, 20, 16)}, 1, 1, o);
    for (int opener : {0, 1})
        b.w.plan({.opener = opener, .up = 10 * mib, .down = 10 * mib});
    ASSERT_TRUE(b.w.run(60s));
    EXPECT_LT(seconds(b.w.now - instant{}), 20 * 1.05 * 8 / 30 / payload_share * 2);
    b.w.run_for(1s);
    b.w.expect_empty();
}

TEST(scenario, s12_one_that_never_reads) {
    const auto transfer = [](std::size_t stuck) {
        engine_options o;
        o.memory_budget = 32 * mib;
        bond b(std::vector<path_shape>(2, path(50, 10)), 1, 1, o);
        for (std::size_t i = 0; i < stuck; ++i)
            b.w.plan({.up = 10 * mib, .read_chunk = {SIZE_MAX, 0}});
        std::vector<std::size_t> others;
        for (int i = 0; i < 99; ++i)
            others.push_back(b.w.plan({.up = 300'000}));
        for (std::size_t n : others)
            EXPECT_LT(b.until_read(n, 1, 300'000), 60);
        EXPECT_LE(b.w.largest_memory[1], 32 * mib);
        return seconds(b.w.now - instant{});
    };
    const double without = transfer(0), with = transfer(1);
    EXPECT_LE(with, without * 1.05 + 4.0 * mib * 8 / 100e6) << "his window, and nothing else";
}

TEST(scenario, s13_ten_thousand_streams_of_one_byte_writes) {
    world w(1, {.own_initial_credit = 1024});
    routes net(w);
    net.add(path(200, 5, 1024));
    net.add(path(200, 5, 1024));
    net.dial_all(1);
    w.check_every = 0;
    w.budget = 64 * mib;
    const int streams = debug_build ? 1000 : 10'000;
    for (int i = 0; i < streams; ++i)
        w.plan({.opener = i % 2, .up = 20, .down = 20, .write_chunk = 1});
    ASSERT_TRUE(w.run(60s));
    EXPECT_LE(w.largest_memory[0], 64 * mib);
    EXPECT_LE(w.largest_memory[1], 64 * mib);
    w.run_for(1s);
    w.expect_empty();
}

TEST(scenario, s22_an_echo_beside_a_bulk_transfer) {
    const std::vector<path_shape> paths = {path(40, 10), path(20, 30), path(10, 60), path(5, 100)};
    for (const bool down : {false, true}) {
        if (debug_build && down) continue;
        bond b(paths);
        const std::size_t bulk = b.transfer(down, 400 * mib);
        const std::size_t echo = b.echo(380, 1s);
        b.until(21s);
        const auto latencies = b.w.at(echo, 0).latencies;
        EXPECT_GT(latencies.size(), 350u);
        EXPECT_LE(bond::percentile(latencies, 99), 20ms + 30ms) << down;
        // What is next to it does not suffer.
        const auto got = static_cast<double>(b.w.at(bulk, down ? 0 : 1).read_between(5s, 20s));
        EXPECT_GE(got * 8 / 15 / 75e6 / payload_share, 0.9) << down;
    }
}

TEST(scenario, s26_all_subflows_share_one_bottleneck) {
    bond b({path(40, 20)}, 8);
    const std::size_t bulk = b.transfer(false, 100 * mib);
    b.until(15s);
    for (int s = 2; s < 15; ++s) {
        const auto got = static_cast<double>(
            b.w.at(bulk, 1).read_between(std::chrono::seconds(s), std::chrono::seconds(s + 1)));
        EXPECT_GE(got * 8 / 40e6 / payload_share, 0.85) << "second " << s;
    }
}

// A quarter of a megabyte at first, on paths that hold twenty-five.
TEST(scenario, s27_the_window_grows_to_a_long_fat_path) {
    engine_options o;
    o.max_window = 64 * mib;
    o.memory_budget = 256 * mib;
    bond b({path(1000, 100, 16 * 1024)}, 8, 1, o);
    b.w.check_every = 0;
    const std::size_t bulk = b.transfer(false, 2000 * mib);
    b.until(5s);
    const duration rtt = 200ms;
    const duration d = 12 * rtt;
    // As soon as the connections are.
    const double tcp_then = libp::sim::greedy({path(1000, 100, 16 * 1024)}, 8, d, 1) * seconds(d);
    const auto got_then = static_cast<double>(b.w.at(bulk, 1).read_between(0s, d));
    EXPECT_GE(got_then, 0.15 * tcp_then);
    const auto got = static_cast<double>(b.w.at(bulk, 1).read_between(3s, 5s));
    EXPECT_GE(got * 8 / 2 / 1e9 / payload_share, 0.8);
    EXPECT_LE(b.w.largest_memory[1], 256 * mib);
}

}  // namespace
}  // namespace libp::stripe::sim
