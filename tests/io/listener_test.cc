#include <libp/io_listener.h>

#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <vector>

#include "support/no_descriptors.h"
#include "support/sim_poller.h"

namespace libp {
namespace {

struct newcomers {
    void accepted(unique_fd fd, const socket_address& peer) {
        fds.push_back(std::move(fd));
        peers.push_back(peer);
        if (pause_on_accept) pause_on_accept->pause();
    }
    void trouble(error e) { troubles.push_back(e.why); }

    std::vector<unique_fd> fds;
    std::vector<socket_address> peers;
    std::vector<reason> troubles;
    io_listener* pause_on_accept = nullptr;
};

class listener : public ::testing::Test {
  protected:
    void SetUp() override {
        auto fd = listen_on(*socket_address::parse("127.0.0.1:0"));
        ASSERT_TRUE(fd);
        door.emplace(loop, std::move(*fd), io_listener::accepted::to<&newcomers::accepted>(in),
                     delegate<void(error)>::to<&newcomers::trouble>(in));
        ASSERT_NE(door->address().port(), 0);
    }
    void knock(int times = 1) {
        for (int i = 0; i < times; ++i) {
            auto fd = start_connect(door->address());
            ASSERT_TRUE(fd);
            pollfd connected{fd->get(), POLLOUT, 0};
            ASSERT_EQ(poll(&connected, 1, 10'000), 1);
            clients.push_back(std::move(*fd));
        }
    }
    // Turns for as long as something happens, and 20 ms more.
    void turn(duration quiet = 20ms) {
        std::uint64_t before;
        do {
            before = in.fds.size();
            loop.turn(loop.now() + quiet);
        } while (in.fds.size() != before);
    }
    template <class F>
    bool run_until(F holds) {
        auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        while (!holds() && std::chrono::steady_clock::now() < give_up)
            loop.turn(loop.now() + 20ms);
        return holds();
    }

    newcomers in;
    event_loop loop;
    std::optional<io_listener> door;
    std::vector<unique_fd> clients;
};

TEST_F(listener, hands_over_who_comes) {
    knock(3);
    ASSERT_TRUE(run_until([&] { return in.fds.size() == 3; }));
    std::vector<socket_address> ours;
    for (const unique_fd& c : clients)
        ours.push_back(local_address(c.get()));
    for (const socket_address& p : in.peers)
        EXPECT_NE(std::find(ours.begin(), ours.end(), p), ours.end()) << p.to_string();
    EXPECT_TRUE(in.troubles.empty());
}

TEST_F(listener, accepts_ever_more_a_turn_up_to_64) {
    turn();
    knock(200);
    std::vector<std::size_t> bites;
    for (int i = 0; i < 500 && in.fds.size() < 200; ++i) {
        std::size_t before = in.fds.size();
        loop.turn(loop.now() + 20ms);
        bites.push_back(in.fds.size() - before);
    }
    EXPECT_EQ(in.fds.size(), 200u);
    EXPECT_EQ(bites, (std::vector<std::size_t>{1, 2, 4, 8, 16, 32, 64, 64, 9}));
}

TEST_F(listener, paused_it_leaves_them_in_the_backlog) {
    door->pause();
    knock(2);
    std::uint64_t turns = loop.turns();
    turn(50ms);
    EXPECT_TRUE(in.fds.empty());
    EXPECT_LE(loop.turns() - turns, 3u) << "a paused listener turns the loop";
    door->resume();
    EXPECT_TRUE(run_until([&] { return in.fds.size() == 2; }));
}

TEST_F(listener, may_be_paused_by_who_it_hands_over) {
    in.pause_on_accept = &*door;
    knock(5);
    turn();
    EXPECT_EQ(in.fds.size(), 1u);
    in.pause_on_accept = nullptr;
    door->resume();
    EXPECT_TRUE(run_until([&] { return in.fds.size() == 5; }));
}

TEST_F(listener, destroyed_it_accepts_no_more) {
    knock();
    door.reset();
    turn();
    EXPECT_TRUE(in.fds.empty());
}

// -- out of descriptors ---------------------------------------------------------------------------

TEST_F(listener, out_of_descriptors_it_waits_and_does_not_spin) {
    for (int episode = 1; episode <= 2; ++episode) {
        SCOPED_TRACE(episode);
        std::size_t had = in.fds.size();
        in.troubles.clear();
        knock(2);
        {
            no_descriptors none;
            std::uint64_t turns = loop.turns();
            instant begun = loop.now();
            while (loop.now() - begun < 500ms)
                loop.turn(begun + 500ms);
            EXPECT_LT(loop.turns() - turns, 20u) << "it spins";
            EXPECT_EQ(in.fds.size(), had);
            EXPECT_EQ(in.troubles, std::vector{reason::limit}) << "once an episode";
        }
        // By itself, at the next try.
        ASSERT_TRUE(run_until([&] { return in.fds.size() == had + 2; }));
        EXPECT_EQ(in.troubles, (std::vector{reason::limit, reason::none}));
    }
}

TEST_F(listener, retry_makes_use_of_what_was_freed_at_once) {
    knock(2);
    no_descriptors none;
    // Until the pause has grown: the next try by itself is far away.
    ASSERT_TRUE(run_until([&] { return loop.turns() > 0 && in.troubles.size() == 1; }));
    instant begun = loop.now();
    while (loop.now() - begun < 400ms)
        loop.turn(begun + 400ms);
    none.spare_one();
    begun = loop.now();
    door->retry();
    while (in.troubles.size() < 3 && loop.now() - begun < 200ms)
        loop.turn(begun + 200ms);
    EXPECT_EQ(in.fds.size(), 1u);
    EXPECT_EQ(in.troubles, (std::vector{reason::limit, reason::none, reason::limit}));
}

TEST_F(listener, its_owners_pause_outlasts_the_other) {
    knock();
    {
        no_descriptors none;
        ASSERT_TRUE(run_until([&] { return in.troubles.size() == 1; }));
        door->pause();
    }
    door->retry();
    turn(100ms);
    EXPECT_TRUE(in.fds.empty());
    door->resume();
    EXPECT_TRUE(run_until([&] { return in.fds.size() == 1; }));
    EXPECT_EQ(in.troubles, (std::vector{reason::limit, reason::none}));
}

// A loop that cannot watch the socket at all is trouble too, and told from the loop.
TEST(listener_watch, failing_is_reported_once_and_tried_ever_more_rarely) {
    newcomers in;
    event_loop loop(std::make_unique<sim_poller>());
    auto fd = listen_on(*socket_address::parse("127.0.0.1:0"));
    ASSERT_TRUE(fd);
    io_listener door(loop, std::move(*fd), io_listener::accepted::to<&newcomers::accepted>(in),
                     delegate<void(error)>::to<&newcomers::trouble>(in));
    EXPECT_TRUE(in.troubles.empty());
    instant begun = loop.now();
    while (loop.now() - begun < 10s)
        loop.turn(begun + 10s);
    EXPECT_EQ(in.troubles, std::vector{reason::unsupported});
    EXPECT_GE(loop.turns(), 10u);
    EXPECT_LE(loop.turns(), 20u);
}

}  // namespace
}  // namespace libp
