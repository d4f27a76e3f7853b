// Peers and pipes that misbehave after the handshake, and users that come back from inside their
// callbacks.

#include <libp/stripe/wire.h>

#include <algorithm>

#include "stripe_node/world.h"
#include "support/faulty_pipe.h"
#include "support/seed.h"

namespace libp::stripe {
namespace {

// A peer made by hand: shakes hands properly, and then says what a test has it say.
struct hand_made_peer {
    explicit hand_made_peer(world& w, subflow_owner* owner = nullptr, std::uint8_t name = 9)
        : loop(w.loop), shake(loop.blocks(), named(name)) {
        std::unique_ptr<io_pipe> theirs;
        std::tie(theirs, pipe) = make_memory_pair(loop);
        w.a.it.adopt(std::move(theirs), "by hand", owner);
        chain in;
        EXPECT_TRUE(w.run([&] {
            if (pipe->has(io_flag::readable) && pipe->recv(in, 4 * kib).ok()) {
                EXPECT_FALSE(shake.received(in));
                if (shake.undecided()) shake.accept();
            }
            chain out = shake.take_output();
            pipe->send(out);
            return shake.done() && w.a.it.sessions() > 0;
        }));
    }
    static hello named(std::uint8_t name) {
        hello h;
        h.who.node_id.fill(name);
        h.nonce.fill(9);
        return h;
    }
    void say(chain&& what) {
        pipe->send(what);
        EXPECT_TRUE(what.empty());
    }
    void say(const wire::header& h) {
        std::uint8_t frame[wire::header_size];
        wire::encode(h, frame);
        chain c;
        c.append_copy(loop.blocks(), frame);
        say(std::move(c));
    }
    // Everything up to the end; the types of the frames, if they carry nothing.
    std::vector<std::uint8_t> hear(world& w, io_status& end) {
        chain in;
        EXPECT_TRUE(w.run([&] {
            while (pipe->has(io_flag::readable)) {
                const io_result r = pipe->recv(in, 64 * kib);
                end = r.status;
                if (!r.ok()) break;
            }
            return end == io_status::fin || end == io_status::broken;
        }));
        std::vector<std::uint8_t> types;
        while (in.size() >= wire::header_size) {
            std::uint8_t front[wire::header_size];
            in.copy_out(front);
            wire::header h;
            EXPECT_TRUE(wire::decode(front, h));
            types.push_back(h.type);
            in.drop_front(std::min(in.size(), h.frame_size()));
        }
        return types;
    }

