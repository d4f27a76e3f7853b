// What a subflow's estimator makes of confirmations: rates, round trips, and what follows from
// them. No clock but the test's.

#include "stripe/delivery_estimator.h"

#include <libp/stripe/wire.h>

#include <gtest/gtest.h>

#include <deque>

namespace libp::stripe {
namespace {

using mark = delivery_estimator::mark;

// A path on which whatever is sent is confirmed a round trip later.
struct path {
    explicit path(duration handshake_rtt = duration{0}) : e(handshake_rtt, now) {}

    // One round: everything is sent at once, and confirmed at once.
    void round(std::uint64_t bytes, duration rtt, duration held = duration{0}) {
        const mark m = e.on_sent(in_flight, now);
        in_flight = 1;  // there is always more
        sent += bytes;
        now += rtt + held;
        e.on_confirmed(sent, m, held, now);
    }
    void rounds(int n, std::uint64_t bytes, duration rtt) {
        while (n-- > 0)
            round(bytes, rtt);
    }
    // Until it has found out what `rate` (bytes per second) can be had.
    void settle(double rate, duration rtt) {
        const auto bytes = static_cast<std::uint64_t>(rate * seconds(rtt));
        for (int n = 0; n < 100 && e.starting(); ++n)
            round(bytes, rtt);
    }

