// What a subflow's driver and its handshake tell the layers around them.

#include "stripe/joining_pipe.h"
#include "stripe_node/world.h"
#include "support/forwarding_pipe.h"

namespace libp::stripe {
namespace {

// Writes down what it is asked to keep.
class noting_pipe final : public forwarding_pipe {
  public:
    noting_pipe(std::unique_ptr<io_pipe> lower, std::vector<std::size_t>& kept)
        : forwarding_pipe(std::move(lower)), kept_(kept) {}
    void keep_unsent(std::size_t bytes) override { kept_.push_back(bytes); }

  private:
    std::vector<std::size_t>& kept_;
};

TEST(SubflowDriver, LittleIsLeftUnsentBelow) {
    world w;
    std::vector<std::size_t> kept;
    link& l = w.links.emplace_back(w.loop);
    w.a.it.adopt(std::make_unique<noting_pipe>(l.take_a(), kept), "noting");
    w.b.it.adopt(l.take_b(), "memory");
    w.b.answer.to_send = 0;
    talker& t = w.open({.to_send = 1 * mib});
    ASSERT_TRUE(w.run([&] { return t.finished(); }));
    ASSERT_FALSE(kept.empty());
    EXPECT_EQ(kept[0], 16 * kib);
    // However it is changed, by a factor of two at least.
    for (std::size_t i = 1; i < kept.size(); ++i)
        EXPECT_TRUE(kept[i] >= 2 * kept[i - 1] || kept[i] <= kept[i - 1] / 2);
}

struct judge final : joining_pipe::judge {
    error hello_came(joining_pipe&) override { return {}; }
    void shaken(joining_pipe& who) override { parts = who.take(); }
    void failed(joining_pipe&, error e) override { why = e; }

    joining_pipe::parts parts;
    error why{};
};

// READY answers our HELLO; the peer's own HELLO, which may come at once, says nothing of the way
// there and back.
TEST(Joining, TheHandshakeMeasuresTheRoundTrip) {
    event_loop loop(std::make_unique<sim_poller>());
    auto [ours, theirs] = make_memory_pair(loop);
    hello a, b;
    a.who.node_id[0] = 1;
    b.who.node_id[0] = 2;
    judge by;
    joining_pipe joining(loop, by, std::move(ours), a, {}, 5s);
    handshake peer(loop.blocks(), b);

    const auto wait = [&](duration d) {
        const instant end = loop.now() + d;
        while (loop.now() < end)
            loop.turn(end);
    };
    chain out = peer.take_output();
    theirs->send(out);
    wait(30ms);
    chain in;
    theirs->recv(in, 64 * kib);
    ASSERT_FALSE(peer.received(in));
    peer.accept();
    out = peer.take_output();
    theirs->send(out);
    wait(1ms);
    ASSERT_TRUE(by.parts.pipe) << to_string(by.why);
    EXPECT_GE(by.parts.rtt, 30ms);
    EXPECT_LE(by.parts.rtt, 31ms);
    by.parts.pipe.reset();
}

}  // namespace
}  // namespace libp::stripe