    event_loop& loop;
    handshake shake;
    std::unique_ptr<io_pipe> pipe;
};

TEST(StripeTrouble, GarbageCostsTheSubflowThatCarriedIt) {
    for (std::uint64_t seed : test_seeds(50)) {
        SCOPED_TRACE(seed_note(seed));
        test_random random(seed);
        world w;
        subflow_diary diary;
        hand_made_peer peer(w, &diary);
        chain garbage;
        garbage.append_copy(w.loop.blocks(), bytes_of(random.text(24 + random.below(5000))));
        peer.say(std::move(garbage));
        ASSERT_TRUE(w.run([&] { return diary.gone.size() == 1; }, 1s));
        EXPECT_TRUE(peer.pipe->has(io_flag::broken));
        EXPECT_EQ(w.a.it.sessions(), 1u);
        w.idle(6s);
        EXPECT_EQ(w.a.it.sessions(), 0u);
    }
}

// It is told why before it is closed.
TEST(StripeTrouble, APeerThatBreaksTheRulesLosesTheSession) {
    world w;
    subflow_diary diary;
    hand_made_peer peer(w, &diary);
    talker& t = w.open({});
    const std::uint32_t wrong_side = peer.shake.even() ? 1 : 2;
    peer.say({.type = wire::type::open, .stream = wrong_side});
    io_status end = io_status::ok;
    const std::vector<std::uint8_t> heard = peer.hear(w, end);
    EXPECT_EQ(end, io_status::fin);
    ASSERT_FALSE(heard.empty());
    EXPECT_EQ(heard.back(), wire::type::goaway);
    ASSERT_EQ(diary.gone.size(), 1u);
    EXPECT_EQ(diary.gone[0].why, error{reason::protocol_error});
    EXPECT_TRUE(w.run([&] { return t.broken(); }, 1s));
    EXPECT_EQ(t.why(), error{reason::protocol_error});
    EXPECT_EQ(w.a.it.sessions(), 0u);
}

// The peer neither closes nor reads what we closed: it does not stay for ever.
TEST(StripeTrouble, APeerThatDoesNotPart) {
    world w;
    hand_made_peer peer(w);
    struct {
        bool closed = false;
        void on_closed() { closed = true; }
    } end;
    const instant before = w.loop.now();
    w.a.it.close(delegate<void()>::to<&decltype(end)::on_closed>(end));
    ASSERT_TRUE(w.run([&] { return end.closed; }));
    EXPECT_EQ(w.loop.now(), before + 2s);
}

TEST(StripeTrouble, ClosingANodeWithNothingToClose) {
    world w;
    struct {
        int closed = 0;
        void on_closed() { ++closed; }
    } end;
    talker& t = w.open({});
    w.a.it.close(delegate<void()>::to<&decltype(end)::on_closed>(end));
    EXPECT_EQ(end.closed, 0);
    w.idle(1ms);
    EXPECT_EQ(end.closed, 1);
    EXPECT_EQ(t.why(), error{reason::local_abort});
    subflow_diary diary;
    w.join({}, &diary);
    talker& late = w.open({});
    w.idle(1ms);
    EXPECT_EQ(diary.gone.size(), 1u);
    EXPECT_TRUE(late.broken());
    EXPECT_EQ(end.closed, 1);
}

// One of two subflows fails at its N-th call, wherever that is.
TEST(StripeTrouble, AFailureAtAnyCallOfOneSubflow) {
    const std::uint64_t volume = 300'000;
    bool failed = true;
    std::size_t n = 0;
    for (; failed && n < 10'000; ++n) {
        SCOPED_TRACE(n);
        world w;
        w.b.answer.to_send = volume;
        subflow_diary diary;
        auto [near, far] = make_memory_pair(w.loop, {.capacity = 20 * kib});
        w.a.it.adopt(make_faulty_pipe(w.loop, std::move(near),
                                      {.seed = n + 1, .max_chunk = 9000, .fail_at = n}),
                     "faulty", &diary);
        w.b.it.adopt(std::move(far), "far");
        w.join({.capacity = 20 * kib});
        talker& t = w.open({.to_send = volume});
        ASSERT_TRUE(w.run(
            [&] { return t.finished() && !w.b.talkers.empty() && w.b.talkers[0]->finished(); }));
        ASSERT_TRUE(t.exact() && w.b.talkers[0]->exact());
        ASSERT_EQ(t.received() + w.b.talkers[0]->received(), 2 * volume);
        failed = !diary.gone.empty();
    }
    EXPECT_GT(n, 15u) << "nothing was failed";
    EXPECT_FALSE(failed);
}

// An owner that brings a new subflow the moment the old one is gone.
TEST(StripeTrouble, AnOwnerMayAdoptFromInsideItsCalls) {
    world w;
    struct replacer final : subflow_owner {
        explicit replacer(world& in) : w(in) {}
        void subflow_ready(std::uint64_t) override {
            if (++ready < 3) w.join({}, this, 0);
        }
        void subflow_gone(std::uint64_t, error) override {
            if (++gone < 10) w.join({}, this, 0);
        }
        world& w;
        int ready = 0, gone = 0;
    } owner(w);
    w.b.answer.to_send = 3'000'000;
    w.join({}, &owner, 0);
    talker& t = w.open({.to_send = 3'000'000});
    std::size_t next = 0;
    ASSERT_TRUE(w.run([&] {
        if (t.received() > next * 400'000 && next < w.links.size()) w.links[next++].cut();
        return t.finished() && w.b.talkers[0]->finished();
    }));
    EXPECT_GE(owner.gone, 3);
    EXPECT_TRUE(t.exact() && w.b.talkers[0]->exact());
    EXPECT_EQ(t.received(), 3'000'000u);
}

// A server that connects its streams onwards opens others while it is being given one, and lets go
// of some at once.
TEST(StripeTrouble, AStreamHandlerMayDoAnything) {
    event_loop loop(std::make_unique<sim_poller>());
    log quiet;
    struct server {
        explicit server(event_loop& l) : loop(l) {}
        void on_stream(std::unique_ptr<stream_pipe> s, const open_request&) {
            switch (count++ % 4) {
                case 0:
                    return;  // destroyed unanswered
                case 1:
                    s->accept();
                    return;  // ... and answered
                case 2:
                    s->refuse({reason::limit});
                    return;  // broken at once
                default:
                    s->accept();
                    kept.push_back(std::move(s));
            }
            kept.push_back(it->open_stream({}, 1s));
            while (kept.size() > 5)
                kept.erase(kept.begin());
        }
        event_loop& loop;
        node* it = nullptr;
        int count = 0;
        std::vector<std::unique_ptr<io_pipe>> kept;
    } far(loop);
    node b(loop, quiet, {}, node::stream_handler::to<&server::on_stream>(far));
    far.it = &b;
    node a(loop, quiet, {});
    auto [p, q] = make_memory_pair(loop);
    a.adopt(std::move(p), "p");
    b.adopt(std::move(q), "q");
    std::vector<std::unique_ptr<talker>> all;
    for (int i = 0; i < 100; ++i)
        all.push_back(
            std::make_unique<talker>(loop, a.open_stream({}, 5s), talker::plan{.fin = false}));
    const instant end = loop.now() + 5s;
    while (loop.now() < end)
        loop.turn(end);
    EXPECT_EQ(far.count, 100);
    const auto count = [&](auto pred) { return std::ranges::count_if(all, pred); };
    const auto alive = count([](const auto& t) { return !t->broken(); });
    EXPECT_GT(alive, 0);
    EXPECT_LE(alive, 5);
    EXPECT_EQ(count([](const auto& t) { return t->why() == error{reason::peer_reset}; }),
              75 - alive);
    EXPECT_EQ(count([](const auto& t) { return t->why() == error{reason::limit}; }), 25);
}

// Each within its rights, all together more than there is room for. Whoever goes on is not hurt.
TEST(StripeTrouble, FramesThatNeverEndHaveLittleRoom) {
    constexpr std::size_t strangers = 60, size = 64 * kib, room = 1 * mib;
    world w({.memory_budget = room});
    w.b.answer.to_send = 4 * mib;
    w.join_many(2);
    const talker& honest = w.open({.to_send = 1});
    ASSERT_TRUE(w.run([&] { return honest.received() > 0; }));
    std::deque<hand_made_peer> all;
    for (std::uint8_t n = 0; n < strangers; ++n) {
        hand_made_peer& peer = all.emplace_back(w, nullptr, std::uint8_t(100 + n));
        peer.say({.type = wire::type::ping, .flags = wire::flag::crc, .length = size});
        w.idle(1ms);
        chain most;
        append_pattern(most, w.loop.blocks(), n, 0, size - 1);
        peer.say(std::move(most));
        w.idle(1ms);
    }
    const auto alive = std::ranges::count_if(
        all, [](const hand_made_peer& p) { return !p.pipe->has(io_flag::broken); });
    EXPECT_EQ(alive, room / (size + wire::header_size));
    ASSERT_TRUE(w.run([&] { return honest.finished(); }));
    EXPECT_TRUE(honest.exact());
    for (const subflow_info& s : w.b.it.subflows())
        EXPECT_TRUE(s.up);
}

}  // namespace
}  // namespace libp::stripe
