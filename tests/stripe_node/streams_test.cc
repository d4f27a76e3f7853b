// Streams over any number of subflows behave like one good TCP connection each.

#include <libp/stripe/wire.h>

#include <algorithm>

#include "stripe_node/world.h"
#include "support/seed.h"

namespace libp::stripe {
namespace {

void expect_exact(const talker& t, std::uint64_t received) {
    EXPECT_TRUE(t.finished()) << "state " << int(const_cast<talker&>(t).pipe().state().raw());
    EXPECT_TRUE(t.fin_received());
    EXPECT_TRUE(t.exact());
    EXPECT_EQ(t.received(), received);
}

TEST(StripeStreams, ExactBothWaysOverOneToEightSubflows) {
    for (std::size_t subflows = 1; subflows <= 8; ++subflows) {
        SCOPED_TRACE(subflows);
        world w;
        w.b.answer.to_send = 1'500'000;
        w.join_many(subflows);
        talker& t = w.open({.to_send = 2'000'000});
        ASSERT_TRUE(w.run(
            [&] { return t.finished() && !w.b.talkers.empty() && w.b.talkers[0]->finished(); }));
        expect_exact(t, 1'500'000);
        expect_exact(*w.b.talkers[0], 2'000'000);
        for (const link& l : w.links)
            EXPECT_GT(l.moved(), 50'000u) << "a subflow did not share the load";
    }
}

TEST(StripeStreams, TheRequestArrives) {
    world w;
    w.join_many(1);
    talker t(w.loop, w.a.it.open_stream({"host.example:22", true}, 1s), {});
    ASSERT_TRUE(w.run([&] { return t.finished(); }));
    ASSERT_EQ(w.b.requests.size(), 1u);
    EXPECT_EQ(w.b.requests[0].target, "host.example:22");
    EXPECT_TRUE(w.b.requests[0].interactive);
}

// A few bytes and FIN one way, then a lot the other: the reply survives however long the FIN is
// old.
TEST(StripeStreams, HalfCloseBothWaysRound) {
    for (const bool we_ask : {true, false}) {
        for (const std::size_t subflows : {1, 4}) {
            SCOPED_TRACE(testing::Message() << we_ask << " " << subflows);
            world w;
            w.join_many(subflows);
            talker::plan ours{.to_send = we_ask ? 7u : 2'000'000u, .sends_after_fin = !we_ask};
            w.b.answer.to_send = we_ask ? 2'000'000 : 7;
            w.b.answer.sends_after_fin = we_ask;
            talker& t = w.open(ours);
            ASSERT_TRUE(w.run([&] {
                return t.finished() && !w.b.talkers.empty() && w.b.talkers[0]->finished();
            }));
            expect_exact(t, w.b.answer.to_send);
            expect_exact(*w.b.talkers[0], ours.to_send);
        }
    }
}

TEST(StripeStreams, HalfCloseWithALongThink) {
    world w;
    w.join_many(2);
    w.b.answer.fin = false;
    talker& t = w.open({.to_send = 7});
    ASSERT_TRUE(w.run([&] { return !w.b.talkers.empty() && w.b.talkers[0]->fin_received(); }));
    w.idle(10min);
    ASSERT_FALSE(t.broken());
    chain reply;
    append_pattern(reply, w.loop.blocks(), 2, 0, 100'000);
    io_pipe& far = w.b.talkers[0]->pipe();
    ASSERT_TRUE(w.run([&] {
        far.send(reply);
        return reply.empty();
    }));
    far.send_fin();
    ASSERT_TRUE(w.run([&] { return t.finished() && w.b.talkers[0]->finished(); }));
    expect_exact(t, 100'000);
}

TEST(StripeStreams, EmptyBothWays) {
    world w;
    w.join_many(2);
    talker& t = w.open({});
    ASSERT_TRUE(w.run([&] { return t.finished() && w.b.talkers[0]->finished(); }));
    expect_exact(t, 0);
}

TEST(StripeStreams, AResetIsAnErrorAndNeverAnEnd) {
    for (const bool we_reset : {true, false}) {
        for (const bool by_destroying : {true, false}) {
            SCOPED_TRACE(testing::Message() << we_reset << by_destroying);
            world w;
            w.join_many(3);
            w.b.answer.fin = false;
            talker& t = w.open({.to_send = 300'000, .fin = false});
            ASSERT_TRUE(w.run(
                [&] { return !w.b.talkers.empty() && w.b.talkers[0]->received() == 300'000; }));
            auto& victim = we_reset ? w.b.talkers[0] : w.talkers[0];
            auto& cause = we_reset ? w.talkers[0] : w.b.talkers[0];
            if (by_destroying)
                cause.reset();
            else
                cause->pipe().reset();
            ASSERT_TRUE(w.run([&] { return victim->broken(); }));
            EXPECT_TRUE(w.run([&] { return victim->saw_broken(); }));
            EXPECT_EQ(victim->why(), error{reason::peer_reset});
            EXPECT_FALSE(victim->fin_received());
            if (!by_destroying) {
                EXPECT_EQ(cause->why(), error{reason::local_abort});
            }
            EXPECT_TRUE(w.run([&] { return w.a.it.open_streams() + w.b.it.open_streams() == 0; }));
            static_cast<void>(t);
        }
    }
}

// What was sent before it is lost, and that must not look like an end.
TEST(StripeStreams, ARefusalHasAReason) {
    world w;
    w.join_many(2);
    w.b.accepts = false;
    talker& t = w.open({.to_send = 1000});
    ASSERT_TRUE(w.run([&] { return t.broken(); }));
    EXPECT_FALSE(t.pipe().has(io_flag::ready));
    EXPECT_EQ(t.why(), error{reason::permission});
    EXPECT_FALSE(t.fin_received());
    EXPECT_EQ(w.b.talkers[0]->why(), error{reason::permission});
    EXPECT_TRUE(w.run([&] { return w.a.it.flushed() && w.b.it.flushed(); }));
}

// A session in which a stream has been answered, and stays open.
struct in_use : world {
    in_use() {
        join_many(2);
        EXPECT_TRUE(run([&] { return first.pipe().has(io_flag::ready); }));
    }
    talker& first = open({.to_send = 10, .fin = false});
};

// So that who speaks first need not wait for an answer: a whole round trip.
TEST(StripeStreams, WhatIsSentAtOnceArrivesWithTheOpen) {
    in_use w;
    w.b.answers = false;
    const std::uint64_t much = 100'000;
    talker& t = w.open({.to_send = much});
    EXPECT_TRUE(t.pipe().has(io_flag::writable));
    ASSERT_TRUE(w.run([&] { return w.b.offered.size() == 1; }));
    EXPECT_FALSE(t.pipe().has(io_flag::ready));
    w.idle(1s);
    for (link& l : w.links)
        l.freeze();
    EXPECT_FALSE(w.b.offered[0]->has(io_flag::readable)) << "nobody has accepted it";
    w.b.offered[0]->accept();
    talker far(w.loop, std::move(w.b.offered[0]), {.receive_seed = 1});
    ASSERT_TRUE(w.run([&] { return far.fin_received(); }));
    EXPECT_EQ(far.received(), much);
    EXPECT_TRUE(far.exact());
}

// The acceptor has ended with the stream before its answer came, and the subflow that the answer
// was on dies.
TEST(StripeStreams, AResponseOutlivesTheAnswerThatItOvertook) {
    for (const std::size_t dies : {0, 1}) {
        node_options o;
        o.engine.scheduler = scheduler::round_robin;
        world w(o, o);
        w.join_many(2);
        w.idle(100ms);
        w.b.answers = false;
        talker& t = w.open({.to_send = 500});
        ASSERT_TRUE(w.run([&] { return w.b.offered.size() == 1; }));
        w.idle(50ms);
        w.links[dies].freeze();
        w.b.offered[0]->accept();
        w.idle(1ms);
        talker far(w.loop, std::move(w.b.offered[0]),
                   {.to_send = 500, .send_seed = 2, .receive_seed = 1});
        w.run([&] { return far.finished(); }, 100ms);
        w.idle(50ms);
        w.links[dies].cut();
        ASSERT_TRUE(w.run([&] { return t.finished(); }));
        EXPECT_EQ(t.received(), 500u);
        EXPECT_TRUE(t.exact());
    }
}

TEST(StripeStreams, AnAnswerThatDoesNotComeInTimeIsABreakAtBothEnds) {
    in_use w;
    talker& answered = w.open({.to_send = 10, .fin = false}, 2s);
    ASSERT_TRUE(w.run([&] { return answered.pipe().has(io_flag::ready); }));
    w.b.answers = false;
    const instant began = w.loop.now();
    talker& t = w.open({.to_send = 1000}, 2s);
    ASSERT_TRUE(w.run([&] { return t.broken(); }));
    EXPECT_EQ(t.why(), error{reason::timed_out});
    EXPECT_EQ(w.loop.now() - began, 2s);
    ASSERT_EQ(w.b.offered.size(), 1u);
    ASSERT_TRUE(w.run([&] { return w.b.offered[0]->has(io_flag::broken); }));
    EXPECT_EQ(w.b.offered[0]->why(), error{reason::timed_out});
    w.idle(10s);
    EXPECT_FALSE(answered.broken());
}

TEST(StripeStreams, ATargetThatIsNotAllowedCostsThatStreamAlone) {
    in_use w;
    w.b.accepts = false;
    w.b.refusal = reason::not_allowed;
    talker t(w.loop, w.a.it.open_stream({"10.0.0.1:22"}, 1s), {.to_send = 10});
    ASSERT_TRUE(w.run([&] { return t.broken(); }));
    EXPECT_EQ(t.why(), error{reason::not_allowed});
    EXPECT_FALSE(t.pipe().has(io_flag::ready));
    EXPECT_FALSE(w.first.broken());
}

// The request waits along with its stream; what is in it is any bytes to the node.
TEST(StripeStreams, ATargetArrivesThoughThereWasNoSessionYet) {
    for (const std::string& target : {std::string("host.example:22"), std::string("\0\n\xff", 3),
                                      std::string(wire::target_max, 'x')}) {
        world w;
        talker t(w.loop, w.a.it.open_stream({target}, 5s), {});
        w.idle(1s);
        w.join_many(1);
        ASSERT_TRUE(w.run([&] { return t.finished(); }));
        ASSERT_EQ(w.b.requests.size(), 1u);
        EXPECT_EQ(w.b.requests[0].target, target);
    }
    world w;
    w.join_many(1);
    talker t(w.loop, w.a.it.open_stream({std::string(wire::target_max + 1, 'x')}, 5s), {});
    ASSERT_TRUE(w.run([&] { return t.broken(); }));
    EXPECT_EQ(t.why(), error{reason::limit}) << "more than an OPEN holds";
    EXPECT_EQ(w.a.it.sessions(), 1u);
}

TEST(StripeStreams, ANodeThatServesNobodyRefuses) {
    event_loop loop(std::make_unique<sim_poller>());
    log quiet;
    node client(loop, quiet, {}), other(loop, quiet, {});
    auto [p, q] = make_memory_pair(loop);
    client.adopt(std::move(p), "p");
    other.adopt(std::move(q), "q");
    talker t(loop, client.open_stream({}, 1s), {});
    const instant end = loop.now() + 5s;
    while (!t.broken() && loop.now() < end)
        loop.turn(end);
    EXPECT_EQ(t.why(), error{reason::refused_by_peer});
}

TEST(StripeStreams, ManyAtOnce) {
    constexpr std::size_t streams = 2000;
    constexpr std::uint64_t each = 64 * kib;
    world w;
    w.b.answer.to_send = each;
    w.join_many(4);
    for (std::size_t i = 0; i < streams; ++i)
        w.open({.to_send = each});
    const auto done = [&] {
        return w.b.talkers.size() == streams &&
               std::ranges::all_of(w.talkers, [](const auto& t) { return t->finished(); }) &&
               std::ranges::all_of(w.b.talkers, [](const auto& t) { return t->finished(); });
    };
    std::size_t most = 0;
    ASSERT_TRUE(w.run([&] {
        most = std::max(most, w.loop.blocks().in_use());
        return most > 512 * mib || done();
    }));
    // Both nodes live here, so twice one node's budget; and never more than there is to send.
    EXPECT_LT(most, 512 * mib);
    for (const auto& t : w.talkers)
        expect_exact(*t, each);
    for (const auto& t : w.b.talkers)
        expect_exact(*t, each);
    EXPECT_TRUE(w.run([&] { return w.a.it.flushed() && w.b.it.flushed(); }));
}

TEST(StripeStreams, AReaderThatNeverReadsStallsNobodyElse) {
    constexpr std::uint64_t each = 6 * mib;  // more than a stream's first window
    world w;
    w.join_many(2);
    w.b.answer.reads = false;
    for (int i = 0; i < 20; ++i)
        w.open({.to_send = each});
    ASSERT_TRUE(w.run([&] { return w.b.talkers.size() == 20; }));
    w.idle(5s);
    w.b.answer.reads = true;
    talker& t = w.open({.to_send = each});
    ASSERT_TRUE(w.run([&] { return t.finished(); }));
    for (std::size_t i = 0; i < 20; ++i) {
        EXPECT_EQ(w.b.talkers[i]->received(), 0u);
        EXPECT_LT(w.talkers[i]->sent(), each) << "nothing holds the sender back";
    }
    // And they were only held, not lost.
    for (std::size_t i = 0; i < 20; ++i)
        w.b.talkers[i]->read_now();
    ASSERT_TRUE(w.run([&] {
        return std::ranges::all_of(w.b.talkers, [](const auto& o) { return o->finished(); });
    }));
    for (const auto& far : w.b.talkers)
        expect_exact(*far, each);
}

TEST(StripeStreams, MemoryIsBoundedHoweverManyReadersDoNotRead) {
    node_options small{.memory_budget = 8 * mib, .max_sessions = 1};
    world w(small, small);
    w.join_many(2);
    w.b.answer.reads = false;
    for (int i = 0; i < 200; ++i)
        w.open({.to_send = 1 * mib});
    w.idle(10s);
    // A node's share, and a transmit batch and a memory pipe each way for every subflow.
    EXPECT_LT(w.loop.blocks().in_use(), 2 * (8 * mib + 2 * 4 * 256 * kib));
    w.b.answer.reads = true;
    talker& t = w.open({.to_send = 1 * mib});
    EXPECT_TRUE(w.run([&] { return t.finished(); })) << "the others hold all the memory";
}

TEST(StripeStreams, NobodyIsCalledFromInsideACall) {
    world w;
    w.join_many(2);
    struct probe {
        std::unique_ptr<io_pipe> pipe;
        bool inside = false, called_inside = false;
        void on_pipe(io_flags) { called_inside |= inside; }
    };
    probe p{w.a.it.open_stream({}, 1s)};
    p.inside = true;
    p.pipe->attach(io_handler::to<&probe::on_pipe>(p));
    p.inside = false;
    ASSERT_TRUE(w.run([&] { return p.pipe->has(io_flag::writable); }));
    p.inside = true;
    chain data;
    append_pattern(data, w.loop.blocks(), 1, 0, 600'000);
    p.pipe->send(data);
    p.pipe->send_fin();
    p.pipe->reset();
    p.inside = false;
    EXPECT_FALSE(p.called_inside);
    w.idle(1s);
}

}  // namespace
}  // namespace libp::stripe