    instant now{};
    std::uint64_t sent = 0;
    std::size_t in_flight = 0;
    delivery_estimator e;
};

// -- rates ----------------------------------------------------------------------------------------

TEST(estimator, a_rate_is_what_was_confirmed_over_the_time_it_took) {
    path p;
    EXPECT_EQ(p.e.rate(), 0);
    p.round(10'000, 100ms);
    EXPECT_DOUBLE_EQ(p.e.rate(), 100'000);
    p.round(20'000, 100ms);
    EXPECT_DOUBLE_EQ(p.e.rate(), 200'000);
}

TEST(estimator, frames_in_flight_at_once_count_together) {
    path p;
    const mark first = p.e.on_sent(0, p.now);
    const mark second = p.e.on_sent(10'000, p.now + 50ms);
    p.e.on_confirmed(10'000, first, {}, p.now + 100ms);
    EXPECT_DOUBLE_EQ(p.e.rate(), 10'000 / 0.1);
    p.e.on_confirmed(20'000, second, {}, p.now + 150ms);
    EXPECT_DOUBLE_EQ(p.e.rate(), 20'000 / 0.15);
}

// Confirmations that come in a bunch would make it look fast.
TEST(estimator, nothing_is_delivered_faster_than_it_was_sent) {
    path p;
    const mark first = p.e.on_sent(0, p.now);
    const mark second = p.e.on_sent(10'000, p.now + 500ms);
    p.e.on_confirmed(10'000, first, {}, p.now + 900ms);
    const double before = p.e.rate();
    EXPECT_DOUBLE_EQ(before, 10'000 / 0.9);
    const mark third = p.e.on_sent(10'000, p.now + 1000ms);
    p.e.on_confirmed(110'000, second, {}, p.now + 1010ms);
    p.e.on_confirmed(210'000, third, {}, p.now + 1050ms);
    // 200,000 bytes confirmed within 150 ms had been sent within a second; the bunch before that
    // took 1010 ms.
    EXPECT_DOUBLE_EQ(p.e.rate(), 200'000 / 1.0);
}

TEST(estimator, time_with_nothing_in_flight_does_not_count) {
    path p;
    p.round(10'000, 100ms);
    p.now += 10s;
    p.in_flight = 0;
    p.round(10'000, 100ms);
    EXPECT_DOUBLE_EQ(p.e.rate(), 100'000);
}

TEST(estimator, the_rate_is_the_largest_of_late_and_a_lower_one_is_believed_in_time) {
    path p;
    p.rounds(5, 100'000, 50ms);
    p.round(10'000, 50ms);
    EXPECT_DOUBLE_EQ(p.e.rate(), 2e6) << "one slow round says little";
    const instant since = p.now;
    while (p.e.rate() > 1e6 && p.now < since + 1min)
        p.round(10'000, 50ms);
    EXPECT_LE(p.now - since, 3s);
    EXPECT_DOUBLE_EQ(p.e.rate(), 10'000 / 0.05);
}

TEST(estimator, an_application_that_has_little_to_send_does_not_make_a_path_slow) {
    path p;
    p.rounds(5, 100'000, 50ms);
    for (int n = 0; n < 1000; ++n) {
        p.e.on_starved(p.sent);
        p.round(100, 50ms);
    }
    EXPECT_DOUBLE_EQ(p.e.rate(), 2e6);
    p.e.on_starved(p.sent);
    p.round(200'000, 50ms);
    EXPECT_DOUBLE_EQ(p.e.rate(), 4e6) << "what is faster all the same is true";
}

TEST(estimator, a_sample_is_limited_until_what_was_short_is_confirmed) {
    path p;
    p.e.on_starved(0);
    const mark first = p.e.on_sent(0, p.now);
    EXPECT_TRUE(first.limited);
    p.e.on_starved(1000);
    p.e.on_confirmed(1000, first, {}, p.now + 10ms);
    EXPECT_TRUE(p.e.on_sent(0, p.now + 10ms).limited) << "it was short after that, too";
    const mark third = p.e.on_sent(1000, p.now + 10ms);
    p.e.on_confirmed(5000, third, {}, p.now + 20ms);
    EXPECT_FALSE(p.e.on_sent(0, p.now + 20ms).limited);
}

// -- round trips ----------------------------------------------------------------------------------

TEST(estimator, round_trips_are_smoothed_as_rfc_6298_says) {
    path p;
    EXPECT_EQ(p.e.srtt(), duration{0});
    p.round(1000, 80ms);
    EXPECT_EQ(p.e.srtt(), 80ms);
    EXPECT_EQ(p.e.rttvar(), 40ms);
    p.round(1000, 160ms);
    EXPECT_EQ(p.e.rttvar(), 50ms);  // 3/4 of 40 and 1/4 of 80
    EXPECT_EQ(p.e.srtt(), 90ms);    // 7/8 of 80 and 1/8 of 160
    p.round(1000, 90ms);
    EXPECT_EQ(p.e.rttvar(), 37500us);
    EXPECT_EQ(p.e.srtt(), 90ms);
    EXPECT_EQ(p.e.rtt_min(), 80ms);
}

TEST(estimator, what_the_peer_held_a_confirmation_back_for_is_no_part_of_the_way) {
    path p;
    p.round(10'000, 50ms, 25ms);
    EXPECT_EQ(p.e.srtt(), 50ms);
    EXPECT_EQ(p.e.rtt_min(), 50ms);
    EXPECT_DOUBLE_EQ(p.e.rate(), 200'000);
    // A peer may say what it likes.
    const mark m = p.e.on_sent(0, p.now);
    p.e.on_confirmed(p.sent + 1000, m, 10s, p.now + 50ms);
    EXPECT_GT(p.e.rtt_min(), duration{0});
    EXPECT_LT(p.e.srtt(), 50ms);
    const mark n = p.e.on_sent(0, p.now + 1s);
    p.e.on_confirmed(p.sent + 2000, n, -10s, p.now + 1050ms);
    EXPECT_LE(p.e.srtt(), 50ms);
}

TEST(estimator, the_shortest_round_trip_is_forgotten_in_time) {
    path p;
    p.round(1000, 30ms);
    const instant since = p.now;
    while (p.now < since + 4s)
        p.round(1000, 100ms);
    EXPECT_EQ(p.e.rtt_min(), 30ms);
    while (p.now < since + 16s)
        p.round(1000, 100ms);
    EXPECT_EQ(p.e.rtt_min(), 100ms) << "the path has become longer";
    p.round(1000, 20ms);
    EXPECT_EQ(p.e.rtt_min(), 20ms) << "and shorter at once";
}

// A path of 20 ms whose queue, made by ourselves, stands as long as more is in flight than half of
// what it holds.
TEST(estimator, a_queue_that_stands_is_drained_before_it_is_taken_for_the_path) {
    path p;
    p.settle(1e6, 20ms);
    int drained = 0;
    bool draining = false;
    while (p.now < instant{} + 60s) {
        const bool low = p.e.allowance() <= 20'000;
        drained += low && !draining;
        draining = low;
        p.round(20'000, low ? 20ms : 30ms);
        ASSERT_EQ(p.e.rtt_min(), 20ms) << seconds(p.now - instant{});
    }
    EXPECT_GE(drained, 3);
    EXPECT_LE(drained, 12) << "and not all the time";
}

TEST(estimator, a_path_that_has_become_longer_is_believed_in_time) {
    path p;
    p.settle(1e6, 20ms);
    const instant since = p.now;
    while (p.e.rtt_min() != 60ms && p.now < since + 1min)
        p.round(60'000, 60ms);
    EXPECT_EQ(p.e.rtt_min(), 60ms);
    EXPECT_LE(p.now - since, 16s);
}

TEST(estimator, the_handshakes_round_trip_is_the_first) {
    path p(40ms);
    EXPECT_EQ(p.e.rtt_min(), 40ms);
    EXPECT_EQ(p.e.expected_rtt(), 40ms);
    EXPECT_EQ(p.e.rate(), 0);
    EXPECT_GT(p.e.expected_rate(), 0);
    // What is near is expected to be faster.
    EXPECT_GT(path(10ms).e.expected_rate(), p.e.expected_rate());
    EXPECT_LT(path(10ms).e.arrival(0, 1000), p.e.arrival(0, 1000));
    EXPECT_GT(path().e.expected_rtt(), duration{0});
    EXPECT_GT(path().e.expected_rate(), 0);
}

// -- starting -------------------------------------------------------------------------------------

TEST(estimator, the_start_lasts_as_long_as_the_rate_grows) {
    path p;
    std::uint64_t bytes = 10'000;
    for (int n = 0; n < 8; ++n, bytes *= 2) {
        p.round(bytes, 20ms);
        EXPECT_TRUE(p.e.starting()) << n;
    }
    int more = 0;
    for (; p.e.starting() && more < 20; ++more)
        p.round(bytes / 2, 20ms);
    EXPECT_GE(more, 2) << "one round without growth may be chance";
    EXPECT_LE(more, 6);
    p.round(bytes * 4, 20ms);
    EXPECT_FALSE(p.e.starting()) << "it is over for good";
}

TEST(estimator, rounds_with_little_to_send_do_not_end_the_start) {
    path p;
    p.round(100'000, 20ms);
    for (int n = 0; n < 50; ++n) {
        p.e.on_starved(p.sent);
        p.round(1000, 20ms);
    }
    EXPECT_TRUE(p.e.starting());
}

TEST(estimator, one_that_comes_back_starts_again_from_less) {
    path p;
    p.settle(10e6, 20ms);
    ASSERT_FALSE(p.e.starting());
    const double before = p.e.rate();
    p.e.restart(p.now);
    EXPECT_TRUE(p.e.starting());
    EXPECT_GT(p.e.rate(), 0);
    EXPECT_LT(p.e.rate(), before);
    p.settle(10e6, 20ms);
    EXPECT_FALSE(p.e.starting());
    EXPECT_DOUBLE_EQ(p.e.rate(), before);
}

// -- what follows ---------------------------------------------------------------------------------

// What the path holds, and a little more: enough to keep it busy and to find out that it has become
// faster.
TEST(estimator, the_allowance_fills_the_path_and_little_more) {
    for (const double rate : {1e6, 10e6, 100e6})
        for (const duration rtt : {5ms, 40ms, 200ms}) {
            SCOPED_TRACE(std::to_string(rate) + " B/s, " + std::to_string(seconds(rtt)) + " s");
            path p;
            p.settle(rate, rtt);
            ASSERT_FALSE(p.e.starting());
            p.rounds(60, static_cast<std::uint64_t>(rate * seconds(rtt)), rtt);
            const double holds = rate * seconds(rtt);
            const auto allowance = static_cast<double>(p.e.allowance());
            EXPECT_GT(allowance, holds * 1.1);
            EXPECT_LT(allowance, holds * 2 + rate * 0.06 + 64 * 1024);
            EXPECT_LE(p.e.allowance(true), p.e.allowance());
            EXPECT_GT(static_cast<double>(p.e.allowance(true)), holds);
        }
}

// How long it may take to deliver what is in flight.
double worth(const path& p) {
    return static_cast<double>(p.e.allowance()) / p.e.rate();
}

TEST(estimator, a_path_that_delivers_in_clumps_has_more_in_flight) {
    path p;
    p.settle(1e6, 40ms);
    p.rounds(40, 40'000, 40ms);
    EXPECT_LT(worth(p), 0.05 + 0.03);
    for (int n = 0; n < 60; ++n)
        p.round(40'000, n % 2 ? 40ms : 240ms);
    EXPECT_GT(worth(p), 0.05 + 0.03);
    EXPECT_LT(worth(p), 0.05 + 0.03 + 0.4);
    p.rounds(40, 40'000, 40ms);
    EXPECT_LT(worth(p), 0.05 + 0.03) << "it does so no more";
}

// Round trips vary, but it is this end that makes them.
TEST(estimator, a_queue_that_fills_and_drains_is_not_uneven) {
    path p;
    p.settle(1e6, 40ms);
    struct flying {
        mark m;
        std::uint64_t count;
        instant due;
    };
    std::deque<flying> all;
    instant through = p.now;
    double longest = 0;
    for (int n = 0; n < 2000; ++n) {
        // A fifth of a second more than the line takes, then as much less.
        const std::uint64_t size = n / 40 % 2 ? 6000 : 4000;
        const mark m = p.e.on_sent(p.sent - (all.empty() ? p.sent : all.front().count) + 1, p.now);
        p.sent += size;
        through = std::max(through, p.now) + duration(static_cast<std::int64_t>(size) * 1000);
        all.push_back({m, p.sent, through + 40ms});
        p.now += 5ms;
        while (!all.empty() && all.front().due <= p.now) {
            p.e.on_confirmed(all.front().count, all.front().m, {}, all.front().due);
            all.pop_front();
        }
        if (n > 200) longest = std::max(longest, worth(p));
    }
    EXPECT_GT(p.e.rttvar(), 5ms);
    EXPECT_LT(longest, 0.05 + 0.03 + 0.01);
}

TEST(estimator, while_it_starts_it_may_double) {
    path p;
    p.round(100'000, 50ms);
    p.round(200'000, 50ms);
    ASSERT_TRUE(p.e.starting());
    EXPECT_GE(p.e.allowance(), 2 * 200'000u);
}

// The handshake had luck, and nothing after it: by its round trip alone no more would ever be in
// flight than was.
TEST(estimator, while_it_starts_it_may_double_however_long_round_trips_are) {
    path p(20ms);
    std::uint64_t volume = 14'480;
    for (const duration rtt : {190ms, 150ms, 210ms, 240ms, 170ms}) {
        p.round(volume, rtt);
        ASSERT_TRUE(p.e.starting());
        ASSERT_GE(p.e.allowance(), 2 * volume);
        volume *= 2;
    }
}

TEST(estimator, what_came_once_is_not_allowed_where_there_was_too_little_to_send_since) {
    path p(20ms);
    p.round(15'000, 200ms);
    p.round(30'000, 200ms);
    p.round(60'000, 200ms);
    ASSERT_GE(p.e.allowance(), 120'000u);
    p.e.on_starved(p.sent);
    p.round(60'000, 200ms);
    EXPECT_TRUE(p.e.starting());
    EXPECT_LT(p.e.allowance(), 60'000u);
}

// What comes after a silence took as long as the silence did, and says nothing of the path.
TEST(estimator, when_it_starts_again_long_round_trips_count_for_nothing) {
    path p(20ms);
    p.settle(1e6, 20ms);
    p.e.restart(p.now);
    for (const std::uint64_t bytes : {100'000, 200'000, 1'000'000}) {
        p.round(bytes, 1s);
        ASSERT_TRUE(p.e.starting());
        EXPECT_LT(p.e.allowance(), 100'000u);
    }
}

TEST(estimator, there_is_always_room_for_a_frame) {
    EXPECT_GE(path().e.allowance(), path().e.frame(64 * kib));
    path p;
    p.settle(1000, 10ms);
    EXPECT_GE(p.e.allowance(), p.e.frame(64 * kib));
    EXPECT_GE(p.e.allowance(true), p.e.frame(64 * kib));
}

// Else a short path would stand idle between one frame's confirmation and the next frame.
TEST(estimator, there_is_room_for_two_frames_however_fast_it_is) {
    for (const double rate : {1e6, 10e6, 125e6, 3e9}) {
        for (const duration rtt : {duration(50us), duration(200us), duration(20ms)}) {
            path p;
            p.settle(rate, rtt);
            const std::size_t frame = p.e.frame(128 * kib) + wire::header_size + wire::trailer_size;
            for (const bool tight : {false, true})
                EXPECT_GE(p.e.allowance(tight), 2 * frame) << rate << ' ' << tight;
        }
    }
}

TEST(estimator, frames_take_a_few_milliseconds) {
    constexpr std::size_t largest = 64 * kib;
    std::size_t before = 0;
    for (const double rate : {1e4, 1e6, 3e6, 10e6, 1e9}) {
        path p;
        p.settle(rate, 20ms);
        const std::size_t frame = p.e.frame(largest);
        EXPECT_GE(frame, 1 * kib) << rate;
        EXPECT_GE(frame, before) << rate;
        EXPECT_LE(frame, largest) << rate;
        if (rate >= 1e6) {
            EXPECT_LE(static_cast<double>(frame) / rate, 0.01) << rate;
        }
        before = frame;
    }
    EXPECT_EQ(before, largest);
    EXPECT_EQ(path().e.frame(1000), 1000u);
}

TEST(estimator, what_is_sent_arrives_half_a_round_trip_later_and_after_what_waits) {
    path p;
    constexpr double rate = 1e6;
    p.settle(rate, 40ms);
    const std::size_t holds = 40'000;
    EXPECT_NEAR(p.e.arrival(0, 100), 0.02, 1e-9);
    EXPECT_NEAR(p.e.arrival(holds / 2, 100), 0.02, 1e-9);
    EXPECT_NEAR(p.e.arrival(holds, 10'000), 0.02 + 0.01, 1e-9);
    EXPECT_NEAR(p.e.arrival(holds + 50'000, 10'000), 0.02 + 0.06, 1e-9);
}

TEST(estimator, patience_is_longer_than_any_usual_round_trip) {
    EXPECT_GT(path().e.patience(), 200ms) << "nothing is known";
    EXPECT_GT(path(400ms).e.patience(), 800ms) << "but that it is far";
    path near;
    near.rounds(50, 1000, 1ms);
    EXPECT_GE(near.e.patience(), 50ms) << "machines have hiccups";
    EXPECT_LE(near.e.patience(), 500ms);
    path steady, shaky;
    for (int n = 0; n < 50; ++n) {
        steady.round(1000, 300ms);
        shaky.round(1000, n % 2 ? 100ms : 500ms);
    }
    EXPECT_GT(steady.e.patience(), 300ms);
    EXPECT_GT(shaky.e.patience(), 600ms);
    EXPECT_GT(shaky.e.patience(), steady.e.patience());
    path far;
    far.rounds(50, 1000, 20s);
    EXPECT_LE(far.e.patience(), 10s) << "somebody waits";
}

// A hundred confirmations that took as long as each other say that the path is steady now, and not
// that it is.
TEST(estimator, patience_outlives_a_calm_round_trip) {
    path p;
    for (int n = 0; n < 20; ++n)
        p.round(1000, n % 2 ? 100ms : 500ms);
    const duration shaken = p.e.patience();
    std::deque<mark> flying;
    std::uint64_t count = p.sent;
    for (int n = 0; n < 100; ++n) {
        flying.push_back(p.e.on_sent(1000, p.now));
        p.now += 2ms;
    }
    p.now += 100ms;
    for (const mark& m : flying) {
        p.e.on_confirmed(count += 10, m, {}, p.now);
        p.now += 2ms;
    }
    EXPECT_GT(p.e.patience(), shaken / 2);
    p.sent = count;
    p.rounds(40, 1000, 300ms);
    EXPECT_LT(p.e.patience(), 400ms) << "it was long ago";
}

}  // namespace
}  // namespace libp::stripe
