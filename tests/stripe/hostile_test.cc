// Peers that break the protocol: each gets the answer that wire.h gives it, and nobody else is
// harmed.

#include "raw_peer.h"

#include <ctime>
#include <unordered_map>

namespace libp::stripe {
namespace {

namespace type = wire::type;

// The session ends with `code`, the application hears `why`, every subflow gets the GOAWAY.
#define EXPECT_SESSION_END(peer, expected_code, expected_why) \
    do {                                                      \
        EXPECT_EQ((peer).session_end(), expected_why);        \
        EXPECT_EQ((peer).goaway(1), expected_code);           \
        EXPECT_EQ((peer).goaway(2), expected_code);           \
        EXPECT_EQ((peer).e.memory(), 0u);                     \
        EXPECT_EQ((peer).e.open_streams(), 0u);               \
    } while (false)

TEST(hostile, s14_credit_overrun_by_one_byte) {
    raw_peer p;
    p.open(2);
    p.e.accept(2, p.now);
    const std::uint64_t limit = raw_peer::last_of(p.frames(), type::open_ok).head.offset;
    ASSERT_EQ(limit, p.options.first_window);
    EXPECT_FALSE(p.data(2, limit - 1, "x"));
    EXPECT_EQ(p.session_end(), reason::none) << "the last byte granted";
    EXPECT_FALSE(p.data(2, limit, "x")) << "the subflow is not to blame";
    EXPECT_SESSION_END(p, wire::code::flow_control, reason::flow_control);
}

TEST(hostile, s14_initial_credit_overrun_before_open_came) {
    raw_peer p;
    EXPECT_FALSE(p.data(2, 0, std::string(p.options.own_initial_credit, 'x')));
    EXPECT_EQ(p.session_end(), reason::none);
    EXPECT_FALSE(p.data(2, p.options.own_initial_credit, "x"));
    EXPECT_SESSION_END(p, wire::code::flow_control, reason::flow_control);
}

TEST(hostile, s14_offsets_at_the_end_of_numbers) {
    for (std::uint64_t at : {UINT64_MAX, UINT64_MAX - 1, UINT64_MAX / 2}) {
        raw_peer p;
        p.open(2);
        p.data(2, at, "ab");
        EXPECT_SESSION_END(p, wire::code::flow_control, reason::flow_control);
    }
    raw_peer p;
    p.open(2);
    p.rst(2, UINT64_MAX);
    EXPECT_SESSION_END(p, wire::code::flow_control, reason::flow_control);
}

TEST(hostile, s14_the_size_of_a_stream_changes) {
    const auto after_fin_at_10 = [](auto bad) {
        raw_peer p;
        p.open(2);
        p.data(2, 5, "67890", true);
        EXPECT_EQ(p.session_end(), reason::none);
        bad(p);
        EXPECT_SESSION_END(p, wire::code::final_size, reason::protocol_error);
    };
    after_fin_at_10([](raw_peer& p) { p.data(2, 5, "678901", true); });
    after_fin_at_10([](raw_peer& p) { p.data(2, 5, "6789", true); });
    after_fin_at_10([](raw_peer& p) { p.data(2, 10, "x"); });
    after_fin_at_10([](raw_peer& p) { p.data(2, 11, "", true); });
    after_fin_at_10([](raw_peer& p) { p.rst(2, 9); });
    after_fin_at_10([](raw_peer& p) { p.rst(2, 11); });
    // FIN below what has come already.
    raw_peer p;
    p.open(2);
    p.data(2, 20, "x");
    p.data(2, 0, "ab", true);
    EXPECT_SESSION_END(p, wire::code::final_size, reason::protocol_error);
    raw_peer q;
    q.open(2);
    q.data(2, 20, "x");
    q.rst(2, 20);
    EXPECT_SESSION_END(q, wire::code::final_size, reason::protocol_error);
}

TEST(hostile, s14_acknowledgements_of_what_was_never_sent) {
    const auto after_100_sent = [](auto bad) {
        raw_peer p;
        const stream_id id = p.e.open({"x"}, p.now);
        p.write(id, std::string(100, 'x'));
        p.write(id, "");
        p.frames();
        bad(p, id);
        EXPECT_SESSION_END(p, wire::code::ack_range, reason::protocol_error);
    };
    after_100_sent([](raw_peer& p, stream_id id) { p.ack(id, 101); });
    after_100_sent([](raw_peer& p, stream_id id) { p.ack(id, UINT64_MAX); });
    after_100_sent([](raw_peer& p, stream_id id) { p.ack(id, 0, {{10, 101}}); });
    after_100_sent([](raw_peer& p, stream_id id) { p.ack(id, 10, {{5, 20}}); });
    after_100_sent([](raw_peer& p, stream_id id) { p.ack(id, 10, {{10, 20}}); });
    after_100_sent([](raw_peer& p, stream_id id) { p.ack(id, 0, {{10, 20}, {15, 30}}); });
    after_100_sent([](raw_peer& p, stream_id id) { p.ack(id, 0, {{10, 20}, {20, 30}}); });
    after_100_sent([](raw_peer& p, stream_id id) { p.ack(id, 0, {{30, 40}, {10, 20}}); });
    after_100_sent([](raw_peer& p, stream_id id) { p.ack(id, 0, {{20, 10}}); });
    after_100_sent([](raw_peer& p, stream_id id) { p.ack(id, 0, {{20, 20}}); });
    after_100_sent([](raw_peer& p, stream_id id) { p.ack(id, 100, {}, true); });  // no FIN was sent
    after_100_sent([](raw_peer& p, stream_id) { p.path_ack(1, 1 << 20); });
    after_100_sent([](raw_peer& p, stream_id) { p.path_ack(2, 1); });
}

TEST(hostile, s14_acknowledgements_that_are_only_old_or_for_nobody) {
    raw_peer p;
    const stream_id id = p.e.open({"x"}, p.now);
    p.write(id, std::string(100, 'x'));
    p.frames();
    p.ack(id, 50, {{60, 70}, {80, 100}});
    p.ack(id, 10);
    p.ack(id, 100);
    p.path_ack(77, 12345);
    p.path_ack(1, 10);
    p.path_ack(1, 5);
    EXPECT_EQ(p.session_end(), reason::none);
}

TEST(hostile, s14_streams_that_cannot_be) {
    const auto session_error = [](wire::code code, auto bad) {
        raw_peer p;
        bad(p);
        EXPECT_SESSION_END(p, code, reason::protocol_error);
    };
    session_error(wire::code::stream_id, [](raw_peer& p) { p.open(0); });
    session_error(wire::code::stream_id, [](raw_peer& p) { p.open(1); });
    session_error(wire::code::stream_id, [](raw_peer& p) { p.data(0, 0, "x"); });
    session_error(wire::code::stream_id, [](raw_peer& p) { p.rst(0, 0); });
    session_error(wire::code::protocol, [](raw_peer& p) { p.data(1, 0, "x"); });
    session_error(wire::code::protocol, [](raw_peer& p) { p.rst(99, 0); });
    session_error(wire::code::protocol, [](raw_peer& p) { p.ack(2, 0); });
    session_error(wire::code::protocol,
                  [](raw_peer& p) { p.send({.type = type::open_ok, .stream = 2, .offset = 1}); });
    session_error(wire::code::protocol,
                  [](raw_peer& p) { p.send({.type = type::open_ok, .stream = 1, .offset = 1}); });
}

TEST(hostile, s14_credit_beyond_all_numbers) {
    for (std::uint8_t t : {type::open, type::credit}) {
        raw_peer p;
        p.send({.type = t, .stream = 2, .offset = std::uint64_t{1} << 62});
        EXPECT_SESSION_END(p, wire::code::flow_control, reason::flow_control);
    }
}

TEST(hostile, s14_malformed_frames_cost_their_subflow_only) {
    const auto subflow_error = [](const wire::header& h, std::string_view payload = {}) {
        raw_peer p;
        const stream_id id = p.e.open({"x"}, p.now);
        p.write(id, "precious");
        p.frames();
        EXPECT_EQ(p.send(h, payload).why, reason::protocol_error);
        EXPECT_TRUE(p.e.received(1, chain{}, p.now)) << "and stays broken";
        EXPECT_FALSE(p.e.wants_transmit(1, p.now));
        p.down();
        EXPECT_EQ(p.session_end(), reason::none);
        const auto again = p.frames(2);
        EXPECT_EQ(raw_peer::last_of(again, type::open).head.stream, id);
        EXPECT_EQ(raw_peer::last_of(again, type::data).payload, "precious");
    };
    subflow_error({.type = type::hello}, std::string(96, 'x'));
    subflow_error({.type = type::ready});
    subflow_error({.type = 0x30, .stream = 2}, "dgram");
    subflow_error({.type = 0x00});
    subflow_error({.type = type::data, .flags = 0x80, .stream = 2}, "x");
    subflow_error({.type = type::data, .stream = 2}, std::string(128 * kib + 1, 'x'));
    subflow_error({.type = type::data, .stream = 2});
    subflow_error({.type = type::ack, .aux = 1, .stream = 2}, "short");
}

TEST(hostile, s14_a_length_of_four_gigabytes_allocates_nothing) {
    raw_peer p;
    std::string raw(wire::header_size, '\0');
    wire::encode({.type = type::data, .length = UINT32_MAX, .stream = 2},
                 reinterpret_cast<std::uint8_t*>(raw.data()));
    chain c;
    c.append_copy(p.blocks, bytes_of(raw));
    const std::size_t before = p.blocks.in_use();
    EXPECT_EQ(p.e.received(1, std::move(c), p.now).why, reason::protocol_error);
    EXPECT_LE(p.blocks.in_use(), before);
}

TEST(hostile, s14_extensions) {
    raw_peer p;
    EXPECT_FALSE(p.send({.type = 0x40, .flags = 0xf3, .aux = 7, .stream = 9, .offset = 3}, "?"));
    EXPECT_FALSE(p.send({.type = 0x7f}));
    EXPECT_EQ(p.session_end(), reason::none);
    EXPECT_FALSE(p.send({.type = 0x80}));
    EXPECT_SESSION_END(p, wire::code::unsupported, reason::unsupported);
}

TEST(hostile, goaway_ends_the_session_without_an_answer) {
    raw_peer p;
    const stream_id id = p.e.open({"x"}, p.now);
    p.write(id, "lost");
    p.send({.type = type::goaway, .aux = static_cast<std::uint16_t>(wire::code::limit)}, "enough");
    const auto all = p.events();
    ASSERT_EQ(all.size(), 2u);
    EXPECT_EQ(all[0].what, event::kind::stream_broken);
    EXPECT_EQ(all[0].id, id);
    EXPECT_EQ(all[1].what, event::kind::session_broken);
    EXPECT_EQ(all[1].why.why, reason::limit);
    EXPECT_FALSE(p.e.wants_transmit(1, p.now));
    EXPECT_EQ(p.e.open({"y"}, p.now), 0u);
    EXPECT_EQ(p.e.next_timer(), never);
    EXPECT_EQ(p.write(id, "more"), 0u);
}

// A peer that leaves: see wire.h, section 8.
constexpr wire::header goodbye{.type = type::goaway};

TEST(hostile, a_goodbye_waits_for_what_comes_on_other_subflows) {
    raw_peer p;
    const stream_id done = p.e.open({"done"}, p.now), cut = p.e.open({"cut"}, p.now);
    for (const stream_id id : {done, cut}) {
        p.write(id, "abc");
        p.e.finish(id, p.now);
    }
    p.frames(1);
    p.frames(2);
    EXPECT_FALSE(p.send(goodbye, {}, 1));
    EXPECT_TRUE(p.e.peer_leaves());
    EXPECT_FALSE(p.e.is_over());
    // Slower than the goodbye, but said before it.
    p.data(done, 0, "answer", true, 2);
    p.send({.type = type::ack, .flags = wire::flag::fin, .stream = done, .offset = 3}, {}, 2);
    p.data(cut, 0, "ans", false, 2);
    p.events();
    EXPECT_FALSE(p.send(goodbye, {}, 2));
    EXPECT_TRUE(p.e.is_over());
    const auto all = p.events();
    ASSERT_EQ(all.size(), 3u);
    EXPECT_EQ(all[0].what, event::kind::stream_completed);
    EXPECT_EQ(all[0].id, done);
    EXPECT_EQ(all[0].unread.to_string(), "answer");
    EXPECT_EQ(all[1].what, event::kind::stream_broken) << "its end has not come";
    EXPECT_EQ(all[1].why.why, reason::peer_reset);
    EXPECT_EQ(all[1].unread.to_string(), "ans");
    EXPECT_EQ(all[2].what, event::kind::session_broken);
    EXPECT_FALSE(p.e.wants_transmit(1, p.now)) << "a goodbye is not answered";
    EXPECT_EQ(p.e.memory(), 0u);
}

TEST(hostile, a_goodbye_is_complete_when_the_other_subflows_are_gone) {
    raw_peer p;
    EXPECT_FALSE(p.send(goodbye, {}, 2));
    EXPECT_FALSE(p.e.is_over());
    p.down();
    EXPECT_EQ(p.session_end(), reason::peer_reset);
}

TEST(hostile, a_goodbye_that_is_not_said_everywhere_counts_after_5_s) {
    raw_peer p;
    EXPECT_FALSE(p.send(goodbye, {}, 1));
    EXPECT_EQ(p.e.next_timer(), p.now + 5s);
    p.now += 4s;
    EXPECT_FALSE(p.send(goodbye, {}, 1)) << "once more changes nothing";
    EXPECT_FALSE(p.e.is_over());
    p.now += 1s;
    p.e.on_timer(p.now);
    EXPECT_EQ(p.session_end(), reason::peer_reset);
}

TEST(hostile, who_leaves_says_so_on_every_subflow_and_nothing_behind_it) {
    raw_peer p;
    p.write(p.e.open({"x"}, p.now), "lost");
    p.e.leave(p.now);
    EXPECT_TRUE(p.events().empty());
    for (const subflow_id on : {1u, 2u}) {
        const auto all = p.frames(on);
        ASSERT_EQ(all.size(), 1u);
        EXPECT_EQ(all[0].head, goodbye);
        EXPECT_TRUE(p.frames(on).empty());
    }
    EXPECT_EQ(p.e.next_timer(), never);
    EXPECT_EQ(p.e.memory(), 0u);
}

// Every second byte missing: as many ranges as the window has room for.
TEST(hostile, s13_an_explosion_of_ranges_breaks_that_stream_only) {
    raw_peer p({.first_window = 256 * kib});
    p.open(2);
    p.open(4);
    p.e.accept(2, p.now);
    p.frames();
    std::size_t sent = 0;
    while (!p.e.ended(2) && sent < 10000)
        ASSERT_FALSE(p.data(2, 2 * ++sent, "x"));
    EXPECT_LT(sent, 300u);
    EXPECT_EQ(p.session_end(), reason::none);
    EXPECT_EQ(raw_peer::last_of(p.frames(), type::rst).head.aux, wire::code_of(reason::limit));
    EXPECT_FALSE(p.e.ended(4));
    EXPECT_EQ(p.e.memory(), 0u);
}

// Every second byte missing, of many streams: their windows count the bytes, not what it takes to
// hold each by itself.
TEST(hostile, s13_ranges_of_many_streams_fit_the_budget) {
    raw_peer p({.memory_budget = 1 * mib});
    p.checked = false;
    constexpr stream_id streams = 256;
    std::size_t most = 0;
    for (stream_id n = 1; n <= streams; ++n)
        for (std::uint64_t i = 0; i < 64 && !(i > 0 && p.e.ended(2 * n)); ++i) {
            ASSERT_FALSE(p.data(2 * n, 2 * i + 1, "x"));
            most = std::max(most, p.blocks.in_use());
        }
    p.e.check_invariants();
    EXPECT_LE(most, p.options.memory_budget);
    EXPECT_EQ(p.session_end(), reason::none);
    EXPECT_EQ(raw_peer::last_of(p.frames(), type::rst).head.aux, wire::code_of(reason::limit));
    // The first were there before it was too much.
    EXPECT_FALSE(p.e.ended(2));

    // A few gaps are nobody's fault, whatever others have.
    constexpr stream_id honest = 2 * streams + 2;
    p.open(honest);
    for (const std::uint64_t at : {7u, 1u, 5u, 3u})
        p.data(honest, at, "x");
    for (const std::uint64_t at : {4u, 0u, 6u, 2u})
        p.data(honest, at, "y");
    EXPECT_EQ(p.read(honest), "yxyxyxyx");

    for (stream_id n = 1; n <= streams; ++n)
        p.rst(2 * n, 1000);
    EXPECT_EQ(p.e.memory(), 0u);
    p.e.check_invariants();
}

// Opens and resets without end, and never a confirmation.
TEST(hostile, churn_is_bounded) {
    engine_options o;
    o.max_streams = 100;
    raw_peer refused(o);
    std::uint64_t n = 0;
    while (!refused.e.wants_transmit(1, refused.now) || n < 100000) {
        if (refused.open(2 * static_cast<stream_id>(++n))) break;
        for (const event& ev : refused.events())
            if (ev.what == event::kind::stream_opened)
                refused.e.refuse(ev.id, {reason::refused}, refused.now);
        if (refused.goaway() == wire::code::limit) break;
    }
    EXPECT_LT(n, 3000u);

    raw_peer gaps(o);
    for (n = 1; n < 100000; ++n) {
        gaps.rst(4 * static_cast<stream_id>(n), 0);
        if (gaps.session_end() != reason::none) break;
    }
    EXPECT_LT(n, 3000u);
    EXPECT_EQ(gaps.goaway(), wire::code::limit);
}

TEST(hostile, a_peer_that_confirms_nothing_is_given_up) {
    raw_peer p;
    p.checked = false;
    p.open(2);
    p.e.accept(2, p.now);
    p.frames();
    // Each kilobyte read is worth a CREDIT sooner or later; none of them is ever confirmed.
    std::uint64_t at = 0;
    std::size_t rounds = 0;
    while (p.e.take_dead().empty() && ++rounds < 100000) {
        p.data(2, at, std::string(16 * kib, 'x'));
        at += 16 * kib;
        // A repeated byte makes it owe an ACK.
        p.data(2, 0, "x");
        p.read(2);
        for (const subflow_id on : {1u, 2u}) {
            chain out;
            p.e.transmit(on, out, 64 * kib, p.now);
        }
        ASSERT_LE(p.e.memory(), 1 * mib);
    }
    EXPECT_LT(rounds, 100000u);
}

// ... nor does it help to spread that over many subflows.
TEST(hostile, control_frames_that_are_never_confirmed_are_bounded_for_all_subflows) {
    constexpr subflow_id subflows = 8;
    constexpr std::size_t most = 4096 + 16 * 100;
    raw_peer p({.max_streams = 100}, subflows);
    p.checked = false;
    p.open(2);
    p.e.accept(2, p.now);
    for (subflow_id on = 1; on <= subflows; ++on)
        p.frames(on);
    p.data(2, 0, "x");
    std::size_t sent[subflows + 1] = {};
    std::vector<subflow_id> dead;
    // Of one a little more than of the others.
    for (subflow_id on = 1; on <= subflows; ++on) {
        for (subflow_id other = 1; other <= subflows; ++other)
            p.e.set_congested(other, other != on, p.now);
        for (int n = 0; n < 1000 + (on == 3 ? 10 : 0) && dead.empty(); ++n) {
            p.data(2, 0, "x", false, on);
            for (const auto& f : p.frames(on))
                sent[on] += f.head.type == type::ack;
            dead = p.e.take_dead();
        }
    }
    ASSERT_EQ(dead.size(), 1u);
    EXPECT_EQ(dead[0], 3u) << "that which has the most";
    std::size_t all = 0;
    for (const std::size_t n : sent)
        all += n;
    EXPECT_LE(all, most + 1);
    EXPECT_GT(all, most / 2);
    p.e.check_invariants();
    p.e.subflow_down(3, p.now);
    EXPECT_TRUE(p.e.take_dead().empty()) << "and no other";
    p.e.check_invariants();
    EXPECT_EQ(p.session_end(), reason::none);
}

TEST(hostile, control_frames_that_are_confirmed_count_no_more) {
    raw_peer p({.max_streams = 1});
    p.checked = false;
    p.open(2);
    p.e.accept(2, p.now);
    p.data(2, 0, "x");
    std::uint64_t position = 0;
    for (int n = 0; n < 20000; ++n) {
        p.data(2, 0, "x");
        chain out;
        while (p.e.transmit(1, out, 64 * kib, p.now) > 0) {
        }
        position += out.size();
        if (n % 2000 > 0) continue;
        ASSERT_FALSE(p.path_ack(1, position));
    }
    EXPECT_TRUE(p.e.take_dead().empty());
    EXPECT_EQ(p.session_end(), reason::none);
    p.e.check_invariants();
}

// Eight streams of which every byte is in a frame of its own, none ever confirmed: each frame that
// comes asks what there is to be sent, which is nothing.
TEST(hostile, fragments_that_are_never_confirmed_make_nothing_slow) {
    const auto time_of = [](int fragments) {
        raw_peer p;
        p.checked = false;
        p.e.set_scheduler(scheduler::congestion);
        p.e.set_congested(1, true, p.now);
        stream_id ids[8];
        for (stream_id& id : ids)
            id = p.e.open({"x"}, p.now);
        // The other subflow carries something too, so it has to be looked for what could be copied.
        EXPECT_EQ(p.frames(2).size(), 8u);
        p.e.set_congested(1, false, p.now);
        p.e.set_congested(2, true, p.now);
        for (int n = 0; n < fragments; ++n)
            for (const stream_id id : ids) {
                p.write(id, "x");
                chain out;
                p.e.transmit(1, out, 64 * kib, p.now);
                EXPECT_EQ(out.size(), wire::header_size + 1);
            }
        p.e.set_scheduler(scheduler::automatic);
        p.frames(1);
        const std::clock_t began = std::clock();
        for (int n = 0; n < 1000; ++n)
            EXPECT_FALSE(p.e.wants_transmit(1, p.now));
        return std::clock() - began;
    };
    EXPECT_LT(time_of(1500), 4 * time_of(130) + CLOCKS_PER_SEC / 10);
}

// A table of streams that hashes their ids as the standard library does would have all of these in
// one bucket.
TEST(hostile, no_choice_of_ids_is_slow) {
    constexpr stream_id streams = 16384;
    std::unordered_map<stream_id, int> table;
    for (stream_id n = 0; n < streams; ++n)
        table[n] = 0;
    const auto buckets = static_cast<stream_id>(table.bucket_count());
    const auto time_of = [&](stream_id step) {
        raw_peer p({.max_streams = streams});
        p.checked = false;
        const std::clock_t began = std::clock();
        for (stream_id n = 1; n <= streams; ++n)
            p.open(n * step);
        for (stream_id n = 1; n <= streams; ++n)
            p.send({.type = type::credit, .stream = n * step, .offset = 2 << 20});
        EXPECT_EQ(p.e.open_streams(), streams);
        return std::clock() - began;
    };
    ASSERT_LT(std::uint64_t{streams} * 2 * buckets, UINT32_MAX);
    EXPECT_LT(time_of(2 * buckets), 5 * time_of(2) + CLOCKS_PER_SEC / 10);
}

}  // namespace
}  // namespace libp::stripe
