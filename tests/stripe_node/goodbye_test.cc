// The clean end of a node: what is completed, what is cut, and what both ends know of it.

#include <algorithm>
#include <ctime>

#include "stripe_node/world.h"

namespace libp::stripe {
namespace {

struct closing {
    bool closed = false;
    void on_closed() { closed = true; }
    delegate<void()> call() { return delegate<void()>::to<&closing::on_closed>(*this); }
};

// A stream has just ended at a; its last acknowledgement has yet to go to b.
struct just_ended : world {
    just_ended() {
        join_many(2);
        b.answer.sends_after_fin = true;
        talker& t = open({.to_send = 100'000});
        EXPECT_TRUE(run([&] { return t.finished(); }));
    }
};

TEST(StripeGoodbye, ACleanCloseLosesNothing) {
    world w;
    w.join_many(3);
    w.b.answer.to_send = 300'000;
    talker& t = w.open({.to_send = 300'000});
    ASSERT_TRUE(w.run([&] { return t.finished(); }));
    // The peer's FIN was read this very turn: its acknowledgement has yet to go.
    closing end;
    w.a.it.close(end.call());
    ASSERT_TRUE(w.run([&] { return end.closed; }, 1s));
    EXPECT_TRUE(w.run([&] { return w.b.talkers[0]->finished(); }, 1s));
    EXPECT_EQ(w.a.it.sessions(), 0u);
}

TEST(StripeGoodbye, ACleanCloseTellsTheStreamsOfTheOtherEnd) {
    world w;
    w.join_many(2);
    w.b.answer.fin = false;
    talker& t = w.open({.to_send = 300'000, .fin = false});
    ASSERT_TRUE(
        w.run([&] { return !w.b.talkers.empty() && w.b.talkers[0]->received() == 300'000; }));
    w.a.it.close({});
    ASSERT_TRUE(w.run([&] { return w.b.talkers[0]->broken(); }, 1s));
    EXPECT_EQ(t.why(), error{reason::local_abort});
    EXPECT_EQ(w.b.talkers[0]->why(), error{reason::peer_reset});
}

TEST(StripeGoodbye, ACleanCloseEndsTheSessionAtBothEnds) {
    world w;
    w.join_many(4);
    talker& t = w.open({.to_send = 300'000});
    ASSERT_TRUE(w.run([&] { return t.finished(); }));
    closing end;
    w.a.it.close(end.call());
    // At once: there is no need to wait for anybody to come back.
    EXPECT_TRUE(w.run([&] { return end.closed && w.b.it.sessions() == 0; }, 100ms));
    EXPECT_TRUE(w.b.talkers[0]->finished());
    EXPECT_EQ(w.b.lines.count("info session id="), 2u) << "it came up, and went down without harm";
    EXPECT_EQ(w.b.lines.count("state=down end=ok streams=0"), 1u);
    EXPECT_EQ(w.b.lines.count("state=down end=ok sent="), 4u) << "subflows";
    EXPECT_EQ(w.b.lines.count("why="), 0u) << "nothing broke";
}

// The goodbye that came on one subflow is one for those that were cut before theirs came.
TEST(StripeGoodbye, WhatDiesBehindTheGoodbyeHasNotBroken) {
    world w;
    w.join_many(2);
    w.idle(100ms);
    w.links[1].freeze();
    w.a.it.close({});
    w.idle(10ms);
    EXPECT_EQ(w.b.it.sessions(), 1u);
    w.links[1].cut();
    ASSERT_TRUE(w.run([&] { return w.b.it.sessions() == 0; }, 100ms));
    EXPECT_EQ(w.b.lines.count("state=down end=ok sent="), 2u) << "subflows";
    EXPECT_EQ(w.b.lines.count("why="), 0u);
}

TEST(StripeGoodbye, ACleanCloseSaysHowManyStreamsItCut) {
    world w;
    w.join_many(2);
    w.b.answer.fin = false;
    for (int i = 0; i < 3; ++i)
        w.open({.to_send = 1000, .fin = false});
    ASSERT_TRUE(w.run([&] { return w.b.talkers.size() == 3 && w.a.it.flushed(); }));
    w.a.it.close({});
    ASSERT_TRUE(w.run([&] { return w.b.it.sessions() == 0; }, 100ms));
    w.idle(1ms);
    for (const auto& t : w.b.talkers) {
        EXPECT_TRUE(t->saw_broken());
        EXPECT_FALSE(t->fin_received()) << "a stream that was cut must not look finished";
    }
    EXPECT_EQ(w.a.lines.count("warn session"), 1u);
}

// All of it has come and the peer knows it, so the peer is gone; only we have not read it yet.
TEST(StripeGoodbye, WhatWasCompleteIsReadToItsEndAfterTheGoodbye) {
    world w;
    w.join_many(2);
    w.b.answer.reads = false;
    talker& t = w.open({.to_send = 200'000});
    ASSERT_TRUE(w.run([&] { return t.finished(); }));
    EXPECT_EQ(w.b.talkers[0]->received(), 0u);
    w.a.it.close({});
    ASSERT_TRUE(w.run([&] { return w.b.it.sessions() == 0; }, 100ms));
    EXPECT_FALSE(w.b.talkers[0]->broken());
    w.b.talkers[0]->read_now();
    EXPECT_EQ(w.b.talkers[0]->received(), 200'000u);
    EXPECT_TRUE(w.b.talkers[0]->exact());
    EXPECT_TRUE(w.b.talkers[0]->finished());
    EXPECT_EQ(w.b.lines.count("warn"), 0u);
}

// The acknowledgement of the peer's last FIN was on a subflow that died: the end that closes says
// it again before it goes.
TEST(StripeGoodbye, NobodyLeavesBeforeThePeerKnowsHowItsStreamsEnded) {
    for (const std::size_t dies : {0u, 1u}) {
        just_ended w;
        w.links[dies].freeze();
        closing end;
        w.a.it.close(end.call());
        w.idle(50ms);
        w.links[dies].cut();
        EXPECT_TRUE(w.run([&] { return end.closed; }, 100ms));
        EXPECT_TRUE(w.run([&] { return w.b.it.sessions() == 0; }, 100ms));
        EXPECT_TRUE(w.b.talkers[0]->finished());
        EXPECT_FALSE(w.b.talkers[0]->broken());
    }
}

TEST(StripeGoodbye, APeerThatStandsStillIsNotWaitedForLong) {
    world w;
    w.join_many(2);
    w.b.answer.fin = false;
    talker& t = w.open({.to_send = 100'000'000, .fin = false});
    ASSERT_TRUE(w.run([&] { return t.sent() > 1'000'000; }));
    for (link& l : w.links)
        l.freeze();
    w.idle(1s);
    closing end;
    const instant before = w.loop.now();
    w.a.it.close(end.call());
    w.idle(500ms);
    EXPECT_FALSE(end.closed);
    w.a.it.close(end.call(), 100ms);
    EXPECT_TRUE(w.run([&] { return end.closed; }));
    EXPECT_EQ(w.loop.now(), before + 600ms) << "in a hurry it waits less";
    EXPECT_EQ(w.a.it.sessions(), 0u);
}

TEST(StripeGoodbye, NothingBeginsInASessionThatThePeerLeaves) {
    world w;
    w.join_many(2);
    talker& t = w.open({.to_send = 1000});
    ASSERT_TRUE(w.run([&] { return t.finished(); }));
    // One of the two does not bring its goodbye, so that b is left for a while in a session that a
    // has ended.
    w.idle(1s);
    w.links[1].freeze();
    w.a.it.close({});
    w.idle(100ms);
    ASSERT_EQ(w.b.it.sessions(), 1u);
    talker waits(w.loop, w.b.it.open_stream({}, 10s), {});
    w.idle(1s);
    EXPECT_FALSE(waits.broken());
    EXPECT_TRUE(w.b.it.in_use());
    EXPECT_TRUE(w.run([&] { return w.b.it.sessions() == 0; }, 5s)) << "5 s after the first at most";
    EXPECT_FALSE(waits.broken());
}

TEST(StripeGoodbye, StreamsOutliveTheirNode) {
    event_loop loop(std::make_unique<sim_poller>());
    auto a = std::make_unique<node_end>(loop, node_options{});
    node_end b(loop, {});
    auto [p, q] = make_memory_pair(loop);
    a->it.adopt(std::move(p), "p");
    b.it.adopt(std::move(q), "q");
    talker t(loop, a->it.open_stream({}, 5s), {.to_send = 100, .fin = false});
    talker waits(loop, a->it.open_stream({}, 5s), {});
    const instant end = loop.now() + 1s;
    while (t.sent() < 100 && loop.now() < end)
        loop.turn(end);
    a.reset();
    loop.turn(end);
    EXPECT_TRUE(t.broken());
    EXPECT_EQ(t.why(), error{reason::local_abort});
    EXPECT_TRUE(t.saw_broken());
}

TEST(StripeGoodbye, ANodeMayBeDestroyedOnceItIsClosed) {
    world w;
    log quiet;
    auto brief = std::make_unique<node>(w.loop, quiet, node_options{});
    struct {
        std::unique_ptr<node>& of;
        void on_closed() { of.reset(); }
    } end{brief};
    auto [near, far] = make_memory_pair(w.loop);
    brief->adopt(std::move(near), "near");
    w.b.it.adopt(std::move(far), "far");
    ASSERT_TRUE(w.run([&] { return w.b.it.sessions() == 1; }));
    brief->close(delegate<void()>::to<&decltype(end)::on_closed>(end));
    EXPECT_TRUE(w.run([&] { return !brief; }, 100ms));
    EXPECT_EQ(w.b.it.sessions(), 0u);
}

TEST(StripeGoodbye, TheLimitOfAGoodbyeAndAnEndOfASubflowInOneTurn) {
    world w;
    w.join_many(1);
    w.idle(100ms);
    w.links[0].freeze();
    struct cutter {
        link& l;
        void on_timer() { l.cut(); }
    } cuts{w.links[0]};
    timer same(w.loop, delegate<void()>::to<&cutter::on_timer>(cuts));
    closing end;
    same.arm_in(100ms);
    w.a.it.close(end.call(), 100ms);
    EXPECT_TRUE(w.run([&] { return end.closed; }, 1s));
}

TEST(StripeGoodbye, ANewcomerJoinsWhileTheLastOneLeaves) {
    world w;
    log quiet;
    node newcomer(w.loop, quiet, {});
    w.join_many(1);
    w.idle(100ms);
    auto [near, far] = make_memory_pair(w.loop);
    w.b.it.adopt(std::move(far), "far");
    w.idle(1ms);
    closing end;
    w.a.it.close(end.call());
    ASSERT_TRUE(w.run([&] { return w.b.it.sessions() == 0; }, 100ms));
    subflow_diary diary;
    newcomer.adopt(std::move(near), "near", &diary, 1);
    ASSERT_TRUE(w.run([&] { return diary.ready.size() + diary.gone.size() > 0; }, 1s));
    w.idle(10ms);
    EXPECT_TRUE(diary.gone.empty());
}

TEST(StripeGoodbye, WhatIsOpenedToAnEndThatLeavesIsRefused) {
    for (const std::size_t stays : {0, 1}) {
        just_ended w;
        w.links[stays].freeze();
        w.a.it.close({});
        w.idle(1ms);
        auto late = w.b.it.open_stream({}, 10s);
        w.idle(20ms);
        EXPECT_TRUE(w.a.requests.empty());
        EXPECT_FALSE(late->has(io_flag::ready));
    }
}

// A peer comes, leaves bytes that nobody reads, and says goodbye.
void come_and_go(world& w) {
    const log quiet;
    node once(w.loop, quiet, {});
    auto [near, far] = make_memory_pair(w.loop);
    once.adopt(std::move(near), "near");
    w.b.it.adopt(std::move(far), "far");
    talker t(w.loop, once.open_stream({}, 10s), {.to_send = 300 * kib});
    ASSERT_TRUE(w.run([&] { return t.finished(); }));
    closing end;
    once.close(end.call());
    ASSERT_TRUE(w.run([&] { return end.closed && w.b.it.sessions() == 0; }));
}

TEST(StripeGoodbye, WhatIsLeftUnreadIsBoundedToo) {
    constexpr std::size_t budget = 16 * mib;
    world w({}, {.memory_budget = budget, .max_sessions = 4});
    w.b.answer.reads = false;
    for (int n = 0; n < 24; ++n)
        come_and_go(w);
    std::size_t whole = 0;
    for (const auto& t : w.b.talkers) {
        t->read_now();
        if (!t->broken()) {
            ++whole;
            EXPECT_EQ(t->received(), 300 * kib);
            EXPECT_TRUE(t->fin_received());
        } else {
            EXPECT_EQ(t->why(), error{reason::limit});
        }
    }
    EXPECT_EQ(whole, budget / 8 / (300 * kib));
}

// ... and what was read meanwhile makes room again.
TEST(StripeGoodbye, WhatIsLeftUnreadAndReadLaterMakesRoom) {
    constexpr std::size_t budget = 16 * mib;
    world w({}, {.memory_budget = budget, .max_sessions = 4});
    w.b.answer.reads = false;
    for (int n = 0; n < 24; ++n) {
        come_and_go(w);
        if (n % 4 == 3)
            for (const auto& late : w.b.talkers)
                late->read_now();
    }
    for (const auto& t : w.b.talkers)
        EXPECT_EQ(t->received(), 300 * kib);
}

TEST(StripeGoodbye, ThousandsOfUnreadStreamsEndInNoTime) {
    world w;
    w.b.answer.reads = false;
    log quiet;
    node once(w.loop, quiet, {});
    auto [near, far] = make_memory_pair(w.loop);
    once.adopt(std::move(near), "near");
    w.b.it.adopt(std::move(far), "far");
    const std::clock_t began = std::clock();
    std::deque<talker> all;
    for (int n = 0; n < 8000; ++n)
        all.emplace_back(w.loop, once.open_stream({}, 10s), talker::plan{.to_send = 1});
    ASSERT_TRUE(w.run([&] { return std::ranges::all_of(all, &talker::finished); }));
    const std::clock_t served = std::clock();
    once.close({});
    ASSERT_TRUE(w.run([&] { return w.b.it.sessions() == 0; }));
    EXPECT_LT(std::clock() - served, served - began) << "their end costs less than their life";
    ASSERT_EQ(w.b.talkers.size(), 8000u);
    EXPECT_TRUE(std::ranges::none_of(w.b.talkers, &talker::broken,
                                     [](const auto& t) -> const talker& { return *t; }));
}

}  // namespace
}  // namespace libp::stripe
