// Sessions and subflows: joining, dying, coming back.

#include <algorithm>

#include "stripe_node/world.h"
#include "support/forwarding_pipe.h"
#include "support/seed.h"

namespace libp::stripe {
namespace {

// -- waiting for a session ------------------------------------------------------------------------

TEST(StripeSession, AStreamMayBeOpenedBeforeThereIsASession) {
    world w;
    w.b.answer.to_send = 1000;
    talker& t = w.open({.to_send = 1000});
    w.idle(5s);
    EXPECT_FALSE(t.pipe().has(io_flag::ready));
    EXPECT_FALSE(t.broken());
    w.join_many(1);
    ASSERT_TRUE(w.run([&] { return t.finished(); }));
    EXPECT_EQ(t.received(), 1000u);
}

TEST(StripeSession, AStreamThatWaitsInVainBreaks) {
    world w;
    talker& soon = w.open({}, 2s);
    talker& late = w.open({}, 5s);
    ASSERT_TRUE(w.run([&] { return soon.broken(); }));
    EXPECT_EQ(w.loop.now(), instant{} + 2s);
    EXPECT_EQ(soon.why(), error{reason::session_lost});
    w.a.it.connect_failed({reason::refused, 111});
    ASSERT_TRUE(w.run([&] { return late.broken(); }));
    EXPECT_EQ(w.loop.now(), instant{} + 5s);
    EXPECT_EQ(late.why(), (error{reason::refused, 111}));
}

TEST(StripeSession, AFinMayBeAskedForBeforeThereIsASession) {
    world w;
    auto pipe = w.a.it.open_stream({}, 5s);
    pipe->send_fin();
    talker t(w.loop, std::move(pipe), {});
    w.join_many(1);
    EXPECT_TRUE(w.run([&] { return t.finished(); }));
}

// -- subflows die ---------------------------------------------------------------------------------

TEST(StripeSession, OneOfFourDiesAtARandomMoment) {
    for (std::uint64_t seed : test_seeds(40)) {
        SCOPED_TRACE(seed_note(seed));
        test_random random(seed);
        world w;
        const std::uint64_t up = 500'000 + random.below(1'500'000);
        const std::uint64_t down = random.below(1'500'000);
        w.b.answer.to_send = down;
        for (int i = 0; i < 4; ++i)
            w.join({.capacity = std::size_t{1} + random.below(64 * kib)});
        talker& t = w.open({.to_send = up});
        const std::uint64_t at = random.below(up);
        ASSERT_TRUE(
            w.run([&] { return !w.b.talkers.empty() && w.b.talkers[0]->received() >= at; }));
        link& victim = w.links[random.below(4)];
        if (random.one_in(2))
            victim.cut();
        else
            victim.cut_cleanly();
        ASSERT_TRUE(w.run([&] { return t.finished() && w.b.talkers[0]->finished(); }));
        EXPECT_TRUE(t.exact() && w.b.talkers[0]->exact());
        EXPECT_EQ(t.received(), down);
        EXPECT_EQ(w.b.talkers[0]->received(), up);
    }
}

TEST(StripeSession, EveryoneDiesAndComesBackInTime) {
    for (std::uint64_t seed : test_seeds(20)) {
        SCOPED_TRACE(seed_note(seed));
        test_random random(seed);
        world w;
        const std::uint64_t up = 1'000'000, down = 1'000'000;
        w.b.answer.to_send = down;
        talker& t = w.open({.to_send = up});
        for (int round = 0; round < 5 && !t.finished(); ++round) {
            w.join({.capacity = 1 + random.below(64 * kib)});
            w.join({.capacity = 1 + random.below(64 * kib)});
            const std::uint64_t more = t.received() + random.below(200'000);
            ASSERT_TRUE(w.run([&] { return t.received() >= more || t.finished(); }));
            for (link& l : w.links)
                l.cut();
            w.idle(std::chrono::seconds(random.below(50)));
        }
        w.join({});
        const bool done = w.run([&] { return t.finished() && w.b.talkers[0]->finished(); });
        ASSERT_TRUE(done);
        EXPECT_TRUE(t.exact() && w.b.talkers[0]->exact());
        EXPECT_EQ(t.received(), down);
        EXPECT_EQ(w.b.talkers[0]->received(), up);
        EXPECT_EQ(w.b.talkers.size(), 1u);
    }
}

TEST(StripeSession, ASessionThatStaysAloneIsLostAfterResume) {
    world w({.resume = 20s}, {.resume = 20s});
    w.join_many(2);
    w.b.answer.fin = false;
    talker& t = w.open({.to_send = 1000, .fin = false});
    ASSERT_TRUE(w.run([&] { return !w.b.talkers.empty() && w.b.talkers[0]->received() == 1000; }));
    ASSERT_TRUE(w.run([&] { return t.pipe().has(io_flag::ready); }));
    const instant cut = w.loop.now();
    for (link& l : w.links)
        l.cut();
    w.idle(19s);
    EXPECT_FALSE(t.broken());
    EXPECT_EQ(w.a.it.sessions(), 1u);
    ASSERT_TRUE(w.run([&] { return t.broken() && w.b.talkers[0]->broken(); }));
    EXPECT_EQ(w.loop.now(), cut + 20s);
    EXPECT_EQ(t.why(), error{reason::session_lost});
    EXPECT_EQ(w.b.talkers[0]->why(), error{reason::session_lost});
    EXPECT_FALSE(t.fin_received());
    w.idle(1s);
    EXPECT_EQ(w.a.it.sessions(), 0u);
    EXPECT_EQ(w.a.lines.count("warn session"), 1u);

    // And the next connection is a new session.
    w.join_many(1);
    w.b.answer.fin = true;
    talker& again = w.open({.to_send = 1000});
    ASSERT_TRUE(w.run([&] { return again.finished(); }));
}

TEST(StripeSession, ASessionWithoutStreamsDoesNotWaitForLong) {
    world w;
    w.join_many(1);
    ASSERT_TRUE(w.run([&] { return w.a.it.sessions() + w.b.it.sessions() == 2; }));
    w.links[0].cut();
    w.idle(6s);
    EXPECT_EQ(w.a.it.sessions(), 0u);
    EXPECT_EQ(w.a.lines.count("warn"), 0u);
}

// What arrived before the break stays readable.
TEST(StripeSession, UnreadBytesOutliveTheSession) {
    world w({.resume = 1s}, {.resume = 1s});
    w.join_many(1);
    w.b.answer.reads = w.b.answer.fin = false;
    w.open({.to_send = 5000});
    ASSERT_TRUE(w.run([&] { return w.a.it.flushed() && w.b.it.open_streams() == 1; }));
    w.idle(1s);
    w.links[0].cut();
    ASSERT_TRUE(w.run([&] { return w.b.talkers[0]->broken(); }));
    w.b.talkers[0]->read_now();
    EXPECT_EQ(w.b.talkers[0]->received(), 5000u);
    EXPECT_TRUE(w.b.talkers[0]->exact());
    EXPECT_FALSE(w.b.talkers[0]->fin_received());
    EXPECT_TRUE(w.b.talkers[0]->saw_broken());
}

TEST(StripeSession, BothEndsCallAPathByTheNameOfWhoeverDialled) {
    world w;
    const auto join = [&](const subflow_path& path) {
        link& l = w.links.emplace_back(w.loop);
        w.a.it.adopt(l.take_a(), path, nullptr, 0);
        w.b.it.adopt(l.take_b(), "b's word");
    };
    join({.name = "lte", .announced = true});
    join({.name = "its own", .announced = false});
    join({.name = std::string(80, 'x'), .announced = true});
    ASSERT_TRUE(w.run([&] { return w.b.it.subflows().size() == 3; }));
    std::vector<std::string> names;
    for (const subflow_info& i : w.b.it.subflows())
        names.push_back(i.path);
    EXPECT_EQ(names, (std::vector<std::string>{"lte@b's word", "b's word",
                                               std::string(64, 'x') + "@b's word"}));
    EXPECT_EQ(w.a.it.subflows()[0].path, "lte");
}

// -- owners and tables ----------------------------------------------------------------------------

TEST(StripeSession, OwnersHearOfBirthAndDeathOnce) {
    world w;
    subflow_diary diary;
    link& l = w.join({}, &diary, 42);
    w.join({}, &diary, 43);
    ASSERT_TRUE(w.run([&] { return diary.ready.size() == 2; }));
    l.cut();
    ASSERT_TRUE(w.run([&] { return diary.gone.size() == 1; }));
    w.idle(100s);
    EXPECT_EQ(diary.gone.size(), 1u);
    EXPECT_EQ(diary.gone[0].token, 42u);
    EXPECT_EQ(diary.gone[0].why, error{reason::peer_reset});
}

TEST(StripeSession, AForgottenOwnerHearsNothing) {
    world w;
    subflow_diary diary;
    link& l = w.join({}, &diary, 1);
    ASSERT_TRUE(w.run([&] { return diary.ready.size() == 1; }));
    w.join({}, &diary, 2);
    w.a.it.forget_owner(diary);
    l.cut();
    w.idle(1s);
    EXPECT_EQ(diary.ready.size(), 1u);
    EXPECT_TRUE(diary.gone.empty());
}

TEST(StripeSession, TheTableKeepsTheDead) {
    world w;
    w.join_many(2);
    talker& t = w.open({.to_send = 500'000});
    ASSERT_TRUE(w.run([&] { return t.finished(); }));
    // The one that carried something.
    w.links[w.a.it.subflows()[0].stats.data_sent > 0 ? 0 : 1].cut();
    ASSERT_TRUE(w.run([&] {
        const auto all = w.a.it.subflows();
        return std::ranges::count_if(all, [](const auto& s) { return s.up; }) == 1;
    }));
    const std::vector<subflow_info> all = w.a.it.subflows();
    ASSERT_EQ(all.size(), 2u);
    std::uint64_t carried = 0;
    for (const subflow_info& s : all) {
        EXPECT_EQ(s.path, "memory");
        carried += s.stats.data_sent - s.stats.resent;
    }
    EXPECT_GE(carried, 500'000u);
}

// -- what goes on while it lives ------------------------------------------------------------------

// Of two sessions one sends everything by every subflow from now on.
TEST(StripeSession, EachHasItsOwnScheduler) {
    world w;
    log quiet;
    node other(w.loop, quiet, {});
    for (int i = 0; i < 2; ++i) {
        auto [p, q] = make_memory_pair(w.loop);
        w.a.it.adopt(std::move(p), "other");
        other.adopt(std::move(q), "other");
    }
    ASSERT_TRUE(w.run([&] { return w.a.it.subflows().size() == 2; }));
    const std::uint32_t first = w.a.it.subflows()[0].session;
    const auto sent = [](const world& of, std::uint32_t session) {
        std::uint64_t all = 0;
        for (const subflow_info& s : of.a.it.subflows())
            if (s.session == session) all += s.stats.data_sent;
        return all;
    };
    w.join_many(2);
    ASSERT_TRUE(w.run([&] { return w.a.it.subflows().size() == 4; }));
    const std::uint32_t second = w.a.it.subflows()[2].session;
    ASSERT_NE(first, second);
    EXPECT_FALSE(w.a.it.set_scheduler(first ^ second, scheduler::redundant)) << "there is none";
    EXPECT_TRUE(w.a.it.set_scheduler(first, scheduler::redundant));
    // A stream is in the newest session.
    talker& t = w.open({.to_send = 1'000'000});
    ASSERT_TRUE(w.run([&] { return t.finished(); }));
    EXPECT_LT(sent(w, second), 1'120'000u) << "a few copies are sent anyway";
    const std::uint64_t sent_before = sent(w, second);
    EXPECT_TRUE(w.a.it.set_scheduler(second, scheduler::redundant));
    talker& again = w.open({.to_send = 1'000'000});
    ASSERT_TRUE(w.run([&] { return again.finished(); }));
    EXPECT_GT(sent(w, second), sent_before + 1'300'000u);
    EXPECT_EQ(sent(w, first), 0u);
    // And of those to come.
    world third;
    third.a.it.set_scheduler(scheduler::redundant);
    third.join_many(2);
    talker& last = third.open({.to_send = 1'000'000});
    ASSERT_TRUE(third.run([&] { return last.finished(); }));
    EXPECT_GT(sent(third, third.a.it.subflows()[0].session), 1'300'000u);
}

TEST(StripeSession, AnIdleSessionSleepsBetweenHeartbeats) {
    world w;
    w.join_many(2);
    w.b.answer.fin = false;
    w.open({.to_send = 10'000, .fin = false});
    w.idle(30s);
    const std::uint64_t before = w.loop.turns();
    w.idle(10min);
    // 40 heartbeats a subflow and side, each a few turns of memory pipes there and back.
    EXPECT_LT(w.loop.turns() - before, 40u * 2 * 2 * 20);
    const std::uint64_t alive = w.loop.turns();
    EXPECT_GT(alive, before) << "no heartbeat";
}

TEST(StripeSession, ADeadButOpenSubflowIsGivenUp) {
    world w;
    link& l = w.join();
    w.join();
    subflow_diary diary;
    talker& t = w.open({.to_send = 1000, .fin = false});
    ASSERT_TRUE(w.run([&] { return !w.b.talkers.empty() && w.b.talkers[0]->received() == 1000; }));
    l.freeze();
    w.idle(100s);
    const auto all = w.a.it.subflows();
    EXPECT_EQ(std::ranges::count_if(all, [](const auto& s) { return s.up; }), 1);
    EXPECT_FALSE(t.broken());
    EXPECT_EQ(w.a.lines.count("why=\"timed out\""), 1u);
}

TEST(StripeSession, TheLogSaysWhatBecomesOfAPath) {
    world w;
    link& dead = w.links.emplace_back(w.loop);
    w.a.it.adopt(dead.take_a(), "dsl");
    w.b.it.adopt(dead.take_b(), "dsl");
    w.join();
    w.open({.to_send = 64 * mib});
    ASSERT_TRUE(w.run([&] { return !w.b.talkers.empty() && w.b.talkers[0]->received() > mib; }));
    dead.freeze();
    EXPECT_TRUE(
        w.run([&] { return w.a.lines.count("path name=dsl state=suspect was=up") > 0; }, 60s));
}

TEST(StripeSession, ADroppedSubflowIsNotReset) {
    struct watched final : forwarding_pipe {
        watched(std::unique_ptr<io_pipe> lower, int& count)
            : forwarding_pipe(std::move(lower)), resets(count) {}
        void reset() override {
            ++resets;
            forwarding_pipe::reset();
        }
        int& resets;
    };
    world w;
    int resets = 0;
    subflow_diary ours, theirs;
    link& l = w.links.emplace_back(w.loop);
    w.a.it.adopt(std::make_unique<watched>(l.take_a(), resets), "memory", &ours, 1);
    w.b.it.adopt(std::make_unique<watched>(l.take_b(), resets), "memory", &theirs, 1);
    talker& t = w.open({.to_send = 10'000'000});
    ASSERT_TRUE(w.run([&] { return l.moved() > 1'000'000; }));
    w.join();
    w.a.it.drop(ours, 1);
    ASSERT_TRUE(w.run([&] { return ours.gone.size() == 1 && theirs.gone.size() == 1; }));
    ASSERT_TRUE(w.run([&] { return t.sent() == 10'000'000 && t.fin_received(); }));
    EXPECT_TRUE(t.exact());
    EXPECT_EQ(resets, 0) << "what was on its way, confirmations among it, would be lost by one";
}

}  // namespace
}  // namespace libp::stripe
