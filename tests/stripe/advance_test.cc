// Credit for streams that have yet to be opened.

#include "stripe/raw_peer.h"

namespace libp::stripe {
namespace {

namespace type = wire::type;

std::vector<std::pair<stream_id, std::uint64_t>> credits(const std::vector<raw_peer::seen>& all) {
    std::vector<std::pair<stream_id, std::uint64_t>> found;
    for (const auto& f : all)
        if (f.head.type == type::credit) found.emplace_back(f.head.stream, f.head.offset);
    return found;
}
using grants = std::vector<std::pair<stream_id, std::uint64_t>>;

engine_options three_ahead() {
    engine_options o;
    o.streams_ahead = 3;
    o.window_ahead = 64 * kib;
    return o;
}

TEST(advance, the_next_streams_are_granted_some_once) {
    raw_peer p(three_ahead());
    EXPECT_EQ(credits(p.frames(1)), (grants{{2, 64 * kib}, {4, 64 * kib}, {6, 64 * kib}}));
    EXPECT_TRUE(p.frames(1).empty());
    EXPECT_TRUE(p.frames(2).empty());
    EXPECT_EQ(p.e.granted(), 0u) << "no stream is open";
    EXPECT_EQ(p.e.open_streams(), 0u);
}

TEST(advance, a_stream_may_begin_with_all_of_it_and_not_a_byte_more) {
    for (const std::uint64_t beyond : {0, 1}) {
        raw_peer p(three_ahead());
        p.frames(1);
        p.data(4, beyond, std::string(64 * kib, 'x'));
        EXPECT_EQ(p.session_end(), beyond ? reason::flow_control : reason::none);
        if (beyond) continue;
        p.open(4);
        EXPECT_EQ(p.e.memory(), 64 * kib);
        p.e.accept(4, p.now);
        EXPECT_EQ(p.read(4).size(), 64 * kib);
    }
}

TEST(advance, what_was_accepted_makes_room_for_one_more) {
    raw_peer p(three_ahead());
    p.frames(1);
    p.open(2);
    EXPECT_TRUE(credits(p.frames(1)).empty()) << "it goes along with the answer";
    p.e.accept(2, p.now);
    EXPECT_EQ(credits(p.frames(1)), (grants{{8, 64 * kib}}));
    // Ids are used in order, but OPENs overtake each other.
    p.open(8);
    p.e.accept(8, p.now);
    EXPECT_EQ(credits(p.frames(1)), (grants{{10, 64 * kib}}));
}

TEST(advance, so_does_what_was_refused) {
    raw_peer p(three_ahead());
    p.frames(1);
    for (const stream_id id : {2, 4, 6}) {
        p.open(id);
        p.e.refuse(id, {reason::refused}, p.now);
        EXPECT_EQ(credits(p.frames(1)), (grants{{id + 6, 64 * kib}}));
    }
    p.e.check_invariants();
}

TEST(advance, an_id_that_is_reset_before_its_open_gives_its_grant_back) {
    raw_peer p(three_ahead());
    p.frames(1);
    p.rst(2, 0);
    p.rst(4, 0);
    p.open(6);
    p.e.accept(6, p.now);
    EXPECT_EQ(credits(p.frames(1)), (grants{{8, 64 * kib}, {10, 64 * kib}, {12, 64 * kib}}));
    p.e.check_invariants();
}

TEST(advance, a_small_budget_gives_less_or_nothing) {
    engine_options o = three_ahead();
    o.max_streams = 8;
    o.memory_budget = 256 * kib;
    raw_peer some(o);
    const auto granted = credits(some.frames(1));
    ASSERT_EQ(granted.size(), 3u);
    for (const auto& [id, limit] : granted) {
        EXPECT_LT(limit, 16 * kib);
        EXPECT_GT(limit, o.own_initial_credit);
    }
    o.memory_budget = 32 * kib;
    raw_peer none(o);
    EXPECT_TRUE(none.frames(1).empty());
}

TEST(advance, our_stream_begins_with_what_it_was_granted) {
    raw_peer p;
    p.send({.type = type::credit, .stream = 3, .offset = 10'000});
    p.send({.type = type::credit, .stream = 3, .offset = 9'000});
    p.send({.type = type::credit, .stream = 1, .offset = 1});  // less than the initial credit
    for (const std::uint64_t may : {p.options.peer_initial_credit, std::uint64_t{10'000}}) {
        const stream_id id = p.e.open({}, p.now);
        p.write(id, std::string(12'000, 'x'));
        std::uint64_t sent = 0;
        for (const auto& f : p.frames(1))
            if (f.head.type == type::data) sent += f.payload.size();
        EXPECT_EQ(sent, may) << "stream " << id;
    }
}

TEST(advance, a_grant_too_far_ahead_ends_the_session) {
    for (const stream_id n : {wire::streams_ahead_max - 1, wire::streams_ahead_max}) {
        raw_peer p;
        p.send({.type = type::credit, .stream = 1 + 2 * n, .offset = 10'000});
        const bool too_far = n == wire::streams_ahead_max;
        EXPECT_EQ(p.session_end(), too_far ? reason::protocol_error : reason::none);
    }
}

TEST(advance, flows_of_datagrams_leave_their_grants_to_streams) {
    engine_options o;
    o.datagrams = true;
    o.memory_budget = 16 * mib;
    o.max_streams = 1024;
    std::uint64_t granted[2];
    for (const bool ahead : {false, true}) {
        o.streams_ahead = ahead ? 4 : 0;
        raw_peer p(o, 1);
        p.checked = false;
        p.frames(1);
        stream_id id = 2;
        for (int n = 0; n < 200; ++n, id += 2) {
            p.send({.type = type::open, .aux = wire::class_datagrams, .stream = id});
            p.e.accept(id, p.now);
            p.frames(1);
        }
        p.e.check_invariants();
        EXPECT_EQ(p.e.granted(), 0u);
        p.open(id);
        p.e.accept(id, p.now);
        granted[ahead] = raw_peer::last_of(p.frames(1), type::open_ok).head.offset;
    }
    EXPECT_GE(granted[1], granted[0] * 9 / 10);
}

TEST(advance, too_many_gaps_end_the_session_and_nothing_else) {
    engine_options o = three_ahead();
    o.max_streams = 16;
    raw_peer p(o);
    p.checked = false;
    p.frames(1);
    for (stream_id id = 10; id < 10 + 4 * (2 * 16 + 1024); id += 4)
        p.rst(id, 0);
    EXPECT_EQ(p.session_end(), reason::none);
    p.e.check_invariants();
    p.rst(2, 0);
    EXPECT_EQ(p.session_end(), reason::limit);
    p.e.check_invariants();
}

}  // namespace
}  // namespace libp::stripe
