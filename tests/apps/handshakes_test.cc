// Strangers who shake hands, and how many of them there may be.

#include <gtest/gtest.h>
#include <kit/handshakes.h>

#include <memory>
#include <vector>

namespace libp::app {
namespace {

struct arrivals {
    void take(std::unique_ptr<io_pipe> pipe, const socket_address&, failure_budget::toll) {
        pipes.push_back(std::move(pipe));
    }
    void lose(error why, const socket_address&) { lost.push_back(why); }
    std::vector<std::unique_ptr<io_pipe>> pipes;
    std::vector<error> lost;
};

// Ready when told so.
struct slow_pipe final : io_pipe {
    slow_pipe(event_loop& l, bool& alive) : loop(l), alive_(alive) { alive_ = true; }
    ~slow_pipe() override { alive_ = false; }
    io_kind kind() const noexcept override { return io_kind::stream; }
    void attach(io_handler h) override { handler = h; }
    io_flags state() const noexcept override { return flags; }
    io_result recv(chain&, std::size_t) override { return io_result::again(); }
    io_result send(chain&) override { return io_result::again(); }
    void send_fin() override {}
    void reset() override {}
    error why() const noexcept override { return {reason::handshake_timeout}; }
    void describe(std::string& out) const override { out += "slow"; }
    void rise(io_flag f) {
        flags.set(f);
        if (handler) handler(f);
    }
    event_loop& loop;
    io_handler handler;
    io_flags flags{};
    bool& alive_;
};

TEST(handshakes, the_oldest_makes_room_and_the_ready_go_on) {
    event_loop loop;
    arrivals in;
    handshakes waiting(loop, 3, handshakes::arrival::to<&arrivals::take>(in),
                       handshakes::loss::to<&arrivals::lose>(in));
    bool alive[5] = {};
    slow_pipe* pipes[5];
    for (int i = 0; i < 5; ++i) {
        auto p = std::make_unique<slow_pipe>(loop, alive[i]);
        pipes[i] = p.get();
        waiting.add(std::move(p), {}, {});
        loop.turn(loop.now());
    }
    EXPECT_EQ(waiting.size(), 3u);
    EXPECT_FALSE(alive[0] || alive[1]);
    pipes[3]->rise(io_flag::ready);
    pipes[2]->rise(io_flag::broken);
    loop.turn(loop.now());
    EXPECT_EQ(in.pipes.size(), 1u);
    EXPECT_TRUE(alive[3]);
    EXPECT_FALSE(alive[2]);
    EXPECT_EQ(waiting.size(), 1u);
    EXPECT_EQ(in.lost, std::vector{error{reason::handshake_timeout}});
    waiting.hold();
    pipes[4]->rise(io_flag::ready);
    EXPECT_EQ(in.pipes.size(), 1u) << "the owner is full";
    waiting.release();
    EXPECT_EQ(in.pipes.size(), 2u);
    EXPECT_EQ(waiting.size(), 0u);
    // Whoever had to make room breaks before the turn is over.
    bool full[4] = {};
    for (int i = 0; i < 4; ++i) {
        auto p = std::make_unique<slow_pipe>(loop, full[i]);
        pipes[i] = p.get();
        waiting.add(std::move(p), {}, {});
    }
    pipes[0]->rise(io_flag::broken);
    EXPECT_EQ(waiting.size(), 3u);
    waiting.clear();
    loop.turn(loop.now());
    EXPECT_FALSE(full[0] || full[1] || full[2] || full[3]);
    bool late = false;
    waiting.add(std::make_unique<slow_pipe>(loop, late), {}, {});
    waiting.clear();
    loop.turn(loop.now());
    EXPECT_FALSE(late);
}

}  // namespace
}  // namespace libp::app
