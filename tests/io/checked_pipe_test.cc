// The checker finds what it is there to find.

#include "support/checked_pipe.h"

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <string>

namespace libp {
namespace {

// Does as it is told, right or wrong.
struct puppet final : io_pipe {
    io_kind kind() const noexcept override { return io_kind::stream; }
    void attach(io_handler h) override { handler = h; }
    io_flags state() const noexcept override { return levels; }
    io_result recv(chain&, std::size_t) override { return act(); }
    io_result send(chain&) override { return act(); }
    void send_fin() override { act(); }
    void reset() override { act(); }
    error why() const noexcept override { return cause; }
    void describe(std::string& out) const override { out += "puppet"; }
    io_result act() {
        levels.set(raises).clear(lowers);
        if (calls_back) handler(raises);
        return next;
    }

    io_handler handler;
    io_flags levels = io_flag::ready, raises{}, lowers{};
    bool calls_back = false;
    io_result next{};
    error cause{};
};

struct checked_pipe_test : testing::Test {
    puppet* doll = nullptr;
    std::unique_ptr<io_pipe> pipe;
    chain c;
    checked_pipe_test() {
        auto p = std::make_unique<puppet>();
        doll = p.get();
        pipe = make_checked_pipe(std::move(p));
        doll->handler(io_flag::ready);
    }
    void event(io_flags rises, io_flags told) {
        doll->levels.set(rises);
        doll->handler(told);
    }
};

TEST_F(checked_pipe_test, accepts_what_is_right) {
    event(io_flag::readable, io_flag::readable);
    doll->lowers = io_flag::readable;
    EXPECT_EQ(pipe->recv(c, 1).status, io_status::again);
    event(io_flag::writable, io_flag::writable);
}

TEST_F(checked_pipe_test, finds_a_flag_that_falls_outside_a_call) {
    event(io_flag::readable, io_flag::readable);
    doll->levels.clear(io_flag::readable);
    EXPECT_NONFATAL_FAILURE(event(io_flag::writable, io_flag::writable), "fell outside a call");
}

TEST_F(checked_pipe_test, finds_an_edge_that_is_not_told) {
    EXPECT_NONFATAL_FAILURE(
        event(io_flag::readable | io_flags(io_flag::writable), io_flag::readable), "not told of");
}

TEST_F(checked_pipe_test, finds_an_edge_that_is_told_twice) {
    event(io_flag::readable, io_flag::readable);
    EXPECT_NONFATAL_FAILURE(event({}, io_flag::readable), "told again");
}

TEST_F(checked_pipe_test, finds_a_handler_called_inside_a_call) {
    doll->calls_back = true;
    doll->raises = io_flag::fin_wanted;
    EXPECT_NONFATAL_FAILURE(pipe->send_fin(), "inside a call");
}

TEST_F(checked_pipe_test, finds_readable_after_again) {
    event(io_flag::readable, io_flag::readable);
    EXPECT_NONFATAL_FAILURE(pipe->recv(c, 1), "readable after again");
}

TEST_F(checked_pipe_test, finds_bytes_that_were_not_given) {
    doll->next = io_result::moved(1);
    EXPECT_NONFATAL_FAILURE(pipe->recv(c, 2), "other than it said");
}

TEST_F(checked_pipe_test, finds_a_break_without_a_reason) {
    EXPECT_NONFATAL_FAILURE(event(io_flag::broken, io_flag::broken), "do not agree");
    doll->cause = {reason::peer_reset};  // so that nothing more is wrong
}

TEST_F(checked_pipe_test, finds_a_send_after_the_fin) {
    event(io_flag::writable, io_flag::writable);
    doll->raises = io_flag::fin_wanted;
    doll->lowers = io_flag::writable;
    pipe->send_fin();
    EXPECT_NONFATAL_FAILURE(pipe->send(c), "send after send_fin");
}

TEST_F(checked_pipe_test, finds_life_after_broken) {
    doll->cause = {reason::peer_reset};
    event(io_flag::broken, io_flag::broken);
    EXPECT_NONFATAL_FAILURE(event(io_flag::readable, io_flag::readable), "that the pipe broke");
}

}  // namespace
}  // namespace libp
