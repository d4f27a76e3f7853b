// The bridge over wires of all kinds: what crosses, how it ends, and what a message costs.

#include <libp/os.h>

#include "io/bridge_kit.h"

namespace libp::testing {
namespace {

constexpr std::size_t long_answer = 2'000'000;

// -- over every kind of wire ----------------------------------------------------------------------

enum class stuff { memory, memory_by_the_byte, unix_sockets, tcp, tcp_spliced };

const char* name_of(stuff s) {
    switch (s) {
        case stuff::memory:
            return "memory";
        case stuff::memory_by_the_byte:
            return "memory_by_the_byte";
        case stuff::unix_sockets:
            return "unix_sockets";
        case stuff::tcp:
            return "tcp";
        case stuff::tcp_spliced:
            return "tcp_spliced";
    }
    return "?";
}

class bridge_over : public ::testing::TestWithParam<stuff> {
  protected:
    wire make_wire() {
        switch (GetParam()) {
            case stuff::memory:
                return memory_wire(loop);
            case stuff::memory_by_the_byte:
                return memory_wire(loop, {.capacity = 5, .max_chunk = 1});
            case stuff::unix_sockets:
                return unix_wire(loop);
            case stuff::tcp:
            case stuff::tcp_spliced:
                return tcp_wire(loop);
        }
        return {};
    }
    bridge_options options() {
        return {.splice = GetParam() == stuff::tcp_spliced ? &splice : nullptr};
    }
    // Where every byte takes a turn, fewer of them say as much.
    std::size_t bulk() const {
        return GetParam() == stuff::memory_by_the_byte ? 20'000 : long_answer;
    }

