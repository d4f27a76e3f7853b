// Flows of datagrams as pipes: whole datagrams, the life of a stream, and nobody's unless both
// nodes take them.

#include <algorithm>

#include "stripe_node/world.h"

namespace libp::stripe {
namespace {

node_options with_datagrams() {
    node_options o;
    o.engine.datagrams = true;
    return o;
}

const open_request flow{.target = "dns", .datagrams = true, .ttl = 2s, .twice = true};

std::unique_ptr<stream_pipe> open_flow(world& w) {
    auto pipe = w.a.it.open_stream(flow, 1s);
    EXPECT_EQ(pipe->kind(), io_kind::datagram);
    EXPECT_TRUE(w.run([&] { return pipe->has(io_flag::ready) || pipe->has(io_flag::broken); }));
    return pipe;
}

// Sizes of what came, in order.
std::vector<std::size_t> receive(world& w, io_pipe& pipe) {
    std::vector<std::size_t> sizes;
    for (;;) {
        w.run([&] { return pipe.has(io_flag::readable); });
        chain c;
        const io_result r = pipe.recv(c, 0);
        if (r.status == io_status::again) continue;
        if (!r.ok()) return sizes;
        EXPECT_EQ(c.size(), r.bytes);
        sizes.push_back(r.bytes);
    }
}

TEST(StripeFlows, DatagramsBothWaysAndAnEnd) {
    world w(with_datagrams(), with_datagrams());
    w.b.answer.to_send = 2'500;
    w.b.answer.chunk = 1'000;
    w.join_many(3);
    const auto pipe = open_flow(w);
    ASSERT_TRUE(pipe->has(io_flag::writable));
    EXPECT_EQ(pipe->max_datagram(), 65'507u);
    std::uint64_t at = 0;
    for (const std::size_t size : {700u, 0u, 65'507u, 300u}) {
        chain c;
        append_pattern(c, w.loop.blocks(), 1, at, size);
        at += size;
        const io_result r = pipe->send(c);
        EXPECT_TRUE(r.ok());
        EXPECT_EQ(r.bytes, size);
        EXPECT_TRUE(c.empty());
        w.idle(50ms);
    }
    pipe->send_fin();
    EXPECT_EQ(receive(w, *pipe), (std::vector<std::size_t>{1'000, 1'000, 500}));
    ASSERT_TRUE(w.run([&] { return pipe->finished() && w.b.talkers[0]->finished(); }));
    ASSERT_EQ(w.b.requests.size(), 1u);
    EXPECT_EQ(w.b.requests[0].target, "dns");
    EXPECT_EQ(w.b.requests[0].ttl, 2s);
    EXPECT_TRUE(w.b.requests[0].twice);
    EXPECT_TRUE(w.b.talkers[0]->exact());
    EXPECT_EQ(w.b.talkers[0]->received(), at);
    w.idle(1s);
    EXPECT_EQ(w.a.it.open_streams() + w.b.it.open_streams(), 0u);
    EXPECT_TRUE(w.a.it.flushed() && w.b.it.flushed());
    // What became of them is told when the session ends. Small flows are sent twice.
    w.a.it.close({}, 1s);
    w.idle(2s);
    std::size_t told = 0;
    for (const std::string& line : w.a.lines.lines)
        told += line.find("datagrams session=") != line.npos &&
                line.find(" sent=4 copies=") != line.npos &&
                line.find(" late=0 overrun=0 unsure=0 received=3 repeated=") != line.npos;
    EXPECT_EQ(told, 1u);
    EXPECT_EQ(w.b.lines.count("datagrams session="), 1u);
}

// Somebody says something every 20 ms, of a size that tells which it was, and the path that carries
// it falls silent.
TEST(StripeFlows, S23APathThatFallsSilentCostsLittle) {
    world w(with_datagrams(), with_datagrams());
    w.b.answers = false;
    w.join_many(3);
    const auto near = w.a.it.open_stream({.target = "call", .datagrams = true, .ttl = 2s}, 1s);
    ASSERT_TRUE(w.run([&] { return !w.b.offered.empty(); }));
    stream_pipe& far = *w.b.offered[0];
    far.accept();
    constexpr std::size_t all = 500, least = 160;
    std::vector<bool> came(all);
    std::uint64_t moved[3] = {};  // by each link, since the hundredth
    instant last = w.loop.now();
    duration outage{0};
    for (std::size_t n = 0; n < all; ++n) {
        if (n == 100 || n == 150)
            for (std::size_t i = 0; i < 3; ++i)
                moved[i] = w.links[i].moved() - moved[i];
        if (n == 150) {
            const auto busiest = std::max_element(moved, moved + 3) - moved;
            EXPECT_GT(moved[busiest], 20 * least);
            w.links[static_cast<std::size_t>(busiest)].freeze();
        }
        chain c;
        append_pattern(c, w.loop.blocks(), 1, 0, least + n);
        EXPECT_TRUE(near->send(c).ok());
        w.idle(20ms);
        for (chain got; far.recv(got, 1).ok(); got.clear()) {
            came.at(got.size() - least) = true;
            outage = std::max(outage, w.loop.now() - last);
            last = w.loop.now();
        }
    }
    // It is not used any more after 200 ms.
    EXPECT_LE(outage, 240ms);
    EXPECT_GE(outage, 40ms);
    EXPECT_LE(std::ranges::count(came, false), 11);
}

TEST(StripeFlows, BothNodesMustTakeThem) {
    for (const bool ours : {true, false}) {
        world w(ours ? with_datagrams() : node_options{}, ours ? node_options{} : with_datagrams());
        w.join_many(1);
        const auto pipe = open_flow(w);
        EXPECT_EQ(pipe->why().why, reason::unsupported);
        talker& t = w.open({.to_send = 1'000});
        EXPECT_TRUE(w.run([&] { return t.finished(); })) << "streams are none the worse";
    }
}

TEST(StripeFlows, OneTooLargeBreaksIt) {
    world w(with_datagrams(), with_datagrams());
    w.join_many(1);
    const auto pipe = open_flow(w);
    chain c;
    append_pattern(c, w.loop.blocks(), 1, 0, 65'508);
    EXPECT_EQ(pipe->send(c).status, io_status::broken);
    EXPECT_EQ(pipe->why().why, reason::oversize);
    ASSERT_TRUE(w.run([&] { return w.b.talkers[0]->broken(); }));
    EXPECT_EQ(w.b.talkers[0]->why().why, reason::oversize);
}

TEST(StripeFlows, BreakWithTheirPeerAndTheirSession) {
    world w(with_datagrams(), with_datagrams());
    w.b.answer.fin = false;
    w.b.answer.reads = false;
    w.join_many(2);
    const auto first = open_flow(w);
    auto second = open_flow(w);
    for (io_pipe* p : {static_cast<io_pipe*>(first.get()), static_cast<io_pipe*>(second.get())}) {
        chain c;
        append_pattern(c, w.loop.blocks(), 1, 0, 100);
        EXPECT_TRUE(p->send(c).ok());
    }
    w.idle(100ms);
    second.reset();
    ASSERT_TRUE(w.run([&] { return w.b.talkers[1]->broken(); }));
    w.b.it.close({});
    ASSERT_TRUE(w.run([&] { return first->has(io_flag::broken); }));
    chain c;
    EXPECT_EQ(first->recv(c, 1).status, io_status::broken);
    EXPECT_EQ(first->send(c).status, io_status::broken);
}

}  // namespace
}  // namespace libp::stripe
