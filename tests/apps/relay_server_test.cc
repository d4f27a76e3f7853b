// A relay server whose upstream takes its time.

#include <gtest/gtest.h>
#include <kit/relay_server.h>
#include <libp/pipe_memory.h>

#include "support/forwarding_pipe.h"
#include "support/log_lines.h"

namespace libp::app {
namespace {

// Makes nothing until it is told slow.
class slow_upstream final : public upstream {
  public:
    explicit slow_upstream(event_loop& loop) : loop_(loop) {}

    std::unique_ptr<attempt> start(const std::string&, done call) override {
        calls_.push_back(call);
        return std::make_unique<mine>(*this);
    }
    const std::string& name() const noexcept override { return name_; }
    // What was asked for first.
    std::unique_ptr<io_pipe> answer() {
        auto [pipe, other] = make_memory_pair(loop_);
        const done call = calls_.front();
        calls_.erase(calls_.begin());
        call({std::move(pipe), {}});
        return std::move(other);
    }

    std::size_t under_way = 0;

  private:
    struct mine final : attempt {
        explicit mine(slow_upstream& to) : of(to) { ++of.under_way; }
        ~mine() override { --of.under_way; }
        const std::string& name() const noexcept override { return of.name_; }
        slow_upstream& of;
    };
    event_loop& loop_;
    std::vector<done> calls_;
    std::string name_ = "far";
};

// A stream that a peer opened, as far as the server looks at it.
class offered_stream final : public forwarding_pipe_of<stripe::stream_pipe> {
  public:
    offered_stream(std::unique_ptr<io_pipe> lower, std::size_t& live)
        : forwarding_pipe_of(std::move(lower)), live_(live) {
        ++live_;
    }
    ~offered_stream() override { --live_; }
    void accept() override {}
    void refuse(error) override { reset(); }
    std::uint32_t session_number() const noexcept override { return 7; }
    compact_address peer() const noexcept override { return {}; }

  private:
    std::size_t& live_;
};

struct relay_server_test : testing::Test {
    void settled() {}
    void turns() {
        for (int n = 0; n < 4; ++n)
            loop.turn(loop.now());
    }
    std::unique_ptr<io_pipe> connect() {
        auto [near, client] = make_memory_pair(loop);
        server.arrived(std::move(near), {});
        turns();
        return std::move(client);
    }
    std::unique_ptr<io_pipe> open() {
        auto [near, opener] = make_memory_pair(loop);
        server.offered(std::make_unique<offered_stream>(std::move(near), streams), {});
        return std::move(opener);
    }

    event_loop loop;
    log_lines lines;
    log out{lines, log_level::info};
    slow_upstream slow{loop};
    std::size_t streams = 0;
    relay_options options = [] {
        relay_options o;
        o.max_conns = 1;
        return o;
    }();
    relay_server server{loop, out, options, slow,
                        delegate<void()>::to<&relay_server_test::settled>(*this)};
};

TEST_F(relay_server_test, a_client_that_is_gone_waits_for_no_target) {
    auto client = connect();
    EXPECT_EQ(server.live(), 1u);
    EXPECT_EQ(slow.under_way, 1u);
    client->reset();
    turns();
    EXPECT_EQ(server.live(), 0u);
    EXPECT_EQ(slow.under_way, 0u);
    EXPECT_EQ(lines.count(" end=client_rst "), 1u);
    EXPECT_EQ(lines.count(" dst=far "), 1u);
}

TEST_F(relay_server_test, a_client_that_has_said_all_waits) {
    auto client = connect();
    client->send_fin();
    turns();
    EXPECT_EQ(server.live(), 1u);
    auto target = slow.answer();
    turns();
    chain got;
    EXPECT_EQ(target->recv(got, 1).status, io_status::fin);
    target->send_fin();
    turns();
    EXPECT_EQ(lines.count(" end=ok "), 1u);
}

TEST_F(relay_server_test, streams_that_wait_and_are_given_up_do_not_pile_up) {
    auto first = connect();
    std::vector<std::unique_ptr<io_pipe>> patient;
    for (int n = 0; n < 100; ++n)
        patient.push_back(open());
    EXPECT_EQ(streams, 100u);
    for (int n = 0; n < 10'000; ++n) {
        open()->reset();
        turns();
        ASSERT_LE(streams, 2 * 100u + 64);
    }
    // Those who are still there are served, one after the other.
    first->reset();
    for (auto& opener : patient) {
        turns();
        EXPECT_EQ(server.live(), 1u);
        opener->reset();
    }
    turns();
    EXPECT_EQ(server.live(), 0u);
    EXPECT_EQ(streams, 0u);
}

}  // namespace
}  // namespace libp::app
