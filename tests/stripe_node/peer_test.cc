// Whose session it is: one that was given up stays so, only the same peer joins, and a restarted
// one is known.

#include <libp/stripe/wire.h>

#include "stripe_node/world.h"
#include "support/forwarding_pipe.h"

namespace libp::stripe {
namespace {

// A session of b's besides a's.
struct another_peer {
    explicit another_peer(world& w) : it(w.loop, quiet, {}) {
        auto [p, q] = make_memory_pair(w.loop);
        it.adopt(std::move(p), "p");
        w.b.it.adopt(std::move(q), "q");
    }
    log quiet;
    node it;
};

// b has given up a session that a still waits in, and has one with somebody else.
struct given_up_by_b : world {
    given_up_by_b() : world({.resume = 600s}, {.resume = 10s}), other(*this) {
        join_many(2);
        b.answer.fin = false;
        waits = &open({.to_send = 1000, .fin = false});
        EXPECT_TRUE(run([&] { return !b.talkers.empty() && b.talkers[0]->received() == 1000; }));
        EXPECT_TRUE(run([&] { return waits->pipe().has(io_flag::ready); }));
        for (link& l : links)
            l.cut();
        EXPECT_TRUE(run([&] { return b.it.sessions() == 1; }, 20s));
    }
    another_peer other;
    talker* waits = nullptr;
};

// One end gave the session up, the other has not yet: they must not take half of it up again.
TEST(StripePeer, AnEndedSessionStaysEnded) {
    world w({.resume = 60s}, {.resume = 10s});
    w.join_many(2);
    w.b.answer.fin = false;
    talker& t = w.open({.to_send = 1000, .fin = false});
    ASSERT_TRUE(w.run([&] { return !w.b.talkers.empty() && w.b.talkers[0]->received() == 1000; }));
    ASSERT_TRUE(w.run([&] { return t.pipe().has(io_flag::ready); }));
    for (link& l : w.links)
        l.cut();
    ASSERT_TRUE(w.run([&] { return w.b.it.sessions() == 0; }, 20s));
    EXPECT_FALSE(t.broken());
    // It was b's last session: b is a new instance now, and the first subflow tells a so.
    w.join_many(1);
    ASSERT_TRUE(w.run([&] { return t.broken(); }, 1s));
    EXPECT_EQ(t.why(), error{reason::peer_restarted});
    w.b.answer.fin = true;
    talker& again = w.open({.to_send = 100'000});
    ASSERT_TRUE(w.run([&] { return again.finished(); }));
}

TEST(StripePeer, AnEndedSessionIsRefusedWhereOthersLive) {
    given_up_by_b w;
    talker& t = *w.waits;
    subflow_diary diary;
    w.join({}, &diary, 7);
    ASSERT_TRUE(w.run([&] { return diary.gone.size() == 1; }));
    EXPECT_EQ(diary.gone[0].token, 7u);
    EXPECT_EQ(diary.gone[0].why, (error{reason::session_lost, by_peer}));
    EXPECT_TRUE(w.run([&] { return t.broken(); }, 100ms)) << "there is nothing to wait for";
    EXPECT_EQ(t.why(), (error{reason::session_lost, by_peer}));
    w.join_many(1);
    w.b.answer.fin = true;
    talker& again = w.open({.to_send = 100'000});
    EXPECT_TRUE(w.run([&] { return again.finished(); }));
}

// It is not remembered for ever; but the peer knows that there was one. Begun again, it would be
// given what it has had once.
TEST(StripePeer, AForgottenSessionIsNotBegunAgain) {
    given_up_by_b w;
    talker& t = *w.waits;
    for (int n = 0; n < 300; ++n) {
        another_peer passer_by(w);
        ASSERT_TRUE(w.run([&] { return w.b.it.sessions() == 2; }));
        passer_by.it.close({});
        ASSERT_TRUE(w.run([&] { return w.b.it.sessions() == 1; }));
    }
    ASSERT_FALSE(t.broken());
    w.join();
    ASSERT_TRUE(w.run([&] { return t.broken(); }, 1s)) << "there is nothing to wait for";
    EXPECT_EQ(t.why().why, reason::session_lost);
    EXPECT_EQ(w.b.talkers.size(), 1u) << "what it asked for was done twice";
    w.join();
    w.b.answer.fin = true;
    const talker& again = w.open({.to_send = 100'000});
    EXPECT_TRUE(w.run([&] { return again.finished(); }));
}

// Where that session had the last place, too: it counts no more, else the newcomer could not come
// before it is given up.
TEST(StripePeer, S21ARestartedPeerBreaksItsOldSessionAtOnce) {
    for (const std::size_t places : {std::size_t{1}, node_options{}.max_sessions}) {
        SCOPED_TRACE(places);
        node_options named;
        named.node_id.fill(7);
        world w({.max_sessions = places}, named);
        w.join_many(2);
        w.b.answer.fin = false;
        talker& t = w.open({.to_send = 1000, .fin = false});
        ASSERT_TRUE(
            w.run([&] { return !w.b.talkers.empty() && w.b.talkers[0]->received() == 1000; }));

        node_end reborn(w.loop, named);
        link& l = w.links.emplace_back(w.loop);
        w.a.it.adopt(l.take_a(), "a");
        reborn.it.adopt(l.take_b(), "b");
        ASSERT_TRUE(w.run([&] { return t.broken(); }, 1s));
        EXPECT_EQ(t.why(), error{reason::peer_restarted});
        talker& again = w.open({.to_send = 1000});
        ASSERT_TRUE(w.run([&] { return again.finished(); }));
        EXPECT_EQ(reborn.talkers.size(), 1u);
        EXPECT_EQ(w.b.talkers.size(), 1u);
        EXPECT_EQ(w.a.it.sessions(), 1u);
    }
}

// A pipe whose other end has proved who it is.
class known_pipe final : public forwarding_pipe {
  public:
    known_pipe(std::unique_ptr<io_pipe> lower, std::string who)
        : forwarding_pipe(std::move(lower)), who_(std::move(who)) {}
    std::string peer_identity() const override { return who_; }

  private:
    std::string who_;
};

// Somebody else who knows all that HELLO says of a session, by whatever way: the same node over a
// link that proves another name.
TEST(StripePeer, OnlyTheSamePeerJoins) {
    world w;
    const auto join_as = [&](const std::string& who) {
        link& l = w.links.emplace_back(w.loop);
        w.a.it.adopt(l.take_a(), "a");
        w.b.it.adopt(std::make_unique<known_pipe>(l.take_b(), who), "b");
    };
    join_as("key laptop");
    w.b.answer.to_send = 1000;
    talker& t = w.open({.to_send = 1000, .fin = false});
    ASSERT_TRUE(w.run([&] { return t.received() == 1000; }));
    for (const char* other : {"key desktop", "", "certificate /CN=laptop"}) {
        const std::size_t refused = w.b.lines.count("end=auth_failed");
        join_as(other);
        ASSERT_TRUE(w.run([&] { return w.b.lines.count("end=auth_failed") > refused; })) << other;
    }
    w.idle(1ms);
    EXPECT_EQ(w.a.lines.count("end=auth_failed why=\"refused by the other end"), 3u);
    join_as("key laptop");
    const auto up = [&] {
        const auto all = w.b.it.subflows();
        return std::ranges::count_if(all, [](const subflow_info& s) { return s.up; });
    };
    ASSERT_TRUE(w.run([&] { return up() == 2; }));
    EXPECT_EQ(w.b.it.sessions(), 1u);
    EXPECT_FALSE(t.broken());
}

// A session with "server", and `who` who has overheard what it says of itself and says in its name
// that the session has ended.
struct session_said_to_have_ended : world {
    session_said_to_have_ended(const char* who, subflow_owner& owner, node** near_node = nullptr) {
        if (near_node) *near_node = &a.it;
        link& l = links.emplace_back(loop);
        a.it.adopt(std::make_unique<known_pipe>(l.take_a(), "server"), "a", &owner, 1);
        b.it.adopt(l.take_b(), "b");
        b.answer.fin = false;
        stream = &open({.to_send = 1000, .fin = false});
        EXPECT_TRUE(run([&] { return !b.talkers.empty() && b.talkers[0]->received() == 1000; }));
        auto [near, far] = make_memory_pair(loop);
        auto [heard, told] = make_memory_pair(loop);
        a.it.adopt(std::make_unique<known_pipe>(std::move(near), who), "a", &owner, 2);
        b.it.adopt(std::move(told), "b");
        chain out;
        EXPECT_TRUE(run([&] {
            if (heard->has(io_flag::readable)) heard->recv(out, 4 * kib);
            return !out.empty();
        }));
        std::uint8_t goaway[wire::header_size];
        wire::encode({.type = wire::type::goaway, .aux = wire::code_of(reason::session_lost)},
                     goaway);
        out.append_copy(loop.blocks(), goaway);
        far->send(out);
        idle(1ms);
    }
    talker* stream = nullptr;
};

TEST(StripePeer, ASessionEndsAtTheWordOfItsPeerAlone) {
    for (const std::string who : {"server", "somebody", ""}) {
        subflow_diary diary;
        session_said_to_have_ended w(who.c_str(), diary);
        const error why = who == "server" ? error{reason::session_lost, by_peer} : error{};
        EXPECT_EQ(w.stream->why(), why) << who;
        EXPECT_EQ(diary.gone.size(), who == "server" ? 2u : 1u) << who;
        EXPECT_EQ(diary.gone.back().token, 2u);
        EXPECT_EQ(diary.gone.back().why, (error{reason::session_lost, by_peer}));
    }
}

TEST(StripePeer, AnOwnerMayLeaveWhenASessionEndsAtItsPeersWord) {
    struct leaver final : subflow_owner {
        void subflow_ready(std::uint64_t) override {}
        void subflow_gone(std::uint64_t, error) override {
            ++told;
            of->forget_owner(*this);
        }
        node* of = nullptr;
        int told = 0;
    } owner;
    session_said_to_have_ended w("server", owner, &owner.of);
    EXPECT_TRUE(w.stream->broken());
    EXPECT_EQ(owner.told, 1);
}

// Each end took it for the other's goodbye, so that neither has a new instance; and b, which has
// another session, gets none.
TEST(StripePeer, ASessionThatBothEndsTookForLeftIsFollowedByAnother) {
    world w;
    another_peer other(w);
    w.join_many(1);
    ASSERT_TRUE(w.run([&] { return w.a.it.sessions() == 1 && w.b.it.sessions() == 2; }));
    auto [heard, told] = make_memory_pair(w.loop);
    w.a.it.adopt(std::move(told), "a");
    chain out;
    ASSERT_TRUE(w.run([&] {
        if (heard->has(io_flag::readable)) heard->recv(out, 4 * kib);
        return !out.empty();
    }));
    std::uint8_t goaway[wire::header_size];
    wire::encode({.type = wire::type::goaway, .aux = wire::code_of(reason::session_lost)}, goaway);
    out.append_copy(w.loop.blocks(), goaway);
    auto [near, far] = make_memory_pair(w.loop);
    w.b.it.adopt(std::move(near), "b");
    far->send(out);
    ASSERT_TRUE(w.run([&] { return w.a.it.sessions() == 0 && w.b.it.sessions() == 1; }));

    subflow_diary diary;
    w.join({}, &diary, 1);
    ASSERT_TRUE(w.run([&] { return !diary.gone.empty(); }));
    EXPECT_EQ(diary.gone[0].why, error{reason::session_lost}) << "by both ends";
    w.join({}, &diary, 2);
    ASSERT_TRUE(w.run([&] { return diary.gone.size() + diary.ready.size() == 2; }));
    EXPECT_EQ(diary.ready, (std::vector<std::uint64_t>{2}));
}

// A stranger with a name of its own says that it is the server, started again: nobody else's
// session ends.
TEST(StripePeer, OnlyTheSamePeerRestarts) {
    node_options named;
    named.node_id.fill(7);
    world w({}, named);
    const auto adopt_as = [&](node_end& far, const std::string& who) {
        link& l = w.links.emplace_back(w.loop);
        w.a.it.adopt(std::make_unique<known_pipe>(l.take_a(), who), "a");
        far.it.adopt(l.take_b(), "b");
    };
    adopt_as(w.b, "server");
    w.b.answer.fin = false;
    talker& t = w.open({.to_send = 1000, .fin = false});
    ASSERT_TRUE(w.run([&] { return !w.b.talkers.empty() && w.b.talkers[0]->received() == 1000; }));
    node_end impostor(w.loop, named);
    adopt_as(impostor, "somebody");
    ASSERT_TRUE(w.run([&] { return impostor.it.sessions() == 1; }));
    w.idle(1s);
    EXPECT_FALSE(t.broken());
    node_end reborn(w.loop, named);
    adopt_as(reborn, "server");
    ASSERT_TRUE(w.run([&] { return t.broken(); }, 1s));
    EXPECT_EQ(t.why(), error{reason::peer_restarted});
}

// With more than one subflow, of which the rest shakes hands after the first has begun the new
// session.
TEST(StripePeer, S21ARestartedPeerCostsOneSessionAndNoMore) {
    node_options named;
    named.node_id.fill(7);
    world w({}, named);
    w.join_many(3);
    w.b.answer.fin = false;
    talker& t = w.open({.to_send = 1000, .fin = false});
    ASSERT_TRUE(w.run([&] { return !w.b.talkers.empty() && w.b.talkers[0]->received() == 1000; }));

    node_end reborn(w.loop, named);
    reborn.answer.fin = false;
    const auto join = [&] {
        link& l = w.links.emplace_back(w.loop);
        w.a.it.adopt(l.take_a(), "a");
        reborn.it.adopt(l.take_b(), "b");
    };
    join();
    ASSERT_TRUE(w.run([&] { return t.broken(); }, 1s));
    talker& again = w.open({.to_send = 1000, .fin = false});
    join();
    join();
    w.idle(1s);
    EXPECT_FALSE(again.broken()) << to_string(again.why());
    EXPECT_EQ(w.a.it.sessions(), 1u);
    EXPECT_EQ(reborn.it.sessions(), 1u);
    EXPECT_EQ(reborn.lines.count("why=\"peer restarted\""), 0u);
}

}  // namespace
}  // namespace libp::stripe
