// Handshakes: strangers, limits, and what becomes of those that come to nothing.

#include <libp/endian.h>
#include <libp/stripe/wire.h>

#include "stripe_node/world.h"
#include "support/forwarding_pipe.h"
#include "support/seed.h"

namespace libp::stripe {
namespace {

// Somebody at the other end of a subflow who is no node.
struct stranger {
    explicit stranger(event_loop& loop) {
        std::unique_ptr<io_pipe> theirs;
        std::tie(theirs, pipe) = make_memory_pair(loop);
        subflow = std::move(theirs);
    }
    std::unique_ptr<io_pipe> subflow, pipe;
};

TEST(StripeHandshake, S25ASilentStrangerHasLimitedTime) {
    world w;
    stranger s(w.loop);
    subflow_diary diary;
    w.a.it.adopt(std::move(s.subflow), "stranger", &diary, 3);
    ASSERT_TRUE(w.run([&] { return !diary.gone.empty(); }));
    EXPECT_EQ(w.loop.now(), instant{} + 5s);
    EXPECT_EQ(diary.gone[0].token, 3u);
    EXPECT_EQ(diary.gone[0].why, error{reason::handshake_timeout});
    EXPECT_TRUE(diary.ready.empty());
    EXPECT_TRUE(s.pipe->has(io_flag::broken));
    EXPECT_EQ(w.a.it.sessions(), 0u);
}

TEST(StripeHandshake, S20GarbageIsClosedAtOnce) {
    for (std::uint64_t seed : test_seeds(50)) {
        SCOPED_TRACE(seed_note(seed));
        test_random random(seed);
        world w;
        stranger s(w.loop);
        subflow_diary diary;
        w.a.it.adopt(std::move(s.subflow), "stranger", &diary, 3);
        chain garbage;
        garbage.append_copy(w.loop.blocks(), bytes_of(random.text(200 + random.below(20'000))));
        s.pipe->send(garbage);
        ASSERT_TRUE(w.run([&] { return !diary.gone.empty(); }, 4s));
        EXPECT_TRUE(s.pipe->has(io_flag::broken));
    }
}

TEST(StripeHandshake, StrangersDoNotFillTheLog) {
    world w;
    const auto knock = [&] {
        auto [p, q] = make_memory_pair(w.loop);
        w.b.it.adopt(std::move(p), "stranger");
        chain garbage;
        garbage.append_copy(w.loop.blocks(), bytes_of("GET / HTTP/1.0\r\n\r\n             "));
        q->send(garbage);
        w.idle(1ms);
    };
    for (int i = 0; i < 200; ++i)
        knock();
    EXPECT_EQ(w.b.lines.count("state=refused"), 10u);
    w.idle(1s);
    knock();
    EXPECT_EQ(w.b.lines.count("state=refused count=190"), 1u) << "but none of them is forgotten";
    EXPECT_EQ(w.b.lines.count("state=refused end="), 11u);
}

TEST(StripeHandshake, AStrangerThatHangsUp) {
    world w;
    stranger s(w.loop), t(w.loop);
    subflow_diary diary;
    w.a.it.adopt(std::move(s.subflow), "s", &diary, 1);
    w.a.it.adopt(std::move(t.subflow), "t", &diary, 2);
    s.pipe->send_fin();
    t.pipe->reset();
    EXPECT_TRUE(w.run([&] { return diary.gone.size() == 2; }, 1s));
}

TEST(StripeHandshake, S25StrangersDoNotKeepOthersOutForLong) {
    world w({}, {.max_handshakes = 8});
    std::vector<stranger> strangers;
    for (int i = 0; i < 50; ++i) {
        strangers.emplace_back(w.loop);
        w.b.it.adopt(std::move(strangers.back().subflow), "stranger");
    }
    const auto gone = [&] {
        return std::ranges::count_if(
            strangers, [](const stranger& s) { return s.pipe->has(io_flag::broken); });
    };
    ASSERT_TRUE(w.run([&] { return gone() == 42; }, 1s));
    EXPECT_GT(w.b.lines.count("end=limit"), 0u);
    EXPECT_EQ(w.b.lines.count("end=handshake_timeout"), 0u);
    w.idle(5s);
    EXPECT_EQ(gone(), 50);
    w.join_many(1);
    talker& t = w.open({.to_send = 1000});
    EXPECT_TRUE(w.run([&] { return t.finished(); }));
}

TEST(StripeHandshake, StrangersDoNotTakeThePlaceOfWhatWasDialled) {
    world w({.max_handshakes = 2});
    stranger dialled(w.loop);
    subflow_diary diary;
    w.a.it.adopt(std::move(dialled.subflow), "dialled", &diary, 1);
    w.idle(1s);  // by now it would have to make room
    std::vector<stranger> strangers;
    for (int i = 0; i < 4; ++i) {
        strangers.emplace_back(w.loop);
        w.a.it.adopt(std::move(strangers.back().subflow), "stranger");
    }
    w.idle(1s);
    EXPECT_TRUE(diary.gone.empty());
    EXPECT_EQ(w.a.lines.count("end=limit"), 2u) << "it takes no place of theirs either";
}

TEST(StripeHandshake, ASessionHasAtMostSoManySubflows) {
    world w({}, {.max_subflows = 3});
    subflow_diary diary;
    for (std::uint64_t i = 0; i < 5; ++i)
        w.join({}, &diary, i);
    ASSERT_TRUE(w.run([&] { return diary.ready.size() == 3 && diary.gone.size() == 2; }));
    std::size_t up = 0;
    for (const subflow_info& s : w.b.it.subflows())
        up += s.up;
    EXPECT_EQ(up, 3u);
}

TEST(StripeHandshake, ANodeHasAtMostSoManySessions) {
    world w({}, {.max_sessions = 2});
    log quiet;
    std::deque<node> others;
    subflow_diary diary;
    for (std::uint64_t i = 0; i < 4; ++i) {
        node& n = others.emplace_back(w.loop, quiet, node_options{});
        auto [p, q] = make_memory_pair(w.loop);
        n.adopt(std::move(p), "p", &diary, i);
        w.b.it.adopt(std::move(q), "q");
    }
    ASSERT_TRUE(w.run(
        [&] { return diary.ready.size() + diary.gone.size() == 4 && w.b.it.sessions() == 2; }));
    EXPECT_EQ(diary.ready.size(), 2u);
}

// Whoever came once, and is gone without a word, keeps nobody out.
TEST(StripeHandshake, SessionsThatNobodyWouldMissMakeWay) {
    world w({}, {.max_sessions = 3});
    log quiet;
    talker& t = w.open({.to_send = 1000, .fin = false});
    w.join_many(1);
    ASSERT_TRUE(w.run([&] { return t.sent() == 1000; }));
    for (int i = 0; i < 10; ++i) {
        node once(w.loop, quiet, {});
        subflow_diary diary;
        auto [p, q] = make_memory_pair(w.loop);
        once.adopt(std::move(p), "p", &diary, 1);
        w.b.it.adopt(std::move(q), "q");
        ASSERT_TRUE(w.run([&] { return diary.ready.size() + diary.gone.size() == 1; }, 1s));
        EXPECT_EQ(diary.ready.size(), 1u) << i;
        // Gone with its pipe.
    }
    EXPECT_LE(w.b.it.sessions(), 3u);
    EXPECT_FALSE(t.broken()) << "one with streams, or with subflows, stays";
}

// A pipe that is counted while it lives.
class counted_pipe final : public forwarding_pipe {
  public:
    counted_pipe(std::unique_ptr<io_pipe> lower, std::size_t& count)
        : forwarding_pipe(std::move(lower)), count_(count) {
        ++count_;
    }
    ~counted_pipe() override { --count_; }

  private:
    std::size_t& count_;
};

// They are no session's any more, and shake no hands.
TEST(StripeHandshake, ThoseWhoStayAfterTheirGoodbyeAreFew) {
    world w;
    std::size_t alive = 0, most = 0;
    std::deque<std::unique_ptr<io_pipe>> stay;
    const auto pass = [&](io_pipe& pipe, chain out) {
        pipe.send(out);
        w.idle(1ms);
        chain in;
        pipe.recv(in, 64 * kib);
        return in;
    };
    for (int n = 0; n < 1000; ++n) {
        auto [near, far] = make_memory_pair(w.loop);
        w.b.it.adopt(std::make_unique<counted_pipe>(std::move(far), alive), "far");
        hello who;
        store_be32(who.who.node_id.data(), static_cast<std::uint32_t>(n));
        store_be32(who.nonce.data(), static_cast<std::uint32_t>(n));
        handshake shakes(w.loop.blocks(), who);
        chain in = pass(*near, shakes.take_output());
        ASSERT_FALSE(shakes.received(in));
        shakes.accept();
        chain last = shakes.take_output();
        std::uint8_t goaway[wire::header_size];
        wire::encode({.type = wire::type::goaway}, goaway);
        last.append_copy(w.loop.blocks(), goaway);
        pass(*near, std::move(last));
        ASSERT_EQ(w.b.it.sessions(), 0u);
        stay.push_back(std::move(near));
        most = std::max(most, alive);
    }
    EXPECT_LE(most, 300u);
    EXPECT_GE(most, 200u) << "an honest peer is let take its time";
}

// By whichever of both it is given up, it is given up once.
TEST(StripeHandshake, TheDeadlineOfAStrangerAndTheEndOfTheNodeInOneTurn) {
    world w;
    struct closer {
        node& of;
        void on_timer() { of.close({}); }
    } closes{w.a.it};
    timer same(w.loop, delegate<void()>::to<&closer::on_timer>(closes));
    same.arm_in(5s);
    stranger s(w.loop);
    subflow_diary diary;
    w.a.it.adopt(std::move(s.subflow), "stranger", &diary, 3);
    ASSERT_TRUE(w.run([&] { return !diary.gone.empty(); }));
    EXPECT_EQ(w.loop.now(), instant{} + 5s);
    w.idle(1s);
    EXPECT_EQ(diary.gone.size(), 1u);
}

TEST(StripeHandshake, S20ANodeDoesNotTalkToItself) {
    world w;
    auto [p, q] = make_memory_pair(w.loop);
    subflow_diary diary;
    w.a.it.adopt(std::move(p), "p", &diary, 1);
    w.a.it.adopt(std::move(q), "q", &diary, 2);
    ASSERT_TRUE(w.run([&] { return diary.gone.size() == 2; }));
    const auto self = [](const auto& g) { return g.why == error{reason::self_connect}; };
    EXPECT_TRUE(std::ranges::any_of(diary.gone, self));
    EXPECT_EQ(w.a.it.sessions(), 0u);
}

}  // namespace
}  // namespace libp::stripe
