// The bridge between pipes of which one or both take datagrams.

#include "io/bridge_kit.h"
#include "support/sim_poller.h"

namespace libp::testing {
namespace {

class bridge_datagrams : public ::testing::Test {
  protected:
    void join(wire& a, wire& b, const bridge_options& options = {}) {
        bridge =
            std::make_unique<io_bridge>(loop, std::move(a.inner), std::move(b.inner), options,
                                        delegate<void()>::to<&bridge_datagrams::on_done>(*this));
    }
    void on_done() { ++dones; }
    wire datagram_wire(std::size_t capacity, std::size_t max_datagram = 64 * kib) {
        return memory_wire(
            loop, {.kind = io_kind::datagram, .capacity = capacity, .max_datagram = max_datagram});
    }

    event_loop loop{std::make_unique<sim_poller>(instant{} + 1h)};
    std::unique_ptr<io_bridge> bridge;
    int dones = 0;
};

TEST_F(bridge_datagrams, keep_their_borders_between_datagram_pipes) {
    wire a = datagram_wire(4 * kib), b = datagram_wire(10);
    datagram_peer client(loop, std::move(a.outer)), server(loop, std::move(b.outer));
    join(a, b);
    std::vector<std::string> sent = {"one", "", std::string(3000, 'x'), "", "", "last"};
    for (const std::string& s : sent)
        ASSERT_TRUE(client.send(s));
    client.send_fin();
    ASSERT_TRUE(turn_now_until(loop, [&] { return server.got_fin(); }));
    EXPECT_EQ(server.got(), sent);
    EXPECT_EQ(bridge->bytes_a_to_b(), 3007u);
    EXPECT_EQ(dones, 0);
    server.send_fin();
    ASSERT_TRUE(turn_now_until(loop, [&] { return dones == 1; }));
    EXPECT_FALSE(bridge->end().why);
}

TEST_F(bridge_datagrams, are_cut_from_a_stream_and_run_together_into_one) {
    wire a = memory_wire(loop), b = datagram_wire(2 * kib, 1000);
    peer client(loop, std::move(a.outer));
    datagram_peer server(loop, std::move(b.outer));
    join(a, b);
    std::string text = noise(50'500), joined;
    client.send(text);
    client.send_fin();
    ASSERT_TRUE(turn_now_until(loop, [&] { return server.got_fin(); }));
    for (const std::string& d : server.got()) {
        EXPECT_LE(d.size(), 1000u);
        EXPECT_GT(d.size(), 0u) << "no datagram of a stream is empty";
        joined += d;
    }
    EXPECT_TRUE(joined == text);

    ASSERT_TRUE(server.send("ab") && server.send("") && server.send("cd"));
    server.send_fin();
    ASSERT_TRUE(turn_now_until(loop, [&] { return client.got_fin(); }));
    EXPECT_EQ(client.got(), "abcd");
    EXPECT_TRUE(bridge->over());
}

TEST_F(bridge_datagrams, too_large_for_the_far_end_break_it) {
    wire a = datagram_wire(4 * kib), b = datagram_wire(4 * kib, 100);
    datagram_peer client(loop, std::move(a.outer)), server(loop, std::move(b.outer));
    join(a, b);
    ASSERT_TRUE(client.send(std::string(101, 'x')));
    ASSERT_TRUE(turn_now_until(loop, [&] { return dones == 1; }));
    EXPECT_EQ(bridge->end().side, bridge_side::b);
    EXPECT_EQ(bridge->end().why.why, reason::oversize);
    settle(loop, 10);
    EXPECT_TRUE(client.got_break());
    EXPECT_TRUE(server.got().empty());
}

TEST_F(bridge_datagrams, exceed_the_window_by_one_at_most) {
    wire a = datagram_wire(4 * kib), b = datagram_wire(10);
    datagram_peer client(loop, std::move(a.outer)), server(loop, std::move(b.outer));
    server.stop_reading();
    join(a, b, {.window = 10});
    for (int i = 0; i < 4; ++i)
        ASSERT_TRUE(client.send(std::string(1000, 'x')));
    settle(loop, 100);
    EXPECT_EQ(bridge->held(), 1000u);
    EXPECT_EQ(bridge->bytes_a_to_b(), 1000u);
}

TEST_F(bridge_datagrams, use_the_budget_up_even_where_they_are_empty) {
    wire a = memory_wire(loop, {.kind = io_kind::datagram, .capacity = 1 * mib});
    wire b = memory_wire(loop);
    datagram_peer client(loop, std::move(a.outer));
    peer server(loop, std::move(b.outer));
    join(a, b, {.budget = 1024});
    for (int i = 0; i < 1000; ++i)
        ASSERT_TRUE(client.send(""));
    ASSERT_TRUE(client.send("last"));
    settle(loop, 100);
    EXPECT_EQ(server.got(), "");
    settle(loop, 1000);
    EXPECT_EQ(server.got(), "last");
}

}  // namespace
}  // namespace libp::testing