    event_loop loop;
    splice_pool splice;
};

TEST_P(bridge_over, carries_bulk_both_ways_and_ends_cleanly) {
    std::string up = noise(bulk(), 1), down = noise(bulk(), 2);
    bridged t(loop, make_wire(), make_wire(), options());
    t.client.send(up);
    t.client.send_fin();
    t.server.send(down);
    t.server.send_fin();
    ASSERT_TRUE(run_until(loop, [&] { return t.over(); }));
    ASSERT_TRUE(run_until(loop, [&] { return t.client.got_fin() && t.server.got_fin(); }));
    EXPECT_TRUE(t.server.got() == up);
    EXPECT_TRUE(t.client.got() == down);
    EXPECT_EQ(t.dones, 1);
    EXPECT_EQ(t.end.side, bridge_side::none);
    EXPECT_FALSE(t.end.why);
    EXPECT_EQ(t.bridge->bytes_a_to_b(), up.size());
    EXPECT_EQ(t.bridge->bytes_b_to_a(), down.size());
    EXPECT_EQ(t.bridge->held(), 0u);
}

// The reply that many relays lose: the request and its FIN cross at once, the answer comes after.
TEST_P(bridge_over, half_close_lets_the_answer_through) {
    std::string answer = noise(bulk());
    for (bool mirrored : {false, true}) {
        SCOPED_TRACE(mirrored ? "the server asks" : "the client asks");
        bridged t(loop, make_wire(), make_wire(), options());
        peer& asks = mirrored ? t.server : t.client;
        peer& answers = mirrored ? t.client : t.server;
        answers.answer_fin_with(answer);
        asks.send("request");
        asks.send_fin();
        ASSERT_TRUE(run_until(loop, [&] { return t.over() && asks.got_fin(); }));
        EXPECT_EQ(answers.got(), "request");
        EXPECT_TRUE(asks.got() == answer);
        EXPECT_FALSE(t.end.why);
    }
}

// A cut on one leg is an error on the other, never an end: whoever cuts, however, and whenever.
enum class cut_at { start, middle, behind_victims_fin, behind_cutters_fin };

void cut_one(event_loop& loop, bridged& t, bool mirrored, bool destroys, cut_at when) {
    peer& cutter = mirrored ? t.server : t.client;
    peer& victim = mirrored ? t.client : t.server;
    if (when != cut_at::start) {
        cutter.send("before the cut");
        ASSERT_TRUE(run_until(loop, [&] { return victim.got() == "before the cut"; }));
    }
    if (when == cut_at::behind_victims_fin) {
        victim.send_fin();
        ASSERT_TRUE(run_until(loop, [&] { return cutter.got_fin(); }));
    }
    if (when == cut_at::behind_cutters_fin) {
        cutter.send_fin();
        ASSERT_TRUE(run_until(loop, [&] { return victim.got_fin(); }));
    }
    if (destroys)
        cutter.destroy();
    else
        cutter.reset();
    // Behind a FIN nobody listens any more: such a cut shows when something is sent.
    ASSERT_TRUE(run_until(loop, [&] {
        if (when == cut_at::behind_cutters_fin) victim.send("into the void");
        return t.over() && victim.pipe().has(io_flag::broken);
    }));
    EXPECT_EQ(victim.got_fin(), when == cut_at::behind_cutters_fin);
    EXPECT_EQ(t.end.side, mirrored ? bridge_side::b : bridge_side::a);
    EXPECT_EQ(t.end.why.why, reason::peer_reset);
    EXPECT_EQ(t.dones, 1);
}

// Not over UNIX sockets, which cannot tell a cut from an end.
class bridge_cut : public bridge_over {};

TEST_P(bridge_cut, is_never_an_end) {
    for (bool mirrored : {false, true})
        for (bool destroys : {false, true})
            for (cut_at when : {cut_at::start, cut_at::middle, cut_at::behind_victims_fin,
                                cut_at::behind_cutters_fin}) {
                SCOPED_TRACE(std::string(mirrored ? "server" : "client") +
                             (destroys ? " destroys" : " resets") + " at " +
                             std::to_string(static_cast<int>(when)));
                bridged t(loop, make_wire(), make_wire(), options());
                cut_one(loop, t, mirrored, destroys, when);
            }
}

TEST_P(bridge_over, a_slow_reader_holds_the_writer_back) {
    bridge_options o = options();
    const bool by_the_byte = GetParam() == stuff::memory_by_the_byte;
    o.window = by_the_byte ? 8 * kib : 64 * kib;
    bridged t(loop, make_wire(), make_wire(), o);
    std::string text = noise(by_the_byte ? bulk() * 2 : bulk() * 6);
    t.server.read(false);
    t.client.send(text);
    // The text is many times what the wires and the bridge hold together: the far wire fills, then
    // the bridge, then the near wire. That nothing moves for a while may be the machine at rest:
    // then they are less full.
    std::size_t most = 0;
    std::uint64_t last = 0;
    const auto look = [&] {
        most = std::max(most, t.bridge->held());
        return most > 0;
    };
    ASSERT_TRUE(run_until(loop, look));
    for (int quiet = 0; quiet < 5;) {
        loop.turn(loop.now() + 2ms);
        look();
        quiet = t.bridge->bytes_a_to_b() == last ? quiet + 1 : 0;
        last = t.bridge->bytes_a_to_b();
    }
    EXPECT_LE(most, o.window);
    EXPECT_FALSE(t.client.sent_all());

    t.server.read(true);
    t.client.send_fin();
    t.server.send_fin();
    ASSERT_TRUE(run_until(loop, [&] { return t.over() && t.server.got_fin(); }));
    EXPECT_TRUE(t.server.got() == text);
}

INSTANTIATE_TEST_SUITE_P(wires, bridge_over,
                         ::testing::Values(stuff::memory, stuff::memory_by_the_byte,
                                           stuff::unix_sockets, stuff::tcp, stuff::tcp_spliced),
                         [](const auto& p) { return name_of(p.param); });
INSTANTIATE_TEST_SUITE_P(wires, bridge_cut,
                         ::testing::Values(stuff::memory, stuff::memory_by_the_byte, stuff::tcp,
                                           stuff::tcp_spliced),
                         [](const auto& p) { return name_of(p.param); });

// -- what it costs --------------------------------------------------------------------------------

struct counted {
    explicit counted(event_loop& loop, splice_pool* splice = nullptr) {
        wire a = tcp_wire(loop), b = tcp_wire(loop);
        a.inner = std::make_unique<counting_pipe>(std::move(a.inner), near);
        b.inner = std::make_unique<counting_pipe>(std::move(b.inner), far);
        t = std::make_unique<bridged>(loop, std::move(a), std::move(b),
                                      bridge_options{.splice = splice});
    }
    call_counts near, far;
    std::unique_ptr<bridged> t;
};

TEST(bridge_calls, a_message_costs_one_receive_and_one_send) {
    event_loop loop;
    splice_pool splice;
    counted c(loop, &splice);
    for (std::size_t i = 1; i <= 20; ++i) {
        c.t->client.send(std::string(64, 'x'));
        ASSERT_TRUE(run_until(loop, [&] { return c.t->server.got().size() == 64 * i; }));
        c.t->server.send(std::string(64, 'y'));
        ASSERT_TRUE(run_until(loop, [&] { return c.t->client.got().size() == 64 * i; }));
    }
    EXPECT_EQ(c.near.recv, 20);
    EXPECT_EQ(c.near.send, 20);
    EXPECT_EQ(c.far.recv, 20);
    EXPECT_EQ(c.far.send, 20);
    EXPECT_EQ(c.near.again + c.far.again, 0);
    EXPECT_EQ(c.near.recv_spliced + c.far.recv_spliced, 0);
}

TEST(bridge_calls, bulk_is_spliced_and_small_talk_is_copied_again) {
    if (!os_has_splice) GTEST_SKIP() << "no splice on this system";
    event_loop loop;
    splice_pool splice(1);
    counted c(loop, &splice);
    std::string bulk = noise(16 * mib);
    c.t->client.send(bulk);
    ASSERT_TRUE(run_until(loop, [&] { return c.t->server.got().size() == bulk.size(); }));
    EXPECT_TRUE(c.t->server.got() == bulk);
    EXPECT_GT(c.near.recv_spliced, 0);
    EXPECT_GT(c.far.send_spliced, 0);
    EXPECT_EQ(c.far.recv_spliced, 0) << "the other direction has nothing to splice";

    auto free_again = splice.take();
    EXPECT_TRUE(free_again) << "an idle direction keeps its kernel pipe";
    splice.give_back(std::move(free_again));

    int spliced = 0;
    for (std::size_t i = 1; i <= 20; ++i) {
        spliced = c.near.recv_spliced;
        c.t->client.send(std::string(100, 'x'));
        ASSERT_TRUE(
            run_until(loop, [&] { return c.t->server.got().size() == bulk.size() + 100 * i; }));
    }
    EXPECT_EQ(c.near.recv_spliced, spliced) << "small messages still pay for splicing";
}

TEST(bridge_calls, without_a_kernel_pipe_it_copies) {
    event_loop loop;
    splice_pool none(0);
    counted c(loop, &none);
    std::string bulk = noise(4 * mib);
    c.t->client.send(bulk);
    ASSERT_TRUE(run_until(loop, [&] { return c.t->server.got().size() == bulk.size(); }));
    EXPECT_TRUE(c.t->server.got() == bulk);
    EXPECT_EQ(c.near.recv_spliced, 0);
}

TEST(bridge_calls, an_idle_bridge_holds_no_buffers) {
    event_loop loop;
    splice_pool splice;
    bridged t(loop, tcp_wire(loop), tcp_wire(loop), {.splice = &splice});
    t.client.send("hello");
    ASSERT_TRUE(run_until(loop, [&] { return t.server.got() == "hello"; }));
    EXPECT_EQ(loop.blocks().in_use(), 0u);
}

}  // namespace
}  // namespace libp::testing
