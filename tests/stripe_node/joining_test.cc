// Handshakes: strangers, limits, and what becomes of those that come to nothing.

#include <libp/crc32c.h>
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
    // All that has come by now; `ended`: the other end has closed, and did not break it off.
    std::string heard(bool& ended) {
        chain in;
        io_result r = io_result::moved(0);
        while (r.ok() && pipe->has(io_flag::readable))
            r = pipe->recv(in, 64 * kib);
        ended = r.status == io_status::fin;
        return in.to_string();
    }
    std::unique_ptr<io_pipe> subflow, pipe;
};

constexpr std::size_t hello_frame = wire::header_size + wire::hello_size + wire::trailer_size;

chain hello_from(event_loop& loop, std::uint32_t n) {
    hello h;
    store_be32(h.who.node_id.data(), n);
    store_be32(h.nonce.data(), n);
    return handshake(loop.blocks(), h).take_output();
}

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
        bool ended = false;
        EXPECT_LE(s.heard(ended).size(), hello_frame) << "and is not answered";
        EXPECT_FALSE(ended);
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
    for (const auto& g : diary.gone)
        EXPECT_EQ(g.why, (error{reason::limit, by_peer}));
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
    for (const auto& g : diary.gone)
        EXPECT_EQ(g.why, (error{reason::limit, by_peer}));
}

// In the logs of both ends, of which one says that it was the other's word.
TEST(StripeHandshake, WhoIsRefusedIsToldWhy) {
    world w({}, {.max_sessions = 0});
    subflow_diary diary;
    talker& t = w.open({.to_send = 1000}, 1s);
    w.join({}, &diary);
    ASSERT_TRUE(w.run([&] { return !diary.gone.empty(); }, 100ms));
    EXPECT_EQ(diary.gone[0].why, (error{reason::limit, by_peer}));
    EXPECT_EQ(w.a.lines.count("state=refused end=limit why=\"refused by the other end: limit "
                              "reached\""),
              1u);
    EXPECT_EQ(w.b.lines.count("state=refused end=limit why=\"limit reached\""), 1u);
    EXPECT_EQ(w.a.lines.count("warn"), 0u);
    w.idle(100ms);
    EXPECT_FALSE(t.broken()) << "another may yet come through";
}

