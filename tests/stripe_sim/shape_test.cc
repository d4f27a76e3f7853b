// Scenarios about paths of unequal quality and about streams that share them.

#include "stripe_sim/bond.h"

#include <algorithm>

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
                    constexpr std::uint64_t size = 25 * mib;
                    const std::size_t bulk = b.transfer(false, size);
                    const double took = b.until_read(bulk, 1, size);
                    const double goodput = static_cast<double>(size) / took;
                    // What one connection makes of the better path: a shallow queue is not its
                    // fault.
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
                        // Where the far path's queue is shallow 0.86, for a third of the time is
                        // its connection's start, which is not as quick: 100 MiB reach 0.92. And
                        // 256 KiB are only twice what the smallest paths hold: 0.86 to 0.90.
                        const bool scarce = (rtt == 5 && queue == 64) || window == 256 * kib;
                        EXPECT_GE(goodput, (scarce ? 0.85 : 0.9) * all) << where;
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
    // Two and a half times what the rates give: plain TCP connections both ways take 1.7 times that
    // through such queues.
    EXPECT_LT(seconds(b.w.now - instant{}), 20 * 1.05 * 8 / 30 / payload_share * 2.5);
    b.w.run_for(1s);
    b.w.expect_empty();
}

TEST(scenario, s12_one_that_never_reads) {
    std::uint64_t his = 0;  // what he was sent
    const auto transfer = [&](std::size_t stuck) {
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
        EXPECT_LE(b.w.largest_memory[1], 5 * mib) << "his window, and what passes";
        if (stuck > 0) his = b.w.at(0, 0).written;
        return seconds(b.w.now - instant{});
    };
    const double without = transfer(0), with = transfer(1);
    EXPECT_LE(his, 4 * mib + 256 * kib) << "his window, and what waits to be sent";
    // That takes its time, once. Besides that nobody notices.
    const double for_him = static_cast<double>(his) * 8 / 100e6 / payload_share;
    EXPECT_LE(with - for_him, without / 0.99);
}

TEST(scenario, s13_ten_thousand_streams_of_one_byte_writes) {
    world w(1, {.own_initial_credit = 1024});
    routes net(w);
    net.add(path(200, 5, 1024));
    net.add(path(200, 5, 1024));
    net.dial_all(1);
    // Looking at ten thousand streams is what takes the time.
    w.check_every = 100;
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

// A stream is opened while the bulk transfer's connections find out what their paths can take: some
// OPENs meet one that has just stopped.
TEST(scenario, s22_a_stream_that_is_opened_beside_a_bulk_transfer) {
    const std::vector<path_shape> paths = {path(40, 10), path(20, 30), path(10, 60), path(5, 100)};
    for (unsigned nth = 0; nth < (debug_build ? 3 : 12); ++nth)
        for (const duration start : {250ms, 500ms, 750ms}) {
            bond b(nearly(paths, nth), 2, nth + 1);
            b.transfer(false, 400 * mib);
            const std::size_t echo = b.echo(4, start);
            b.until(start + 1s);
            ASSERT_EQ(b.w.at(echo, 0).latencies.size(), 4u);
            EXPECT_LE(b.w.at(echo, 0).latencies.front(), 120ms) << nth << " " << seconds(start);
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

// A long fat path, which holds 25 MB. The window can only follow what comes through it, but it is
// large enough for the path in the 11th round trip, from 256 KiB as from the 4 MiB that are the
// default; TCP alone, from ten segments, fills the path at that time. How much has come soon after
// is a matter of how the connections' slow start ends: over paths of 170 to 220 ms 0.44 to 0.53 and
// 0.59 to 0.67 of what TCP alone carried were measured after 16 round trips. (Asked are 12 for all
// of it. With all of 64 MiB granted at once it would be 14: subflows are allowed 32 KiB at first,
// and the estimate that they grow by is a round trip old.)
TEST(scenario, s27_the_window_grows_to_a_long_fat_path) {
    for (const bool small : {true, false}) {
        SCOPED_TRACE(small);
        engine_options o;
        o.max_window = 64 * mib;
        o.memory_budget = 256 * mib;
        if (small) o.first_window = 256 * kib;
        const std::vector<path_shape> paths{path(1000, 100, 16 * 1024)};
        bond b(paths, 8, 1, o);
        b.w.check_every = 10;  // with 25 MB in flight it takes longer than everything else
        const std::size_t bulk = b.transfer(false, 2000 * mib);
        std::uint64_t most = 0;
        b.w.after_step = [&] { most = std::max(most, b.w.ends[1]->granted()); };
        const duration rtt = 200ms;
        b.until(rtt);
        EXPECT_LE(most, o.first_window);
        b.until(11 * rtt);
        EXPECT_GE(most, 25'000'000u);
        b.until(16 * rtt);
        EXPECT_LE(most, o.max_window);
        const double got = static_cast<double>(b.w.at(bulk, 1).read) / seconds(16 * rtt);
        EXPECT_GE(got, (small ? 0.55 : 0.85) * libp::sim::greedy(paths, 8, 16 * rtt, 1));
        const double twelfth =
            static_cast<double>(b.w.at(bulk, 1).read_between(11 * rtt, 12 * rtt)) / seconds(rtt);
        EXPECT_GE(twelfth, (small ? 0.5 : 0.9) * 1e9 / 8 * payload_share);
    }
}

// It grows as far as it may, and no further. (It does not shrink when nothing comes for a while:
// what was granted cannot be taken back, and costs nothing until it is used; a window shrinks when
// others need the room, see credit.cc.)
TEST(scenario, s27_the_window_stays_within_its_bound) {
    engine_options o;
    o.first_window = 256 * kib;
    o.max_window = 8 * mib;
    bond b({path(1000, 100, 16 * 1024)}, 8, 1, o);
    std::uint64_t most = 0;
    b.w.after_step = [&] { most = std::max(most, b.w.ends[1]->granted()); };
    const std::size_t bulk = b.transfer(false, 2000 * mib);
    b.until(5s);
    EXPECT_EQ(most, 8 * mib);
    // It is what limits the transfer: more is granted when half of it was read, so that a round
    // trip carries between half of it and all.
    const auto got = static_cast<double>(b.w.at(bulk, 1).read_between(4s, 5s));
    EXPECT_LE(got, 5.0 * 8 * mib * 1.01);
    EXPECT_GE(got, 5.0 * 8 * mib * 0.49);
}

}  // namespace
}  // namespace libp::stripe::sim
