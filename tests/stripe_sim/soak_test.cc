// A minute of bad weather after another: subflows are reset, frozen, starved, shaken, swallowed and
// corrupted at random, with streams of all kinds over them. Then the sky clears, and everything
// must come to its end, exact and complete.
//
// SOAK_SEEDS=n runs that many minutes (`make soak` a thousand); LIBP_TEST_SEED=n runs minute n
// alone.

#include "stripe_sim/bond.h"

#include <algorithm>
#include <cstdlib>

namespace libp::stripe::sim {
namespace {

constexpr duration minute = 60s;

std::uint64_t soak_seeds() {
    const char* n = std::getenv("SOAK_SEEDS");
    return n ? std::strtoull(n, nullptr, 10) : debug_build ? 20 : 100;
}

path_shape random_path(test_random& random) {
    path_shape p = path(0.1 + 0.02 * static_cast<double>(random.below(100)),
                        static_cast<double>(1 + random.below(random.one_in(4) ? 300 : 60)),
                        16 + random.below(128));
    if (random.one_in(3)) p.jitter = std::chrono::milliseconds(1 + random.below(200));
    if (random.one_in(3)) p.loss = 0.001 * static_cast<double>(random.below(30));
    return p;
}

stream_plan random_stream(test_random& random) {
    stream_plan p;
    p.opener = static_cast<int>(random.below(2));
    p.start = std::chrono::milliseconds(random.below(50'000));
    if (random.one_in(6)) {
        p.interactive = true;
        p.echo_every = 50ms * (1 + random.below(20));
        p.write_chunk = 64;
        p.up = p.down = 64 * (1 + random.below(200));
        return p;
    }
    p.interactive = random.one_in(5);
    p.up = random.one_in(4) ? 0 : random.below(random.one_in(4) ? 4'000'000 : 20'000);
    p.down = random.one_in(4) ? 0 : random.below(random.one_in(4) ? 4'000'000 : 20'000);
    p.write_chunk = 1 + random.below(100'000);
    for (int side : {0, 1}) {
        if (random.one_in(6)) {
            p.read_chunk[side] = 3000 + random.below(50'000);
            p.read_every[side] = std::chrono::milliseconds(random.below(50));
        }
        if (random.one_in(20))
            p.abort_after[side] = static_cast<std::int64_t>(random.below(100'000));
    }
    p.refuse = random.one_in(30);
    return p;
}

// What one blow of the weather does to a route.
void blow(bond& b, test_random& random) {
    const std::size_t n = random.below(b.net.size());
    route& r = b.net.at(n);
    const auto on = b.net.on(n);
    const int way = static_cast<int>(random.below(2));
    switch (random.below(9)) {
        case 0:
        case 1:
            if (!on.empty()) b.w.close(on[random.below(on.size())], way);
            break;
        case 2:
            r.freeze(true);
            break;
        case 3:
            r.lines[way].freeze(true);
            break;
        case 4:
            r.black_hole(true);
            break;
        case 5:
            r.lines[way].black_hole(true);
            break;
        case 6:
            r.lines[way].reshape(random_path(random));
            break;
        case 7:
            if (!on.empty())
                b.net.flow(on[random.below(on.size())]).corrupt(way, 1 + random.below(100'000));
            break;
        default:
            r.freeze(false);
            r.black_hole(false);
            break;
    }
}

struct outcome_of_a_minute {
    std::uint64_t delivered = 0, twice = 0;
    instant end{};
    friend bool operator==(const outcome_of_a_minute&, const outcome_of_a_minute&) = default;
};

outcome_of_a_minute run_minute(std::uint64_t seed) {
    SCOPED_TRACE(seed_note(seed));
    test_random random(seed * 104'729);
    engine_options o;
    if (random.one_in(3)) o.memory_budget = 2 * mib;
    if (random.one_in(4)) o.max_frame = 16 * kib;
    if (random.one_in(4)) o.max_window = 512 * kib;
    if (random.one_in(4)) o.send_buffer = 16 * kib;
    if (random.one_in(4)) o.own_initial_credit = 0;
    o.max_streams = 400;
    if (random.one_in(4)) o.scheduler = static_cast<scheduler>(random.below(5));
    std::vector<path_shape> paths;
    for (std::uint64_t i = 0; i <= random.below(4); ++i)
        paths.push_back(random_path(random));
    bond b(paths, 1 + random.below(2), seed, o);
    // Every step would take half as long again, and what a step breaks is still broken some steps
    // later. What the simulation itself looks at it does always.
    b.w.check_every = 1 + random.below(200);
    b.w.may_break = true;
    for (std::uint64_t i = 0, n = 1 + random.below(30); i < n; ++i)
        b.w.plan(random_stream(random));

    for (duration at{}; at < minute && !b.w.failed();) {
        at += std::chrono::milliseconds(random.below(3000));
        b.until(std::min(at, minute));
        blow(b, random);
    }
    for (std::size_t n = 0; n < b.net.size(); ++n) {
        b.net.at(n).freeze(false);
        b.net.at(n).black_hole(false);
        for (auto& line : b.net.at(n).lines)
            line.reshape(path(5, 20));
    }
    EXPECT_TRUE(b.w.run(200s)) << "stuck; it is " << seconds(b.w.now - instant{}) << " s";
    // A reset that was swallowed leaves an end that has to find out by itself.
    b.w.run_for(80s);
    for (int n = 0; n < 50 && !b.w.is_quiet(); ++n)
        b.w.run_for(100ms);
    b.w.expect_empty();
    outcome_of_a_minute out;
    for (int side : {0, 1}) {
        EXPECT_FALSE(b.w.apps.session_error[side]) << to_string(b.w.apps.session_error[side]);
        out.delivered += b.w.received(side);
        out.twice += b.w.total(side).resent;
    }
    out.end = b.w.now;
    return out;
}

// In parts that can be run side by side.
constexpr std::size_t parts = 4;
class soak_part : public ::testing::TestWithParam<std::size_t> {};

TEST_P(soak_part, s30_minutes_of_bad_weather) {
    const std::vector<std::uint64_t> seeds = test_seeds(soak_seeds());
    for (std::size_t i = GetParam(); i < seeds.size(); i += parts) {
        const std::uint64_t seed = seeds[i];
        run_minute(seed);
        if (HasFailure()) {
            ADD_FAILURE() << "to see it again: " << seed_note(seed)
                          << " build/bin/test-stripe_sim --gtest_filter='*s30*'";
            break;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(soak, soak_part, ::testing::Range<std::size_t>(0, parts));

TEST(soak, a_minute_can_be_repeated) {
    for (std::uint64_t seed : {3u, 5u, 8u}) {
        const auto first = run_minute(seed);
        EXPECT_GT(first.delivered, 0u);
        EXPECT_EQ(first, run_minute(seed));
    }
}

}  // namespace
}  // namespace libp::stripe::sim
