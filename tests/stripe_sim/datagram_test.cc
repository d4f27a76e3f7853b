// Scenarios with flows of datagrams: somebody speaks while paths die, stumble, and carry a bulk
// transfer.

#include <sim/voice.h>

#include "stripe_sim/bond.h"

#include <algorithm>
#include <deque>

namespace libp::stripe::sim {
namespace {

// By round trips of 30, 60 and 50 ms.
const std::vector<path_shape> three = {path(50, 15), path(20, 30), path(30, 25)};

engine_options with_datagrams() {
    engine_options o;
    o.datagrams = true;
    return o;
}

struct call : bond {
    explicit call(const std::vector<path_shape>& paths, std::size_t each = 2,
                  std::uint64_t seed = 1)
        : bond(paths, each, seed, with_datagrams()) {
        w.apps.on_other_event = [this](int side, event& e) {
            return std::ranges::any_of(voices, [&](voice& v) { return v.on_event(side, e); });
        };
    }
    voice& speak(const voice_plan& p) { return voices.emplace_back(w, p); }
    datagram_stats stats(int side) const { return w.ends[side]->datagrams(); }
    duration latency(const voice& v, std::size_t percent) const {
        return percentile(v.latencies(), percent);
    }
    std::deque<voice> voices;
};

// At 3 s the best path falls silent, or its subflows are reset.
TEST(scenario, s23_the_best_path_dies) {
    for (const int opener : {0, 1})
        for (const bool reset : {false, true})
            for (const bool twice : {false, true}) {
                SCOPED_TRACE("opener " + std::to_string(opener) + ", reset " +
                             std::to_string(reset) + ", twice " + std::to_string(twice));
                call c(three);
                voice& v = c.speak({.opener = opener, .twice = twice});
                c.until(3s);
                const auto dying = c.net.on(0);
                duration patience = 200ms;
                for (subflow_id id : dying) {
                    const subflow_stats s = c.w.ends[opener]->stats(id);
                    patience = std::max(patience, s.srtt);
                }
                if (reset)
                    for (subflow_id id : dying)
                        c.w.close(id, 0);
                else
                    c.net.at(0).black_hole(true);
                c.until(9s);
                c.net.at(0).black_hole(false);
                c.until(16s);
                EXPECT_EQ(v.said(), 500u);
                EXPECT_LE(v.longest_outage(), patience);
                if (twice) {
                    EXPECT_EQ(v.lost(), 0u);
                    EXPECT_LE(v.longest_outage(), 20ms + 10ms + 5ms) << "but for the way's length";
                } else {
                    EXPECT_LE(v.lost(), 4u) << "what was on its way, and a round trip's";
                }
                // Late are those that the dead path had, and gave back.
                EXPECT_LE(v.later_than(40ms), twice || reset ? 0u : 6u);
                EXPECT_EQ(v.repeated(), 0u);
                EXPECT_TRUE(v.over());
                c.w.expect_empty();
            }
}

// A path whose carrier repairs losses, with time-outs now and then, holds up what is on it; not
// what comes after.
TEST(scenario, s23_one_path_is_lossy) {
    std::vector<path_shape> lossy = three;
    lossy[0].loss = 0.05;
    for (const bool twice : {false, true}) {
        SCOPED_TRACE(twice);
        call c(lossy);
        voice& v = c.speak({.count = 3000, .ttl = 150ms, .twice = twice});
        c.until(65s);
        EXPECT_EQ(v.lost(), 0u);
        EXPECT_LE(c.latency(v, 95), twice ? 30ms : 80ms);
        EXPECT_LE(v.later_than(100ms), twice ? 0u : 60u);
        EXPECT_LE(v.longest_outage(), twice ? 40ms : 200ms);
        EXPECT_TRUE(v.over());
        c.w.expect_empty();
    }
}

// Where there is no other way they wait: what is late is not sent, the rest goes when it can, and
// none is stuck.
TEST(scenario, s23_late_ones_are_dropped) {
    call c({path(20, 20)}, 1);
    voice& v = c.speak({.ttl = 150ms});
    c.until(3s);
    c.net.at(0).freeze(true);
    c.until(4s);
    c.net.at(0).freeze(false);
    c.until(13s);
    const datagram_stats s = c.stats(0);
    EXPECT_GE(s.late, 25u);
    EXPECT_EQ(s.late, v.lost());
    EXPECT_EQ(s.overrun + c.stats(1).unread, 0u);
    // Late are those that the carrier had when it froze; and it had few.
    EXPECT_LE(v.later_than(200ms), 12u);
    EXPECT_TRUE(v.over());
    c.w.expect_empty();
}

TEST(scenario, s24_calls_beside_bulk) {
    const auto bulk_beside = [](std::size_t calls) {
        call c(three);
        for (std::size_t i = 0; i < calls; ++i)
            c.speak({.count = 600});
        const std::size_t bulk = c.transfer(false, 300 * mib);
        c.until(13s);
        for (voice& v : c.voices) {
            EXPECT_EQ(v.lost(), 0u);
            EXPECT_LE(c.latency(v, 50), 15ms + 30ms);
            EXPECT_LE(c.latency(v, 99), 15ms + 60ms);
        }
        EXPECT_EQ(c.stats(0).overrun, 0u);
        return static_cast<double>(c.w.at(bulk, 1).read_between(4s, 12s));
    };
    const double alone = bulk_beside(0);
    EXPECT_GE(bulk_beside(1), 0.9 * alone);
    EXPECT_GE(bulk_beside(10), 0.9 * alone);
}

// Twice what all paths carry: the oldest are let go of, and the bulk transfer has its half.
TEST(scenario, s24_a_flood_beside_bulk) {
    call c(three);
    voice& v = c.speak({.count = 200'000, .every = 1ms, .size = 1200, .burst = 20});
    const std::size_t bulk = c.transfer(false, 300 * mib);
    c.until(8s);
    const auto rate = static_cast<double>(c.w.at(bulk, 1).read_between(3s, 8s)) * 8 / 5;
    EXPECT_GE(rate, 0.45 * 100e6 * payload_share);
    const datagram_stats s = c.stats(0);
    EXPECT_GE(static_cast<double>(s.sent) * 1200 * 8 / 8, 0.4 * 100e6 * payload_share);
    EXPECT_GT(s.overrun, s.sent);
    EXPECT_EQ(c.stats(1).repeated + c.stats(1).unread, 0u);
    EXPECT_LE(v.later_than(150ms), s.sent / 100);
}

// What waits is new: 64 datagrams of 128 KiB at most, each with what it costs to keep.
TEST(scenario, s24_a_flood_waits_in_little_room) {
    for (const std::size_t size : {100u, 1200u, 20'000u}) {
        SCOPED_TRACE(size);
        call c(three);
        c.speak({.count = 10'000, .every = 1ms, .size = size, .burst = 100});
        std::size_t most = 0;
        c.w.after_step = [&] { most = std::max(most, c.w.ends[0]->memory()); };
        c.until(2s);
        EXPECT_GT(c.stats(0).overrun, 0u);
        EXPECT_LE(most, 128 * kib + 64 * 512);
        EXPECT_GE(most, std::min(64 * size, 128 * kib) / 2);
    }
}

}  // namespace
}  // namespace libp::stripe::sim
