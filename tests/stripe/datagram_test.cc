// Flows of datagrams, seen from a peer played by hand: each datagram once or twice and never again,
// whole, and let go of in time.

#include "raw_peer.h"
#include "stripe/datagram_flow.h"

#include <algorithm>
#include <set>

namespace libp::stripe {
namespace {

namespace type = wire::type;

engine_options with_datagrams() {
    engine_options o;
    o.datagrams = true;
    return o;
}

struct flow_peer : raw_peer {
    explicit flow_peer(engine_options o = with_datagrams(), subflow_id subflows = 2)
        : raw_peer(o, subflows) {}

    stream_id open_flow(bool twice = false, duration ttl = {}) {
        return e.open({.target = "x", .datagrams = true, .ttl = ttl, .twice = twice}, now);
    }
    error peer_opens(stream_id id, std::string_view tlvs = {}) {
        return send({.type = type::open, .aux = wire::class_datagrams, .stream = id}, tlvs);
    }
    error dgram(stream_id id, std::uint64_t number, std::string_view text, std::uint16_t ttl = 0) {
        return send({.type = type::dgram, .aux = ttl, .stream = id, .offset = number}, text);
    }
    void say(stream_id id, std::string_view text, duration ttl = {}) {
        chain c;
        c.append_copy(blocks, bytes_of(text));
        EXPECT_TRUE(e.send_datagram(id, std::move(c), ttl, now).ok());
        e.check_invariants();
    }
    std::vector<seen> datagrams(subflow_id on) {
        auto all = frames(on);
        std::erase_if(all, [](const seen& f) { return f.head.type != type::dgram; });
        return all;
    }
    // Everything there is, and how it ends.
    std::vector<std::string> heard(stream_id id) {
        std::vector<std::string> all;
        for (;;) {
            chain c;
            const io_result r = e.next_datagram(id, c, now);
            e.check_invariants();
            last = r.status;
            if (!r.ok()) return all;
            EXPECT_EQ(r.bytes, c.size());
            all.push_back(c.to_string());
        }
    }
    void pass(duration d) {
        now += d;
        while (e.next_timer() <= now)
            e.on_timer(now);
        e.check_invariants();
    }
    io_status last = io_status::again;
};

std::vector<std::string> texts(const std::vector<raw_peer::seen>& all) {
    std::vector<std::string> out;
    for (const auto& f : all)
        out.push_back(f.payload);
    return out;
}

using list = std::vector<std::string>;

TEST(datagrams, are_sent_as_the_page_says) {
    flow_peer p(with_datagrams(), 1);
    const stream_id id = p.open_flow(true, 150ms);
    p.say(id, "one", 150ms);
    p.say(id, "");
    const auto all = p.frames();
    ASSERT_EQ(all.size(), 3u);
    EXPECT_EQ(all[0].head.type, type::open);
    EXPECT_EQ(all[0].head.aux, 2);
    EXPECT_EQ(all[0].payload, std::string("\0\1\0\1x\0\2\0\3\0\x96\2", 12));
    EXPECT_EQ(all[1].head, (wire::header{type::dgram, 0, 150, 3, id, 0}));
    EXPECT_EQ(all[1].payload, "one");
    EXPECT_EQ(all[2].head, (wire::header{type::dgram, 0, 0, 0, id, 1}));
    EXPECT_EQ(p.e.memory(), 0u) << "nothing is kept to be sent again";
    EXPECT_EQ(p.e.datagrams(id).sent, 2u);
}

TEST(datagrams, come_out_whole_once_and_in_the_order_they_came) {
    flow_peer p;
    p.peer_opens(2, std::string("\0\2\0\3\0\x14\2", 7));
    const auto opened = p.events();
    ASSERT_EQ(opened.size(), 1u);
    EXPECT_TRUE(opened[0].request.datagrams);
    EXPECT_TRUE(opened[0].request.twice);
    EXPECT_EQ(opened[0].request.ttl, 20ms);
    p.e.accept(2, p.now);
    p.dgram(2, 1, "b");
    p.dgram(2, 0, "a");
    p.dgram(2, 1, "b");
    p.dgram(2, 2, "");
    p.dgram(2, 9000, "far");
    p.dgram(2, 3, "too old to know");
    p.dgram(2, 8999, "near");
    EXPECT_EQ(p.events().size(), 1u) << "readable, once";
    EXPECT_EQ(p.heard(2), (list{"b", "a", "", "far", "near"}));
    EXPECT_EQ(p.last, io_status::again);
    EXPECT_EQ(p.e.datagrams().repeated, 2u);
    EXPECT_EQ(p.e.datagrams().received, 5u);
    p.dgram(2, 9001, "more");
    EXPECT_EQ(p.events().size(), 1u);
    EXPECT_EQ(p.heard(2), list{"more"});
    EXPECT_EQ(p.e.memory(), 0u);
}

TEST(datagrams, may_overtake_their_open) {
    flow_peer p;
    p.dgram(2, 0, "early");
    EXPECT_TRUE(p.events().empty());
    p.peer_opens(2);
    const auto events = p.events();
    ASSERT_EQ(events.size(), 2u);
    EXPECT_EQ(events[0].what, event::kind::stream_opened);
    EXPECT_EQ(events[1].what, event::kind::stream_readable);
    EXPECT_EQ(p.heard(2), list{"early"});
}

TEST(datagrams, a_flow_ends_as_a_stream_does) {
    flow_peer p;
    const stream_id id = p.open_flow();
    p.send({.type = type::open_ok, .stream = id});
    p.say(id, "last words");
    p.e.finish(id, p.now);
    const auto all = p.frames();
    EXPECT_EQ(raw_peer::last_of(all, type::dgram).payload, "last words");
    EXPECT_EQ(all.back().head, (wire::header{type::data, wire::flag::fin, 0, 0, id, 0}));
    p.dgram(id, 0, "bye");
    p.data(id, 0, "", true);
    EXPECT_EQ(p.heard(id), list{"bye"});
    EXPECT_EQ(p.last, io_status::fin);
    p.dgram(id, 1, "too late");
    p.ack(id, 0, {}, true);
    p.frames();
    p.path_ack(1, p.e.stats(1).sent_bytes);
    EXPECT_TRUE(p.e.ended(id));
    EXPECT_EQ(p.e.memory(), 0u);
    EXPECT_EQ(p.e.granted(), 0u);
}

TEST(datagrams, a_reset_lets_go_of_everything) {
    flow_peer p;
    p.peer_opens(2);
    p.e.accept(2, p.now);
    p.dgram(2, 0, "unread");
    p.frames();
    for (int i = 0; i < 5; ++i)
        p.say(2, "unsent");
    p.rst(2, 0);
    EXPECT_EQ(p.e.memory(), 0u);
    p.e.check_invariants();
    chain c;
    EXPECT_EQ(p.e.send_datagram(2, std::move(c), {}, p.now).status, io_status::broken);
    EXPECT_EQ(p.e.next_datagram(2, c, p.now).status, io_status::broken);
}

TEST(datagrams, what_died_with_its_subflow_is_not_sent_again) {
    flow_peer p;
    const stream_id id = p.open_flow();
    p.say(id, "gone");
    EXPECT_EQ(p.datagrams(1).size(), 1u);
    p.down();
    EXPECT_TRUE(p.datagrams(2).empty());
    EXPECT_EQ(p.e.datagrams().unsure, 1u);
    p.say(id, "after");
    EXPECT_EQ(texts(p.datagrams(2)), list{"after"});
}

TEST(datagrams, the_oldest_make_room) {
    flow_peer p;
    const stream_id id = p.open_flow();
    for (int i = 0; i < 100; ++i)
        p.say(id, std::to_string(i));
    EXPECT_EQ(p.e.datagrams(id).overrun, 36u);
    const auto sent = texts(p.datagrams(1));
    ASSERT_EQ(sent.size(), 64u);
    EXPECT_EQ(sent.front(), "36");
    EXPECT_EQ(sent.back(), "99");
    for (int i = 0; i < 10; ++i)
        p.say(id, std::string(20'000, 'x'));
    EXPECT_EQ(p.e.datagrams(id).overrun, 36u + 4u) << "128 KiB hold six";

    p.peer_opens(2);
    for (std::uint64_t i = 0; i < 2000; ++i)
        p.dgram(2, i, std::to_string(i));
    EXPECT_EQ(p.e.datagrams(2).unread, 2000u - 1024u);
    const auto heard = p.heard(2);
    ASSERT_EQ(heard.size(), 1024u);
    EXPECT_EQ(heard.back(), "1999");
}

// Flows that nobody reads share an eighth of the budget, and streams still have theirs.
TEST(datagrams, memory_is_bounded_over_all_flows) {
    engine_options o = with_datagrams();
    o.memory_budget = 1 * mib;
    o.max_streams = 64;
    flow_peer p(o);
    for (stream_id id = 2; id < 60; id += 2) {
        p.peer_opens(id);
        for (std::uint64_t i = 0; i < 60; ++i)
            p.dgram(id, i, std::string(1000, 'x'));
    }
    EXPECT_LE(p.e.memory(), o.memory_budget / 8);
    EXPECT_GT(p.e.datagrams().unread, 1000u);
    p.open(60);
    p.e.accept(60, p.now);
    p.data(60, 0, "a stream");
    EXPECT_EQ(p.read(60), "a stream");
    const stream_id ours = p.open_flow(), other = p.open_flow();
    for (int i = 0; i < 64; ++i) {
        p.say(ours, std::string(2000, 'x'));
        p.say(other, std::string(2000, 'x'));
    }
    EXPECT_LE(p.e.memory(), 2 * o.memory_budget / 8);
    EXPECT_FALSE(p.datagrams(1).empty());
}

TEST(datagrams, late_ones_are_not_sent) {
    flow_peer p;
    const stream_id id = p.open_flow();
    p.frames();
    p.say(id, "short", 20ms);
    p.say(id, "long", 200ms);
    // Nothing is known of the subflows: half of 50 ms is what a datagram takes.
    EXPECT_EQ(texts(p.datagrams(1)), list{"long"});
    EXPECT_LE(p.e.next_timer(), p.now + 20ms);
    p.pass(21ms);
    EXPECT_EQ(p.e.datagrams(id).late, 1u);
    EXPECT_EQ(p.e.memory(), 0u);

    p.say(id, "never", 20ms);
    p.e.finish(id, p.now);
    EXPECT_TRUE(p.frames(1).empty());
    p.pass(21ms);
    EXPECT_EQ(raw_peer::last_of(p.frames(1), type::data).head.flags, wire::flag::fin)
        << "the end does not wait for what is not sent";
}

TEST(datagrams, what_is_not_read_in_time_is_dropped) {
    flow_peer p;
    p.peer_opens(2);
    p.dgram(2, 0, "brief", 30);
    p.dgram(2, 1, "lasting");
    p.pass(31ms);
    EXPECT_EQ(p.heard(2), list{"lasting"});
    EXPECT_EQ(p.e.datagrams(2).unread, 1u);
}

// A subflow that owes a confirmation is left at once, and the other that takes the same path is the
// last choice.
TEST(datagrams, leave_a_subflow_that_confirms_nothing) {
    engine_options o = with_datagrams();
    o.even = false;
    flow_peer p(o, 0);
    p.e.subflow_up(1, {.payload_crc = false, .rtt = 20ms, .path = 7}, p.now);
    p.e.subflow_up(2, {.payload_crc = false, .rtt = 30ms, .path = 7}, p.now);
    p.e.subflow_up(3, {.payload_crc = false, .rtt = 40ms, .path = 8}, p.now);
    const stream_id id = p.open_flow();
    p.say(id, "1");
    EXPECT_TRUE(p.datagrams(2).empty() && p.datagrams(3).empty());
    EXPECT_EQ(texts(p.datagrams(1)), list{"1"});
    p.pass(49ms);
    p.say(id, "2");
    EXPECT_EQ(texts(p.datagrams(1)), list{"2"});
    p.pass(2ms);
    p.say(id, "3");
    EXPECT_TRUE(p.datagrams(1).empty() && p.datagrams(2).empty());
    EXPECT_EQ(texts(p.datagrams(3)), list{"3"});
    p.path_ack(1, p.e.stats(1).sent_bytes);
    p.say(id, "4");
    EXPECT_EQ(texts(p.datagrams(1)), list{"4"}) << "it is back";
}

TEST(datagrams, copies_go_by_another_path) {
    flow_peer p(with_datagrams(), 0);
    p.e.subflow_up(1, {.payload_crc = false, .rtt = 20ms, .path = 7}, p.now);
    p.e.subflow_up(2, {.payload_crc = false, .rtt = 20ms, .path = 7}, p.now);
    p.e.subflow_up(3, {.payload_crc = false, .rtt = 40ms, .path = 8}, p.now);
    const stream_id id = p.open_flow(true);
    p.say(id, "twice");
    EXPECT_EQ(texts(p.datagrams(1)), list{"twice"});
    EXPECT_TRUE(p.datagrams(2).empty());
    const auto copies = p.datagrams(3);
    ASSERT_EQ(texts(copies), list{"twice"});
    EXPECT_TRUE(copies[0].head.has(wire::flag::resent));
    EXPECT_EQ(p.e.memory(), 0u);

    // A flow that is not small is sent once.
    for (int i = 0; i < 40; ++i) {
        p.say(id, std::string(1000, 'x'));
        for (subflow_id s : {1u, 3u}) {
            p.datagrams(s);
            p.path_ack(s, p.e.stats(s).sent_bytes);
        }
    }
    EXPECT_LE(p.e.datagrams(id).copies, 12u);
    EXPECT_EQ(p.e.datagrams(id).sent, 41u);
}

TEST(datagrams, a_copy_that_finds_no_way_is_forgotten) {
    flow_peer p;
    const stream_id id = p.open_flow(true);
    p.frames();
    p.say(id, "x");
    p.e.set_congested(2, true, p.now);
    EXPECT_EQ(p.datagrams(1).size(), 1u);
    EXPECT_GT(p.e.memory(), 0u);
    p.e.finish(id, p.now);
    p.pass(100ms);
    EXPECT_EQ(p.e.memory(), 0u);
    EXPECT_EQ(p.e.datagrams(id).late, 0u) << "it was sent once";
    EXPECT_TRUE(raw_peer::last_of(p.frames(1), type::data).head.has(wire::flag::fin));
}

TEST(datagrams, only_so_much_is_in_flight) {
    flow_peer p(with_datagrams(), 1);
    const stream_id id = p.open_flow();
    for (int i = 0; i < 64; ++i)
        p.say(id, std::string(2000, 'x'));
    const auto first = p.datagrams(1);
    EXPECT_LT(first.size(), 20u);
    EXPECT_GT(first.size(), 10u);
    p.path_ack(1, p.e.stats(1).sent_bytes);
    EXPECT_FALSE(p.datagrams(1).empty());
}

// A frame of data may be larger than what a confirmation makes room for: datagrams must not take
// that room again and again.
TEST(datagrams, share_alike_with_data_in_large_frames) {
    engine_options o = with_datagrams();
    o.peer_initial_credit = o.max_window = 1024 * mib;
    flow_peer p(o, 1);
    const stream_id flow = p.open_flow(), bulk = p.e.open({"bulk"}, p.now);
    const std::string datagram(8000, 'd'), text(128 * kib, 'b');
    constexpr std::uint64_t step = 66'000;  // is confirmed at once, and takes 660 us
    std::uint64_t confirmed = 0;
    subflow_stats before;
    for (int i = 0; i < 4000; ++i) {
        if (i == 2000) before = p.e.stats(1);
        for (int frame = 0; p.e.wants_transmit(1, p.now); ++frame) {
            if (frame % 8 == 0) p.write(bulk, text);
            p.say(flow, datagram);
            chain out;
            p.e.transmit(1, out, 1, p.now);
        }
        p.now += 660us;
        const subflow_stats so_far = p.e.stats(1);
        confirmed = std::min(confirmed + step, so_far.sent_bytes);
        p.path_ack(1, confirmed);
        p.ack(bulk, so_far.data_sent);
    }
    const subflow_stats after = p.e.stats(1);
    EXPECT_GT(after.sent_bytes - before.sent_bytes, 100 * mib) << "all that may be";
    EXPECT_NEAR(static_cast<double>(after.data_sent - before.data_sent) /
                    static_cast<double>(after.sent_bytes - before.sent_bytes),
                0.5, 0.05);
}

TEST(datagrams, s14_streams_and_flows_are_not_mixed) {
    using deed = void (*)(flow_peer&);
    const deed deeds[] = {
        [](flow_peer& p) { p.open(2), p.dgram(2, 0, "on a stream"); },
        [](flow_peer& p) { p.peer_opens(2), p.data(2, 0, "on a flow"); },
        [](flow_peer& p) { p.dgram(2, 0, "then a stream"), p.open(2); },
        [](flow_peer& p) { p.data(2, 0, "then a flow"), p.peer_opens(2); },
        [](flow_peer& p) { p.dgram(1, 0, "never opened"); },
        [](flow_peer& p) { p.dgram(p.e.open({"a stream"}, p.now), 0, "x"); },
    };
    for (std::size_t i = 0; i < std::size(deeds); ++i) {
        flow_peer p;
        deeds[i](p);
        EXPECT_EQ(p.session_end(), reason::protocol_error) << i;
        EXPECT_EQ(p.goaway(), wire::code::protocol) << i;
    }
}

TEST(datagrams, s14_are_refused_where_nobody_agreed_on_them) {
    flow_peer p{engine_options{}};
    EXPECT_EQ(p.open_flow(), 0u);
    EXPECT_FALSE(p.peer_opens(2));
    const auto refusal = raw_peer::last_of(p.frames(), type::rst);
    EXPECT_EQ(wire::reason_of(refusal.head.aux), reason::unsupported);
    EXPECT_EQ(p.dgram(4, 0, "x").why, reason::protocol_error);
}

TEST(datagrams, numbers_are_known_for_a_while) {
    number_window w;
    EXPECT_TRUE(w.admit(5));
    EXPECT_TRUE(w.admit(0));
    EXPECT_FALSE(w.admit(5));
    std::set<std::uint64_t> known = {0, 5};
    for (std::uint64_t n = 1; n < 100'000; n += 1 + n % 7)
        EXPECT_EQ(w.admit(n), known.insert(n).second) << n;
    const std::uint64_t last = *known.rbegin();
    for (std::uint64_t n = last - 1023; n < last; ++n)
        EXPECT_EQ(w.admit(n), known.insert(n).second) << n;
    EXPECT_FALSE(w.admit(last - number_window::size));
    EXPECT_TRUE(w.admit(UINT64_MAX));
    EXPECT_FALSE(w.admit(UINT64_MAX));
    EXPECT_FALSE(w.admit(last));
    EXPECT_TRUE(w.admit(UINT64_MAX - 1));
}

}  // namespace
}  // namespace libp::stripe
