// Strangers, doubles and crowds at a node's door, in virtual time.

#include <libp/resolver.h>
#include <libp/stripe/dialer.h>

#include <algorithm>
#include <set>

#include "stripe_node/world.h"
#include "support/faulty_pipe.h"
#include "support/seed.h"

namespace libp::stripe {
namespace {

// -- S16: partial writes --------------------------------------------------------------------------

TEST(StripeAdversity, S16FramesSurviveWritesAndReadsOfAnySize) {
    std::vector<std::size_t> sizes{100, 1000, 10'000};
    for (std::size_t n = 1; n <= 40; ++n)
        sizes.push_back(n);
    for (const std::size_t n : sizes) {
        SCOPED_TRACE(n);
        const std::uint64_t each = n <= 40 ? 5000 : 200'000;
        world w;
        w.b.answer.to_send = each;
        for (const std::uint64_t subflow : {1u, 2u}) {
            auto [near, far] = make_memory_pair(w.loop, {.capacity = 2000});
            w.a.it.adopt(make_faulty_pipe(w.loop, std::move(near),
                                          {.seed = subflow, .max_chunk = n, .again_one_in = 5}),
                         "near");
            w.b.it.adopt(make_faulty_pipe(w.loop, std::move(far),
                                          {.seed = subflow + 2, .max_chunk = n, .again_one_in = 7}),
                         "far");
        }
        talker& t = w.open({.to_send = each});
        ASSERT_TRUE(w.run([&] { return t.finished() && w.b.talkers[0]->finished(); }, 60s));
        ASSERT_TRUE(t.exact() && w.b.talkers[0]->exact());
        ASSERT_EQ(t.received() + w.b.talkers[0]->received(), 2 * each);
        ASSERT_EQ(w.a.lines.count("state=down"), 0u);
    }
}

// -- S20: whoever joins whom ----------------------------------------------------------------------

TEST(StripeAdversity, S20ThreeNodesJoinedCrosswiseAreThreeSessions) {
    event_loop loop(std::make_unique<sim_poller>());
    std::deque<node_end> ends;
    for (int i = 0; i < 3; ++i)
        ends.emplace_back(loop, node_options{}).answer.to_send = 100'000;
    for (int round = 0; round < 2; ++round)
        for (const auto& [i, k] : {std::pair(0u, 1u), std::pair(1u, 2u), std::pair(2u, 0u)}) {
            auto [p, q] = make_memory_pair(loop);
            ends[i].it.adopt(std::move(p), "p");
            ends[k].it.adopt(std::move(q), "q");
        }
    const auto turn_until = [&](auto done) {
        const instant end = loop.now() + 10s;
        while (!done() && loop.now() < end)
            loop.turn(end);
        return done();
    };
    ASSERT_TRUE(turn_until(
        [&] { return std::ranges::all_of(ends, [](auto& e) { return e.it.sessions() == 2; }); }));
    std::deque<talker> talkers;
    for (int n = 0; n < 4; ++n)
        for (node_end& e : ends)
            talkers.emplace_back(loop, e.it.open_stream({}, 1s), talker::plan{.to_send = 100'000});
    ASSERT_TRUE(turn_until(
        [&] { return std::ranges::all_of(talkers, [](talker& t) { return t.finished(); }); }));
    for (const talker& t : talkers)
        EXPECT_TRUE(t.exact() && t.received() == 100'000);
}

// Keeps what came through it.
class recording_pipe final : public io_pipe {
  public:
    recording_pipe(std::unique_ptr<io_pipe> lower, std::string& tape)
        : lower_(std::move(lower)), tape_(tape) {}

    io_kind kind() const noexcept override { return lower_->kind(); }
    void attach(io_handler handler) override { lower_->attach(handler); }
    io_flags state() const noexcept override { return lower_->state(); }
    io_result recv(chain& to, std::size_t max) override {
        chain got;
        const io_result r = lower_->recv(got, max);
        tape_ += got.to_string();
        to.append(std::move(got));
        return r;
    }
    io_result send(chain& from) override { return lower_->send(from); }
    void send_fin() override { lower_->send_fin(); }
    void reset() override { lower_->reset(); }
    error why() const noexcept override { return lower_->why(); }
    void describe(std::string& out) const override { lower_->describe(out); }

  private:
    std::unique_ptr<io_pipe> lower_;
    std::string& tape_;
};

// What a peer once said, HELLO and all, said again by somebody who listened: at once, and when the
// session is over.
TEST(StripeAdversity, S20ARecordedSubflowPlayedAgainHarmsNobody) {
    world w({}, {.resume = 1s});
    std::string tape;
    link& l = w.links.emplace_back(w.loop);
    w.a.it.adopt(l.take_a(), "a");
    w.b.it.adopt(std::make_unique<recording_pipe>(l.take_b(), tape), "b");
    w.join_many(1);
    w.b.answer.to_send = 2'000'000;
    talker& t = w.open({.to_send = 2'000'000});
    std::deque<std::unique_ptr<io_pipe>> strangers;
    const auto play = [&] {
        auto [theirs, mine] = make_memory_pair(w.loop, {.capacity = 8 * mib});
        w.b.it.adopt(std::move(theirs), "again");
        chain c;
        c.append_copy(w.loop.blocks(), bytes_of(tape));
        mine->send(c);
        strangers.push_back(std::move(mine));
    };
    for (int n = 1; n <= 10; ++n) {
        const std::uint64_t more = static_cast<std::uint64_t>(n) * 180'000;
        ASSERT_TRUE(
            w.run([&] { return !w.b.talkers.empty() && w.b.talkers[0]->received() >= more; }));
        play();
        w.idle(1ms);
        // It can listen no longer than it wants: what was given to it is sent to others again.
        if (n % 2) strangers.back()->reset();
    }
    w.idle(10ms);
    for (const auto& s : strangers)
        s->reset();
    ASSERT_TRUE(w.run([&] { return t.finished() && w.b.talkers[0]->finished(); }));
    EXPECT_TRUE(t.exact() && w.b.talkers[0]->exact());
    EXPECT_EQ(t.received() + w.b.talkers[0]->received(), 4'000'000u);
    EXPECT_EQ(w.b.talkers.size(), 1u);

    for (link& each : w.links)
        each.cut();
    w.idle(10s);
    play();
    w.idle(10s);
    EXPECT_EQ(w.b.talkers.size(), 1u) << "an old stream came to life";
    w.join_many(1);
    talker& again = w.open({.to_send = 1000});
    EXPECT_TRUE(w.run([&] { return again.finished(); }));
}

// -- S21: a peer that starts again ----------------------------------------------------------------

TEST(StripeAdversity, S21BothEndsStartAgainAndNothingOfTheOldIsLeft) {
    event_loop loop(std::make_unique<sim_poller>());
    node_options named[2];
    named[0].node_id.fill(3);
    named[1].node_id.fill(7);
    std::deque<link> links;
    for (int life = 0; life < 3; ++life) {
        SCOPED_TRACE(life);
        node_end a(loop, named[0]), b(loop, named[1]);
        b.answer.to_send = 300'000;
        b.answer.fin = false;
        for (int i = 0; i < 2; ++i) {
            link& l = links.emplace_back(loop);
            a.it.adopt(l.take_a(), "a");
            b.it.adopt(l.take_b(), "b");
        }
        talker t(loop, a.it.open_stream({}, 5s), {.to_send = 300'000, .fin = false});
        const instant end = loop.now() + 10s;
        const auto half_way = [&] { return t.received() >= 150'000 && b.talkers.size() == 1; };
        while (!half_way() && loop.now() < end)
            loop.turn(end);
        EXPECT_TRUE(half_way());
        EXPECT_TRUE(t.exact() && b.talkers[0]->exact());
        EXPECT_EQ(a.it.sessions(), 1u);
        EXPECT_EQ(b.it.sessions(), 1u);
    }
}

// -- S25: connections that say nothing ------------------------------------------------------------

TEST(StripeAdversity, S25TenThousandSilentConnectionsKeepNobodyOut) {
    constexpr std::size_t crowd = 10'000, wave = 100, most = 64;
    world w({}, {.max_handshakes = most});
    struct stranger {
        std::unique_ptr<io_pipe> pipe;
        bool here() const { return !pipe->has(io_flag::broken); }
    };
    std::vector<stranger> strangers;
    const auto here = [&] { return std::ranges::count_if(strangers, &stranger::here); };
    for (std::size_t n = 0; n < crowd; ++n) {
        auto [theirs, mine] = make_memory_pair(w.loop);
        w.b.it.adopt(std::move(theirs), "stranger");
        strangers.push_back({std::move(mine)});
        if (n % wave != wave - 1) continue;
        w.idle(10ms);
        ASSERT_LE(here(), static_cast<std::ptrdiff_t>(most));
    }
    // One who means it dials, and dials again when it is turned away, while slots are full of those
    // who say nothing or a byte a second.
    subflow_diary diary;
    duration wait = 100ms;
    const instant since = w.loop.now();
    for (std::uint64_t n = 0; diary.ready.empty() && n < 10; ++n, wait *= 2) {
        w.join({}, &diary, n);
        w.run([&] { return !diary.ready.empty(); }, wait);
        for (stranger& s : strangers) {
            chain c;
            c.append_copy(w.loop.blocks(), bytes_of("\x01"));
            if (s.here()) s.pipe->send(c);
        }
    }
    ASSERT_FALSE(diary.ready.empty());
    EXPECT_LT(w.loop.now() - since, 1s);
    talker& t = w.open({.to_send = 1000});
    EXPECT_TRUE(w.run([&] { return t.finished(); }));
    w.idle(6s);
    EXPECT_EQ(here(), 0);
    EXPECT_EQ(w.b.it.sessions(), 1u);
}

// -- S29: everybody dials again -------------------------------------------------------------------

// Ten minutes in which nothing can be reached. In virtual time the loop turns at nothing but the
// dials.
std::vector<instant> dials(std::size_t paths, bool wanted) {
    event_loop loop(std::make_unique<sim_poller>());
    resolver names;
    log quiet;
    node it(loop, quiet, {});
    std::vector<path> all;
    for (std::size_t n = 0; n < paths; ++n)
        all.push_back({*endpoint::parse("/nonexistent/for/this/test/" + std::to_string(n))});
    dialer d(loop, names, it, quiet, all, {.subflows = paths});
    std::unique_ptr<talker> waits;
    if (wanted) waits = std::make_unique<talker>(loop, it.open_stream({}, 1h), talker::plan{});
    const instant end = loop.now() + 10min;
    std::set<instant> at;
    while (loop.now() < end) {
        at.insert(loop.now());
        loop.turn(end);
    }
    return {at.begin(), at.end()};
}

duration longest_wait(const std::vector<instant>& at) {
    duration most{0};
    for (std::size_t i = 1; i < at.size(); ++i)
        most = std::max(most, at[i] - at[i - 1]);
    return most;
}

TEST(StripeAdversity, S29APathThatIsDownIsDialledEveryHalfMinuteAtMost) {
    const std::vector<instant> at = dials(1, false);
    ASSERT_GT(at.size(), 10u);
    EXPECT_LT(at[1] - at[0], 200ms);
    EXPECT_LE(longest_wait(at), 30s) << "so that it recovers within 35 s";
    EXPECT_GE(longest_wait(at), 15s) << "it does not back off";
    EXPECT_LE(at.size(), 10u + 600 / 18);
    std::set<duration> waits;
    for (std::size_t i = at.size() - 10; i < at.size(); ++i)
        waits.insert(at[i] - at[i - 1]);
    EXPECT_GT(waits.size(), 5u) << "there is no jitter";
}

TEST(StripeAdversity, S29EightTargetsThatAreDownAreNoStorm) {
    const std::vector<instant> at = dials(8, false);
    EXPECT_LE(at.size(), 8u * (10 + 600 / 18));
    EXPECT_GE(at.size(), 8u * 15) << "they do not come in step";
    EXPECT_LE(longest_wait(at), 30s);
}

TEST(StripeAdversity, S29WhoIsWaitedForIsDialledMoreOften) {
    const std::vector<instant> at = dials(1, true);
    EXPECT_LE(longest_wait(at), 1s);
    EXPECT_LE(at.size(), 10u + 600 * 10 / 4);
}

}  // namespace
}  // namespace libp::stripe