TEST(StripeHandshake, AnotherVersionIsToldSo) {
    world w;
    chain out = hello_from(w.loop, 2);
    std::string text = out.to_string();
    text[wire::header_size + 4] = text[wire::header_size + 5] = 2;
    const std::string_view payload(text.data() + wire::header_size, wire::hello_size);
    store_be32(reinterpret_cast<std::uint8_t*>(text.data() + text.size() - wire::trailer_size),
               crc32c(0, bytes_of(payload)));
    stranger s(w.loop);
    w.b.it.adopt(std::move(s.subflow), "stranger");
    chain changed;
    changed.append_copy(w.loop.blocks(), bytes_of(text));
    s.pipe->send(changed);
    w.idle(1ms);
    bool ended = false;
    const std::string heard = s.heard(ended);
    EXPECT_TRUE(ended);
    ASSERT_EQ(heard.size(), hello_frame + wire::header_size);
    wire::header last;
    ASSERT_TRUE(wire::decode(bytes_of(heard).data() + hello_frame, last));
    EXPECT_EQ(last, (wire::header{.type = wire::type::goaway, .aux = 0x3b}));
    EXPECT_EQ(w.b.lines.count("state=refused end=protocol_error why=\"the versions"), 1u);
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

// Nodes made by hand come to b, and stay when it has closed.
struct world_of_stayers : world {
    explicit world_of_stayers(const node_options& of_b = {}) : world({}, of_b) {}
    // One whose pipe at b counts in `alive`; with a session and a goodbye, or a byte of a stream
    // that it has not opened, or a HELLO alone. Returns how much b has answered to that.
    std::size_t come(std::uint32_t n, std::size_t& alive, bool goodbye, bool data = false) {
        auto [near, far] = make_memory_pair(loop);
        b.it.adopt(std::make_unique<counted_pipe>(std::move(far), alive), "far");
        hello who;
        store_be32(who.who.node_id.data(), n);
        store_be32(who.nonce.data(), n);
        handshake shakes(loop.blocks(), who);
        chain answer = pass(*near, shakes.take_output());
        const std::size_t answered = answer.size();
        if (goodbye || data) {
            EXPECT_FALSE(shakes.received(answer));
            shakes.accept();
            chain last = shakes.take_output();
            wire::header h{.type = wire::type::goaway};
            if (data)
                h = {.type = wire::type::data, .length = 1, .stream = shakes.even() ? 2u : 1u};
            std::uint8_t frame[wire::header_size + 1] = {};
            wire::encode(h, frame);
            last.append_copy(loop.blocks(), bytes{frame}.first(h.frame_size()));
            pass(*near, std::move(last));
        }
        stay.push_back(std::move(near));
        return answered;
    }
    // So many of that kind, and then a session that stays.
    void begin(std::uint32_t before, std::size_t& alive) {
        for (std::uint32_t n = 1; n <= before; ++n)
            come(n, alive, true);
        ASSERT_EQ(alive, before);
        join_many(1);
        idle(1ms);
        ASSERT_EQ(b.it.sessions(), 1u);
    }
    chain pass(io_pipe& pipe, chain out) {
        pipe.send(out);
        idle(1ms);
        chain in;
        pipe.recv(in, 64 * kib);
        return in;
    }
    std::deque<std::unique_ptr<io_pipe>> stay;
};

// Whoever begins sessions and ends them as often as he likes; one that is lost with its streams is
// said whatever came before.
TEST(StripeHandshake, SessionsThatComeAndGoDoNotFillTheLog) {
    std::size_t alive = 0;
    world_of_stayers w({.resume = 10ms});
    for (std::uint32_t n = 1; n <= 200; ++n)
        w.come(n, alive, true);
    w.b.answer.fin = false;
    w.join_many(1);
    w.open({.to_send = 1000, .fin = false});
    ASSERT_TRUE(w.run([&] { return !w.b.talkers.empty(); }));
    w.links[0].cut();
    ASSERT_TRUE(w.run([&] { return w.b.it.sessions() == 0; }));
    ASSERT_LT(w.loop.now(), instant{} + 1s);
    EXPECT_EQ(w.b.lines.count("info session"), 50u);
    EXPECT_EQ(w.b.lines.count("info subflow"), 50u);
    EXPECT_EQ(w.b.lines.count("warn session"), 1u);
    w.idle(1s);
    w.come(201, alive, true);
    EXPECT_EQ(w.b.lines.count("session state=\"up or down\" count=351 why=\"not logged\""), 1u);
    EXPECT_EQ(w.b.lines.count("subflow state=\"up or down\" count=352 why=\"not logged\""), 1u);
    EXPECT_EQ(w.b.lines.count("info session id="), 52u);
}

// Nobody else loses a line by that: who dials bounds himself.
TEST(StripeHandshake, WhatWasDialledHereIsLogged) {
    world w;
    subflow_diary diary;
    w.join();
    for (std::uint64_t n = 0; n < 60; ++n) {
        link& l = w.join({}, &diary, n);
        w.idle(1ms);
        l.cut();
    }
    w.idle(1ms);
    ASSERT_LT(w.loop.now(), instant{} + 1s);
    EXPECT_EQ(w.a.lines.count("subflow id="), 1u + 60 * 2);
    EXPECT_EQ(w.b.lines.count("subflow id="), 50u);
}

// What it has sent is of a stream that it has not opened: that is nothing to come back for.
TEST(StripeHandshake, SessionsWithoutAnOpenedStreamMakeWay) {
    std::size_t alive = 0;
    world_of_stayers w({.max_sessions = 3});
    for (std::uint32_t n = 1; n <= 3; ++n) {
        w.come(n, alive, false, true);
        w.stay.pop_back();
    }
    w.idle(1ms);
    ASSERT_EQ(w.b.it.sessions(), 3u);
    w.join_many(1);
    talker& t = w.open({.to_send = 1000});
    EXPECT_TRUE(w.run([&] { return t.finished(); }, 1s));
    w.idle(5s);
    EXPECT_EQ(w.b.it.sessions(), 1u) << "nor does the node wait for them as long as for others";
}

// They are no session's any more, and shake no hands.
TEST(StripeHandshake, ThoseWhoStayAfterTheirGoodbyeAreFew) {
    std::size_t alive = 0, most = 0;
    world_of_stayers w;
    for (std::uint32_t n = 0; n < 1000; ++n) {
        w.come(n, alive, true);
        ASSERT_EQ(w.b.it.sessions(), 0u);
        most = std::max(most, alive);
    }
    EXPECT_LE(most, 300u);
    EXPECT_GE(most, 200u) << "an honest peer is let take its time";
}

// Nor do they cost those their goodbye who had a session.
TEST(StripeHandshake, ThoseWhoStayAfterTheyWereRefusedAreFew) {
    std::size_t refused = 0, most = 0, left = 0;
    world_of_stayers w({.max_sessions = 1});
    w.begin(10, left);
    for (std::uint32_t n = 11; n <= 1000; ++n) {
        ASSERT_EQ(w.come(n, refused, false), hello_frame + wire::header_size)
            << "told all the same";
        most = std::max(most, left + refused);
    }
    EXPECT_EQ(most, 256u);
    EXPECT_EQ(left, 10u);
}

TEST(StripeHandshake, ARefusalTakesNoGoodbyesPlace) {
    std::size_t refused = 0, left = 0;
    world_of_stayers w({.max_sessions = 1});
    w.begin(256, left);
    for (std::uint32_t n = 257; n <= 260; ++n) {
        w.come(n, refused, false);
        EXPECT_EQ(left, 256u);
        EXPECT_EQ(refused, 0u);
    }
    EXPECT_EQ(w.b.lines.count("state=refused end=limit"), 4u);
}

// Nor is the HELLO before it, of which the pipe has taken a part.
TEST(StripeHandshake, ARefusalIsNotCutByAPipeThatIsFull) {
    world w({}, {.max_sessions = 0});
    auto [near, far] = make_memory_pair(w.loop, {.capacity = 50});
    w.b.it.adopt(std::move(far), "far");
    chain out = hello_from(w.loop, 1);
    const auto send = [&] {
        near->send(out);
        return w.b.lines.count("state=refused end=limit") == 1;
    };
    ASSERT_TRUE(w.run(send, 1s));
    chain heard;
    const auto receive = [&] {
        while (near->has(io_flag::readable) && near->recv(heard, 50).ok()) {
        }
        return heard.size() >= hello_frame + wire::header_size;
    };
    ASSERT_TRUE(w.run(receive, 1s));
    heard.drop_front(hello_frame);
    const std::string text = heard.to_string();
    wire::header last;
    ASSERT_TRUE(wire::decode(bytes_of(text).data(), last));
    EXPECT_EQ(last, (wire::header{.type = wire::type::goaway, .aux = 0x08}));
}

TEST(StripeHandshake, ANodeThatClosesWaitsForNobodyWhomItRefused) {
    std::size_t alive = 0;
    world_of_stayers w({.max_sessions = 0});
    w.come(1, alive, false);
    struct {
        bool closed = false;
        void on_closed() { closed = true; }
    } end;
    w.b.it.close(delegate<void()>::to<&decltype(end)::on_closed>(end));
    w.idle(1ms);
    EXPECT_TRUE(end.closed);
    EXPECT_EQ(alive, 1u) << "he may yet read why";
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
