// How an engine treats its subflows: confirmed, silent, drained, dead.

#include <algorithm>

#include "raw_peer.h"

namespace libp::stripe {
namespace {

namespace type = wire::type;

TEST(engine_subflow, what_was_not_confirmed_goes_again_when_its_subflow_dies) {
    raw_peer p;
    const stream_id id = p.e.open({"x"}, p.now);
    p.send({.type = type::open_ok, .stream = id, .offset = 1 << 20});
    p.write(id, std::string(1000, 'a'));
    p.frames(1);
    const std::uint64_t first = p.e.stats(1).sent_bytes;
    p.write(id, std::string(1000, 'b'));
    p.frames(1);
    EXPECT_EQ(p.e.memory(), 2000u);
    p.path_ack(1, first);
    EXPECT_EQ(p.e.memory(), 1000u) << "what is confirmed is let go of";
    p.write(id, std::string(500, 'c'));
    p.frames(1);
    // The last frame has come by another way: an ACK says so. Of the one before only a part has: it
    // goes again as it was.
    p.ack(id, 1000, {{1200, 1300}, {2000, 2500}});
    EXPECT_EQ(p.e.memory(), 1000u);
    p.down();
    EXPECT_EQ(p.e.memory(), 1000u);
    std::vector<wire::header> resent;
    for (const auto& f : p.frames(2)) {
        if (f.head.type != type::data) continue;
        EXPECT_TRUE(f.head.has(wire::flag::resent));
        EXPECT_EQ(f.payload, std::string(1000, 'b'));
        resent.push_back(f.head);
    }
    ASSERT_EQ(resent.size(), 1u);
    EXPECT_EQ(resent[0].offset, 1000u);
    EXPECT_EQ(p.e.stats(2).resent, 1000u);
    p.ack(id, 2500);
    EXPECT_EQ(p.e.memory(), 0u);
}

TEST(engine_subflow, a_subflow_is_drained_by_both_ends) {
    for (const bool ours : {true, false}) {
        raw_peer p;
        const stream_id id = p.e.open({"x"}, p.now);
        p.send({.type = type::open_ok, .stream = id, .offset = 1 << 20});
        p.write(id, "on its way");
        p.frames(1);
        if (ours) p.e.drain(1, p.now);
        if (!ours) {
            EXPECT_FALSE(p.send({.type = type::drain}));
        }
        p.write(id, "elsewhere");
        const auto last = p.frames(1);
        EXPECT_EQ(raw_peer::last_of(last, type::drain).head.type, type::drain);
        EXPECT_EQ(raw_peer::last_of(last, type::data).head.type, 0);
        EXPECT_EQ(raw_peer::last_of(p.frames(2), type::data).payload, "elsewhere");
        if (ours) {
            EXPECT_FALSE(p.send({.type = type::drain}));
        }
        EXPECT_FALSE(p.e.drained(1)) << "not all of it is known to have arrived";
        p.path_ack(1, p.e.stats(1).sent_bytes);
        p.frames(1);
        EXPECT_TRUE(p.e.drained(1));
        p.down();
        for (const auto& f : p.frames(2))
            EXPECT_FALSE(f.head.has(wire::flag::resent));
    }
}

TEST(engine_subflow, a_peer_that_never_drains_is_not_waited_for) {
    raw_peer p;
    p.e.drain(1, p.now);
    const instant start = p.now;
    std::vector<subflow_id> dead;
    while (dead.empty() && p.now < start + 10min) {
        p.now = std::min(p.e.next_timer(), start + 10min);
        p.e.on_timer(p.now);
        // It confirms all that comes, PINGs among it.
        for (const subflow_id id : {1u, 2u}) {
            p.frames(id);
            p.path_ack(id, p.e.stats(id).sent_bytes, id);
        }
        dead = p.e.take_dead();
    }
    EXPECT_EQ(dead, (std::vector<subflow_id>{1}));
    EXPECT_LE(p.now - start, p.options.dead_after + p.options.heartbeat);
}

TEST(engine_subflow, a_fin_goes_again_until_an_ack_has_it) {
    raw_peer p;
    const stream_id id = p.e.open({"x"}, p.now);
    p.send({.type = type::open_ok, .stream = id, .offset = 1 << 20});
    p.write(id, "abc");
    p.e.finish(id, p.now);
    p.frames(1);
    p.ack(id, 3);
    p.down();
    const auto again = raw_peer::last_of(p.frames(2), type::data);
    EXPECT_TRUE(again.head.has(wire::flag::fin));
    EXPECT_EQ(again.head.offset + again.head.length, 3u);
}

TEST(engine_subflow, every_duty_survives_its_subflow) {
    raw_peer p;
    const stream_id ours = p.e.open({"x"}, p.now);
    const stream_id aborted = p.e.open({"y"}, p.now);
    p.open(2);
    p.e.accept(2, p.now);
    p.open(4);
    p.e.refuse(4, {reason::unreachable}, p.now);
    p.frames(1);
    p.e.abort(aborted, {reason::timed_out}, p.now);
    p.frames(1);
    p.down();
    const auto again = p.frames(2);
    EXPECT_EQ(raw_peer::last_of(again, type::open).head.stream, ours);
    EXPECT_EQ(raw_peer::last_of(again, type::open_ok).head.stream, 2u);
    std::vector<std::uint16_t> codes;
    for (const auto& f : again)
        if (f.head.type == type::rst) codes.push_back(f.head.aux);
    EXPECT_EQ(codes,
              (std::vector{wire::code_of(reason::unreachable), wire::code_of(reason::timed_out)}));
}

TEST(engine_subflow, a_death_is_answered_for_the_streams_that_came_on_it) {
    raw_peer p({}, 3);
    const auto acked = [&] {
        std::vector<stream_id> ids;
        for (const subflow_id on : {2u, 3u})
            for (const auto& f : p.frames(on))
                if (f.head.type == type::ack) ids.push_back(f.head.stream);
        std::ranges::sort(ids);
        return ids;
    };
    for (const stream_id id : {2u, 4u, 6u})
        p.open(id);
    p.data(2, 0, "a", false, 1);
    p.data(4, 0, "b", false, 2);
    for (const subflow_id on : {1u, 3u})
        p.data(6, on, "c", false, on);
    for (const subflow_id on : {1u, 2u, 3u})
        p.frames(on);
    p.down();
    EXPECT_EQ(acked(), (std::vector<stream_id>{2, 6}));
    // Another in its place has brought nothing of them.
    p.e.subflow_up(4, {.payload_crc = false}, p.now);
    p.send({.type = type::ping}, {}, 4);
    p.e.subflow_down(4, p.now);
    EXPECT_TRUE(acked().empty());
    p.e.subflow_down(3, p.now);
    EXPECT_EQ(raw_peer::last_of(p.frames(2), type::ack).head.stream, 6u);
}

TEST(engine_subflow, current_credit_and_acks_are_said_again_after_a_death) {
    raw_peer p({.first_window = 256 * kib});
    p.open(2);
    p.e.accept(2, p.now);
    p.frames(1);
    p.path_ack(1, p.e.stats(1).sent_bytes);
    for (std::uint64_t at = 0; at < 256 * kib; at += 64 * kib)
        p.data(2, at, std::string(64 * kib, 'x'));
    p.now += 200ms;
    p.read(2);
    p.data(2, 300 * kib, "y");
    const auto credit = raw_peer::last_of(p.frames(1), type::credit);
    EXPECT_EQ(credit.head.offset, 512 * kib);
    p.down();
    const auto again = p.frames(2);
    EXPECT_EQ(raw_peer::last_of(again, type::credit).head.offset, 512 * kib);
    const auto ack = raw_peer::last_of(again, type::ack);
    EXPECT_EQ(ack.head.offset, 256 * kib);
    EXPECT_EQ(ack.head.aux, 1);
    EXPECT_EQ(load_be64(reinterpret_cast<const std::uint8_t*>(ack.payload.data())), 300 * kib);
}

TEST(engine_subflow, a_path_ack_waits_for_16_kib_at_first_or_10_ms_or_a_ping) {
    raw_peer p;
    const instant idle = p.e.next_timer();
    EXPECT_EQ(idle, p.now + p.options.heartbeat);
    p.open(2);
    p.events();
    EXPECT_FALSE(p.e.wants_transmit(1, p.now));
    EXPECT_EQ(p.e.next_timer(), p.now + 10ms);
    p.now += 9ms;
    p.e.on_timer(p.now);
    EXPECT_FALSE(p.e.wants_transmit(1, p.now));
    p.now += 1ms;
    p.e.on_timer(p.now);
    auto all = p.frames(1);
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all[0].head.type, type::path_ack);
    EXPECT_EQ(all[0].head.offset, wire::header_size);
    EXPECT_EQ(load_be32(reinterpret_cast<const std::uint8_t*>(all[0].payload.data() + 4)), 10'000u);

    p.send({.type = type::pong, .offset = 5});
    EXPECT_GT(p.e.next_timer(), p.now + 1s) << "a PONG elicits nothing";
    p.send({.type = type::ping, .offset = 42});
    all = p.frames(1);
    ASSERT_EQ(all.size(), 2u);
    EXPECT_EQ(all[0].head.offset, 3 * wire::header_size);
    EXPECT_EQ(all[1].head.type, type::pong);
    EXPECT_EQ(all[1].head.offset, 42u);

    p.e.accept(2, p.now);
    p.frames(1);
    p.data(2, 0, std::string(15'000, 'x'));
    EXPECT_FALSE(p.e.wants_transmit(1, p.now));
    p.data(2, 15'000, std::string(2'000, 'x'));
    EXPECT_TRUE(p.e.wants_transmit(1, p.now));
}

TEST(engine_subflow, a_path_ack_waits_for_what_only_has_to_be_read) {
    raw_peer p;
    p.open(2);
    p.e.accept(2, p.now);
    std::uint64_t at = 0;
    const auto come = [&](std::size_t frames) {
        for (; frames > 0; --frames, at += 32 * kib)
            p.data(2, at, std::string(32 * kib, 'x'));
        return p.e.wants_transmit(1, p.now);
    };
    const auto confirmed = [&] {
        const auto all = p.frames(1);
        return raw_peer::last_of(all, type::path_ack).head.type == type::path_ack;
    };
    come(8);  // of which each is confirmed soon: nobody knows the subflow yet
    ASSERT_TRUE(confirmed());
    EXPECT_FALSE(come(1));
    EXPECT_TRUE(come(1)) << "64 KiB";
    ASSERT_TRUE(confirmed());

    p.e.set_more_waits(1, true);
    EXPECT_FALSE(come(7));
    EXPECT_TRUE(come(1)) << "256 KiB";
    ASSERT_TRUE(confirmed());
    EXPECT_FALSE(come(3));
    p.e.set_more_waits(1, false);
    EXPECT_TRUE(p.e.wants_transmit(1, p.now)) << "nothing more came";
    ASSERT_TRUE(confirmed());
    p.e.set_more_waits(1, true);
    EXPECT_FALSE(come(1));
    EXPECT_LE(p.e.next_timer(), p.now + 10ms) << "what was announced may never come";
}

TEST(engine_subflow, an_idle_session_only_beats_its_heart) {
    raw_peer p({}, 1);
    for (int i = 0; i < 5; ++i) {
        const instant next = p.e.next_timer();
        EXPECT_EQ(next, p.now + p.options.heartbeat);
        p.now = next;
        p.e.on_timer(p.now);
        const auto all = p.frames(1);
        ASSERT_EQ(all.size(), 1u);
        EXPECT_EQ(all[0].head.type, type::ping);
        p.send({.type = type::pong});
    }
}

// Alone it has a minute, for it may be the network; not so beside another that answers.
TEST(engine_subflow, a_subflow_that_answers_nothing_is_given_up) {
    for (const subflow_id subflows : {1u, 2u}) {
        SCOPED_TRACE(subflows);
        raw_peer p({}, subflows);
        const instant start = p.now;
        std::vector<subflow_id> dead;
        while (dead.empty() && p.now < start + 10min) {
            p.now = p.e.next_timer();
            p.e.on_timer(p.now);
            p.frames(1);
            if (subflows == 2) {
                p.frames(2);
                p.path_ack(2, p.e.stats(2).sent_bytes, 2);
            }
            dead = p.e.take_dead();
        }
        EXPECT_EQ(dead, (std::vector<subflow_id>{1}));
        const duration given = subflows == 1 ? p.options.dead_after : p.options.heartbeat + 10s;
        EXPECT_GE(p.now, start + given);
        EXPECT_LE(p.now, start + given + given / 8);
        EXPECT_TRUE(p.e.take_dead().empty()) << "said once";
        EXPECT_FALSE(p.e.wants_transmit(1, p.now));
    }
}

// What is idle says nothing either way: it is asked, and when it has answered the silent one is
// looked at again.
TEST(engine_subflow, an_idle_subflow_is_asked_before_a_silent_one_is_distrusted) {
    raw_peer p;
    const stream_id id = p.e.open({"x"}, p.now);
    p.send({.type = type::open_ok, .stream = id, .offset = 1 << 20}, {}, 1);
    p.frames(1);
    p.path_ack(1, p.e.stats(1).sent_bytes);
    p.now += 5s;
    p.write(id, "on the first");
    p.frames(1);
    ASSERT_GT(p.e.stats(1).in_flight, 0u);
    while (!p.e.wants_transmit(2, p.now) && p.e.next_timer() != never) {
        p.now = p.e.next_timer();
        p.e.on_timer(p.now);
        EXPECT_EQ(p.e.stats(1).state, subflow_state::good);
    }
    EXPECT_EQ(raw_peer::last_of(p.frames(2), type::ping).head.type, type::ping);
    p.now += 20ms;
    p.path_ack(2, p.e.stats(2).sent_bytes, 2);
    p.now = p.e.next_timer();
    p.e.on_timer(p.now);
    EXPECT_EQ(p.e.stats(1).state, subflow_state::suspect);
}

TEST(engine_subflow, s06_a_clock_that_jumps_kills_nobody) {
    raw_peer p({}, 1);
    p.now += 1h;  // the machine slept
    p.e.on_timer(p.now);
    EXPECT_TRUE(p.e.take_dead().empty());
    EXPECT_EQ(raw_peer::last_of(p.frames(1), type::ping).head.type, type::ping);
    p.send({.type = type::pong});
    EXPECT_EQ(p.e.next_timer(), p.now + p.options.heartbeat);
}

// With much under way on all subflows. Whichever confirmation is read first makes nobody else look
// silent for an hour.
TEST(engine_subflow, s06_a_clock_that_jumps_starts_no_storm) {
    for (const subflow_id told : {0u, 1u, 2u}) {
        SCOPED_TRACE(told);
        raw_peer p;
        const stream_id id = p.e.open({"x"}, p.now);
        p.send({.type = type::open_ok, .stream = id, .offset = 1 << 20});
        for (int round = 0; round < 20; ++round) {
            for (const subflow_id on : {1u, 2u}) {
                p.path_ack(on, p.e.stats(on).sent_bytes);
                p.write(id, std::string(20'000, 'x'));
                p.frames(on);
            }
            p.now += 30ms;
            p.e.on_timer(p.now);
        }
        const std::size_t in_flight = p.e.stats(1).in_flight + p.e.stats(2).in_flight;
        ASSERT_GE(in_flight, 40'000u);
        const std::uint64_t before = p.e.stats(1).resent + p.e.stats(2).resent;
        p.now += 1h;
        if (told > 0) p.path_ack(told, p.e.stats(told).sent_bytes);
        p.e.on_timer(p.now);
        EXPECT_TRUE(p.e.take_dead().empty());
        for (const subflow_id on : {1u, 2u}) {
            EXPECT_NE(p.e.stats(on).state, subflow_state::stale) << on;
            p.frames(on);
        }
        EXPECT_LE(p.e.stats(1).resent + p.e.stats(2).resent - before, in_flight);
    }
}

TEST(engine_subflow, round_trips_are_measured_without_the_peers_delay) {
    raw_peer p;
    p.e.open({"x"}, p.now);
    p.frames(1);
    p.now += 60ms;
    p.send({.type = type::path_ack, .offset = p.e.stats(1).sent_bytes},
           std::string("\0\0\0\1\0\0\x4e\x20", 8));  // held for 20 ms
    EXPECT_EQ(p.e.stats(1).srtt, 40ms);
}

}  // namespace
}  // namespace libp::stripe
