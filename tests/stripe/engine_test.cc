// What one engine promises its driver and its applications, seen from a peer played by hand.

#include "raw_peer.h"

#include <algorithm>

namespace libp::stripe {
namespace {

namespace type = wire::type;

std::vector<event::kind> kinds(const std::vector<event>& all) {
    std::vector<event::kind> out;
    for (const event& e : all)
        out.push_back(e.what);
    return out;
}

TEST(engine, says_what_the_page_says) {
    raw_peer p({}, 1);
    const stream_id id = p.e.open({"host:80", true}, p.now);
    EXPECT_EQ(id, 1u);
    EXPECT_EQ(p.write(id, "hello"), 5u);
    p.e.finish(id, p.now);
    const auto all = p.frames();
    ASSERT_EQ(all.size(), 2u);
    EXPECT_EQ(all[0].head.type, type::open);
    EXPECT_EQ(all[0].head.aux, 1) << "interactive";
    EXPECT_EQ(all[0].head.offset, p.options.first_window);
    EXPECT_EQ(all[0].payload, std::string("\0\1\0\7host:80", 11));
    EXPECT_EQ(all[1].head.type, type::data);
    EXPECT_EQ(all[1].head.flags, wire::flag::fin);
    EXPECT_EQ(all[1].payload, "hello");

    p.send({.type = type::open_ok, .stream = id, .offset = 100'000});
    p.ack(id, 5, {}, true);
    p.data(id, 0, "world", true);
    EXPECT_EQ(kinds(p.events()),
              (std::vector{event::kind::stream_ready, event::kind::stream_fin_acked,
                           event::kind::stream_readable}));
    EXPECT_EQ(p.read(id), "world");
    const auto answer = p.frames();
    const auto final_ack = raw_peer::last_of(answer, type::ack);
    EXPECT_EQ(final_ack.head.flags, wire::flag::fin);
    EXPECT_EQ(final_ack.head.offset, 5u);
    EXPECT_FALSE(p.e.ended(id)) << "the peer has not confirmed that it knows";
    // A PATH_ACK has no claim on being confirmed itself.
    p.send({.type = type::path_ack, .offset = p.e.stats(1).sent_bytes},
           std::string("\0\0\0\1\0\0\0\0", 8));
    EXPECT_TRUE(p.e.ended(id));
    EXPECT_EQ(p.e.stats(1).in_flight, 0u);
    EXPECT_EQ(p.e.memory(), 0u);
    EXPECT_EQ(p.e.granted(), 0u);
}

TEST(engine, the_first_bytes_go_before_the_answer_and_no_more) {
    raw_peer p;
    const stream_id id = p.e.open({"x"}, p.now);
    p.write(id, std::string(10'000, 'x'));
    std::size_t sent = 0;
    for (const auto& f : p.frames())
        if (f.head.type == type::data) sent += f.payload.size();
    EXPECT_EQ(sent, p.options.peer_initial_credit);
    p.send({.type = type::open_ok, .stream = id, .offset = 6'000});
    const auto more = p.frames();
    EXPECT_EQ(raw_peer::last_of(more, type::data).payload.size(),
              6'000 - p.options.peer_initial_credit);
}

TEST(engine, credit_is_absolute_and_the_greatest_counts) {
    raw_peer p;
    const stream_id id = p.e.open({"x"}, p.now);
    p.send({.type = type::credit, .stream = id, .offset = 9'000});
    p.send({.type = type::credit, .stream = id, .offset = 8'000});
    p.send({.type = type::open_ok, .stream = id, .offset = 5'000});
    p.send({.type = type::credit, .stream = id, .offset = 9'000});
    p.write(id, std::string(20'000, 'x'));
    std::uint64_t sent = 0;
    for (const auto& f : p.frames())
        if (f.head.type == type::data) sent = f.head.offset + f.payload.size();
    EXPECT_EQ(sent, 9'000u);
}

TEST(engine, writers_are_told_when_there_is_room) {
    engine_options o;
    o.send_buffer = 10'000;
    raw_peer p(o);
    const stream_id id = p.e.open({"x"}, p.now);
    p.send({.type = type::open_ok, .stream = id, .offset = 1 << 20});
    EXPECT_EQ(p.write(id, std::string(8'000, 'x')), 8'000u);
    EXPECT_EQ(p.write(id, std::string(8'000, 'x')), 2'000u);
    EXPECT_EQ(p.write(id, "x"), 0u);
    EXPECT_EQ(kinds(p.events()), (std::vector{event::kind::stream_ready}));
    p.frames();
    EXPECT_EQ(kinds(p.events()), (std::vector{event::kind::stream_writable}));
    EXPECT_EQ(p.write(id, "x"), 1u);
    p.frames();
    EXPECT_TRUE(p.events().empty()) << "nobody was refused";
}

TEST(engine, a_window_grows_where_a_quarter_of_it_is_read_in_a_round_trip) {
    const auto granted_after = [](std::uint64_t much, duration reader_takes) {
        raw_peer p({.first_window = 256 * kib});  // the round trip is not known: 50 ms
        p.open(2);
        p.e.accept(2, p.now);
        p.frames();
        for (std::uint64_t at = 0; at < much; at += 64 * kib)
            p.data(2, at, std::string(64 * kib, 'x'));
        p.now += reader_takes;
        p.read(2);
        return raw_peer::last_of(p.frames(), type::credit).head.offset - much;
    };
    EXPECT_EQ(granted_after(64 * kib, 49ms), 512 * kib);
    EXPECT_EQ(granted_after(64 * kib, 50ms), 256 * kib);
    EXPECT_EQ(granted_after(64 * kib, 24ms), 256 * kib) << "too soon to tell";
}

TEST(engine, interactive_streams_go_first_and_starve_nobody) {
    engine_options o;
    o.peer_initial_credit = 16 * mib;
    o.send_buffer = 8 * mib;
    o.scheduler = scheduler::congestion;
    raw_peer p(o);
    const stream_id bulk = p.e.open({"bulk"}, p.now);
    const stream_id quick = p.e.open({"quick", true}, p.now);
    p.write(bulk, std::string(1 * mib, 'b'));
    p.write(quick, std::string(4 * mib, 'q'));
    std::vector<stream_id> order;
    for (const auto& f : p.frames())
        if (f.head.type == type::data) order.push_back(f.head.stream);
    ASSERT_GE(order.size(), 165u);
    EXPECT_EQ(std::count(order.begin(), order.begin() + 32, quick), 32);
    EXPECT_EQ(order[32], bulk);
    EXPECT_EQ(std::count(order.begin(), order.begin() + 165, bulk), 5);
}

TEST(engine, bulk_streams_share_alike) {
    engine_options o;
    o.peer_initial_credit = 16 * mib;
    o.max_frame = 16 * kib;
    raw_peer p(o);
    std::vector<stream_id> ids;
    for (int i = 0; i < 3; ++i) {
        ids.push_back(p.e.open({"x"}, p.now));
        p.write(ids.back(), std::string(256 * kib, 'x'));
    }
    std::map<stream_id, std::size_t> sent;
    for (const auto& f : p.frames()) {
        sent[f.head.stream] += f.payload.size();
        std::size_t least = SIZE_MAX, most = 0;
        for (stream_id id : ids) {
            least = std::min(least, sent[id]);
            most = std::max(most, sent[id]);
        }
        EXPECT_LE(most - least, 64 * kib + 100) << "a quantum apart at most";
    }
}

TEST(engine, no_more_streams_than_agreed) {
    engine_options o;
    o.max_streams = 4;
    raw_peer p(o);
    EXPECT_NE(p.e.open({"x"}, p.now), 0u);
    EXPECT_NE(p.e.open({"x"}, p.now), 0u);
    p.open(2);
    p.data(4, 0, "overtook");
    EXPECT_EQ(p.e.open({"x"}, p.now), 0u);
    p.frames();
    p.open(6);
    const auto refused = raw_peer::last_of(p.frames(), type::rst);
    EXPECT_EQ(refused.head.stream, 6u);
    EXPECT_EQ(refused.head.aux, wire::code_of(reason::limit));
    EXPECT_EQ(p.session_end(), reason::none);
    p.e.refuse(2, {reason::refused}, p.now);
    EXPECT_NE(p.e.open({"x"}, p.now), 0u);
}

TEST(engine, no_more_grants_than_the_budget) {
    engine_options o;
    o.memory_budget = 64 * kib;
    raw_peer p(o);
    std::size_t opened = 0;
    for (stream_id id = 2; id <= 200; id += 2) {
        p.open(id);
        p.e.accept(id, p.now);
        EXPECT_LE(p.e.granted(), o.memory_budget);
    }
    for (const event& e : p.events())
        opened += e.what == event::kind::stream_opened;
    EXPECT_GE(opened, 12u);
    EXPECT_LE(opened, 32u);
    EXPECT_EQ(p.session_end(), reason::none);
}

TEST(engine, a_known_end_gives_back_the_rest_of_the_window) {
    raw_peer p;
    p.open(2);
    p.e.accept(2, p.now);
    EXPECT_EQ(p.e.granted(), p.options.first_window);
    p.data(2, 90, "0123456789", true);
    EXPECT_EQ(p.e.granted(), 100u) << "though most of it has not come";
    p.data(2, 0, std::string(90, 'x'));
    EXPECT_EQ(p.read(2).size(), 100u);
    EXPECT_EQ(p.e.granted(), 0u);
}

TEST(engine, an_open_that_asks_for_the_impossible) {
    raw_peer p;
    const auto refused_for = [&](wire::header h, std::string_view tlvs) {
        static stream_id id = 0;
        h.type = type::open;
        h.stream = id += 2;
        p.send(h, tlvs);
        EXPECT_TRUE(p.events().empty());
        return wire::reason_of(raw_peer::last_of(p.frames(), type::rst).head.aux);
    };
    EXPECT_EQ(refused_for({.aux = 2}, ""), reason::unsupported);
    EXPECT_EQ(refused_for({}, std::string("\x80\x07\0\0", 4)), reason::unsupported);
    EXPECT_EQ(refused_for({}, std::string("\0\1\0\5abc", 7)), reason::protocol_error);
    EXPECT_EQ(refused_for({}, "abc"), reason::protocol_error);
    EXPECT_EQ(refused_for({}, std::string("\0\1\0\1a\0\1\0\1b", 10)), reason::protocol_error)
        << "two targets";
    EXPECT_EQ(refused_for({}, std::string("\0\1\0\0", 4)), reason::protocol_error);
    p.send({.type = type::open, .stream = 100}, std::string("\0\7\0\1?\0\1\0\1t", 10));
    const auto all = p.events();
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all[0].request.target, "t") << "unknown TLVs are skipped";
}

TEST(engine, a_target_of_any_length_and_any_bytes_gets_there_and_one_too_long_is_not_sent) {
    raw_peer p;
    const std::string longest(wire::open_max - 4, '\xff');
    p.send({.type = type::open, .stream = 2}, std::string("\0\1\3\xfc", 4) + longest);
    const auto all = p.events();
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all[0].request.target, longest);
    const std::string ours = longest.substr(0, wire::target_max);
    EXPECT_NE(p.e.open({ours}, p.now), 0u);
    EXPECT_EQ(raw_peer::last_of(p.frames(), type::open).payload.substr(4), ours);
    EXPECT_EQ(p.e.open({ours + "x"}, p.now), 0u);
}

TEST(engine, what_came_in_order_outlives_the_reset) {
    raw_peer p;
    p.open(2);
    p.data(2, 0, "read this");
    p.data(2, 100, "not this");
    p.rst(2, 200, reason::idle_timeout);
    const auto all = p.events();
    ASSERT_EQ(all.size(), 2u);
    EXPECT_EQ(all[0].what, event::kind::stream_opened);
    EXPECT_EQ(all[1].what, event::kind::stream_broken);
    EXPECT_EQ(all[1].why.why, reason::idle_timeout);
    EXPECT_EQ(all[1].unread.to_string(), "read this");
    chain c;
    EXPECT_EQ(p.e.read(2, c, 100, p.now).status, io_status::broken);
    EXPECT_EQ(p.e.memory(), 0u);
}

TEST(engine, no_event_follows_an_abort) {
    raw_peer p;
    p.open(2);
    p.open(4);
    p.data(2, 0, "x");
    p.data(4, 0, "x");
    p.rst(4, 1);
    p.e.abort(2, {reason::local_abort}, p.now);
    p.e.abort(4, {reason::local_abort}, p.now);
    EXPECT_TRUE(p.events().empty());
    EXPECT_EQ(raw_peer::last_of(p.frames(), type::rst).head.aux, wire::code_of(reason::peer_reset));
    p.open(6);
    EXPECT_EQ(p.events().size(), 1u);
}

TEST(engine, letting_go_of_a_stream_that_is_over_resets_nothing) {
    raw_peer p;
    const stream_id id = p.e.open({"x"}, p.now);
    p.e.finish(id, p.now);
    p.frames();
    p.send({.type = type::open_ok, .stream = id});
    p.ack(id, 0, {}, true);
    p.data(id, 0, "", true);
    chain c;
    EXPECT_EQ(p.e.read(id, c, 1, p.now).status, io_status::fin);
    p.e.abort(id, {reason::local_abort}, p.now);
    const auto all = p.frames();
    EXPECT_EQ(raw_peer::last_of(all, type::rst).head.type, 0);
    EXPECT_EQ(raw_peer::last_of(all, type::ack).head.flags, wire::flag::fin);
    p.path_ack(1, p.e.stats(1).sent_bytes);
    EXPECT_TRUE(p.e.ended(id));
}

// OPEN_OK may be on a subflow that dies when the acceptor has nothing more to do with the stream:
// it is not said again then.
TEST(engine, what_is_sent_behind_open_ok_is_an_answer_too) {
    raw_peer p;
    const stream_id id = p.e.open({}, p.now);
    p.write(id, "request");
    p.e.finish(id, p.now);
    p.frames(1);
    p.data(id, 0, "response", true);
    std::size_t ready = 0;
    bool readable_after = false;
    for (const event& e : p.events()) {
        if (e.what == event::kind::stream_ready) ++ready;
        if (e.what == event::kind::stream_readable) readable_after = ready == 1;
    }
    EXPECT_EQ(ready, 1u);
    EXPECT_TRUE(readable_after);
    p.send({.type = type::open_ok, .stream = id, .offset = 1000});
    EXPECT_TRUE(p.events().empty()) << "once is enough";
    EXPECT_EQ(p.read(id), "response");
}

}  // namespace
}  // namespace libp::stripe
