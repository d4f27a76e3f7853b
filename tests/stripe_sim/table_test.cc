// What the striper must reach over given paths, up and down: 60 MiB over 8 subflows, as a fraction
// of the limit (the sum of the rates x 1448/1500) where nothing else is said.

#include "stripe_sim/bond.h"

#include <algorithm>

namespace libp::stripe::sim {
namespace {

constexpr std::uint64_t size = 60 * mib;
constexpr double mbit_of_size = 60 * 1024 * 1024 * 8 / 1e6;

struct result {
    double limit = 0;  // fraction of the sum
    double best = 0;   // of the best path
    double took = 0;
};

result transfer(const std::vector<path_shape>& paths, bool down, double sum, double best,
                std::uint64_t seed = 1, const libp::sim::tcp_options& tcp = {}) {
    bond b(paths, 8 / paths.size(), seed, {}, tcp);
    const std::size_t bulk = b.transfer(down, size);
    const double took = b.until_read(bulk, down ? 0 : 1, size);
    return {mbit_of_size / payload_share / sum / took, mbit_of_size / payload_share / best / took,
            took};
}

void must_reach(double share, const std::vector<path_shape>& paths) {
    double sum = 0, best = 0;
    for (const path_shape& p : paths) {
        double rate = p.bits_per_second;
        if (p.flow_cap > 0)
            rate = std::min(rate, p.flow_cap * (8.0 / static_cast<double>(paths.size())));
        sum += rate / 1e6;
        best = std::max(best, rate / 1e6);
    }
    for (const bool down : {false, true}) {
        const result r = transfer(paths, down, sum, best);
        EXPECT_GE(r.limit, share) << (down ? "down" : "up");
        EXPECT_GE(r.best, 0.95) << (down ? "down" : "up") << ": of the best path";
    }
}

TEST(table, one_route_with_capped_flows) {
    must_reach(0.95, {path(1000, 20, 4096, 0, 10)});
}

// What a session says before there is anything to send goes first and alone on some subflow, and
// must not be taken for all that it can do.
TEST(table, one_route_with_capped_flows_and_a_session_that_stood_idle) {
    for (const bool down : {false, true}) {
        SCOPED_TRACE(down);
        bond b({path(1000, 20, 4096, 0, 10)}, 8);
        const std::size_t bulk = b.transfer(down, size, 1s);
        const double took = b.until_read(bulk, down ? 0 : 1, size) - 1;
        EXPECT_GE(mbit_of_size / payload_share / 80 / took, 0.95);
        for (subflow_id id : b.w.path_ids())
            EXPECT_GE(b.w.ends[down]->stats(id).data_sent, size / 16) << id;
    }
}

TEST(table, four_equal_paths) {
    must_reach(0.97, std::vector<path_shape>(4, path(20, 20)));
}

TEST(table, four_unequal_paths) {
    constexpr unsigned runs = 6;
    for (const bool down : {false, true}) {
        double sum = 0;
        for (unsigned n = 0; n < runs; ++n) {
            const result r = transfer(
                nearly({path(40, 10), path(20, 30), path(10, 60), path(5, 100)}, n), down, 75, 40);
            EXPECT_GE(r.limit, 0.93) << down << " " << n;
            sum += r.limit;
        }
        EXPECT_GE(sum / runs, 0.95) << down;
    }
}

TEST(table, a_good_path_and_a_tiny_one) {
    must_reach(0.95, {path(50, 5), path(2, 150)});
    for (const bool down : {false, true}) {
        EXPECT_GE(transfer({path(50, 5), path(2, 150)}, down, 52, 50).best, 1.0) << down;
    }
}

TEST(table, unequal_queues) {
    must_reach(0.95, {path(20, 10, 64), path(20, 10, 2048)});
}

// A lab's kernel gets 0.80 out of these; here the connections themselves reach 0.79 to 0.81 of the
// limit, so that is what there is to be had: 0.98 of it were measured on the average of six seeds,
// 0.93 at the least.
TEST(table, two_of_four_are_lossy) {
    const std::vector<path_shape> paths = {path(20, 20, 256, 0.01), path(20, 20, 256, 0.002),
                                           path(20, 20), path(20, 20)};
    double ours = 0, tcp = 0;
    const std::uint64_t seeds = 3;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        const double alone = libp::sim::greedy(paths, 8, 8s, seed) * 8 / 80e6 / payload_share;
        for (const bool down : {false, true}) {
            const result r = transfer(paths, down, 80, 20, seed);
            EXPECT_GE(r.limit, 0.74) << "seed " << seed << ", down " << down;
            ours += r.limit / 2;
            tcp += alone / 2;
        }
    }
    EXPECT_GE(ours / seeds, 0.775);
    EXPECT_GE(ours, 0.96 * tcp);
}

// The same with connections that do not take a loss for a sign of congestion.
TEST(table, two_of_four_are_lossy_with_bbr) {
    const std::vector<path_shape> paths = {path(20, 20, 256, 0.01), path(20, 20, 256, 0.002),
                                           path(20, 20), path(20, 20)};
    double sum = 0;
    const std::uint64_t seeds = 3;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
        for (const bool down : {false, true}) {
            const result r = transfer(paths, down, 80, 20, seed,
                                      {.congestion = libp::sim::congestion_control::bbr});
            EXPECT_GE(r.limit, 0.93) << "seed " << seed << ", down " << down;
            sum += r.limit;
        }
    EXPECT_GE(sum / (2 * seeds), 0.95);
}

TEST(table, one_of_four_becomes_a_black_hole) {
    for (const bool down : {false, true}) {
        bond b(std::vector<path_shape>(4, path(20, 20)));
        const std::size_t bulk = b.transfer(down, size);
        const int to = down ? 0 : 1;
        b.until(2s);
        b.net.at(0).black_hole(true);
        const double took = b.until_read(bulk, to, size);
        const double ideal = 2 + (mbit_of_size / payload_share - 2 * 80) / 60;
        EXPECT_LE(seconds(b.w.at(bulk, to).longest_gap), 0.5) << down;
        EXPECT_LE(took, ideal * 1.08) << down;
    }
}

// Three seconds would do, but 2.8 s go by before the connections send anything: their timers have
// doubled six times. What is ours of the rest is the start from nothing after that (3.12 s were
// measured on average, 3.08 s to 3.24 s in all).
TEST(table, all_paths_are_down_for_ten_seconds) {
    constexpr unsigned variants = debug_build ? 2 : 6;
    for (const bool down : {false, true}) {
        double late = 0;
        for (unsigned nth = 0; nth < variants; ++nth) {
            bond b(nearly(std::vector<path_shape>(4, path(20, 20)), nth), 2, nth + 1);
            const std::size_t bulk = b.transfer(down, size);
            b.until(2s);
            for (std::size_t n = 0; n < 4; ++n)
                b.net.at(n).black_hole(true);
            b.until(12s);
            for (std::size_t n = 0; n < 4; ++n)
                b.net.at(n).black_hole(false);
            late +=
                b.until_read(bulk, down ? 0 : 1, size) - (10 + mbit_of_size / payload_share / 80);
        }
        EXPECT_LE(late / variants, 3.2) << down;
    }
}

TEST(table, a_short_transfer_is_no_slower_than_one_connection) {
    constexpr std::uint64_t little = 1 * mib;
    const auto took = [&](std::size_t paths, std::size_t each, bool down, bool warm) {
        bond b(std::vector<path_shape>(paths, path(20, 20)), each);
        if (warm) {
            const std::size_t first = b.transfer(down, 4 * mib);
            b.until_read(first, down ? 0 : 1, 4 * mib);
            b.until(b.w.now - instant{} + 2s);
        }
        const std::size_t n = b.transfer(down, little, b.w.now - instant{});
        const double began = seconds(b.w.now - instant{});
        return b.until_read(n, down ? 0 : 1, little) - began;
    };
    for (const bool down : {false, true}) {
        const double one = took(1, 1, down, false);
        EXPECT_LE(took(4, 2, down, false), one) << down;
        EXPECT_LE(took(4, 2, down, true), one / 2) << down << ": used before";
    }
}

}  // namespace
}  // namespace libp::stripe::sim
