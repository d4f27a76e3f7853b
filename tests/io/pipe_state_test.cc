#include <gtest/gtest.h>
#include <libp/pipe_state.h>

#include <vector>

#include "support/pipe_pair.h"

namespace libp {
namespace {

struct pipe_state_test : testing::Test {
    event_loop loop;
    pipe_state state{loop};
    std::vector<io_flags> masks;
    void on_pipe(io_flags risen) { masks.push_back(risen); }
    io_handler handler() { return io_handler::to<&pipe_state_test::on_pipe>(*this); }
    void turn() { loop.turn(loop.now()); }
};

TEST_F(pipe_state_test, tells_several_edges_in_one_mask_and_once) {
    state.attach(handler());
    state.raise(io_flag::ready);
    state.raise(io_flag::readable);
    state.raise(io_flag::readable);
    EXPECT_TRUE(masks.empty());
    turn();
    turn();
    ASSERT_EQ(masks.size(), 1u);
    EXPECT_EQ(masks[0], io_flag::ready | io_flags(io_flag::readable));
}

TEST_F(pipe_state_test, an_edge_taken_back_is_not_told) {
    state.attach(handler());
    state.raise(io_flag::readable);
    state.lower(io_flag::readable);
    turn();
    EXPECT_TRUE(masks.empty());
    state.lower(io_flag::readable);
    state.raise(io_flag::readable);
    turn();
    EXPECT_EQ(masks.size(), 1u);
    // Down and up again is an edge, even between two calls.
    state.lower(io_flag::readable);
    state.raise(io_flag::readable);
    turn();
    EXPECT_EQ(masks.size(), 2u);
}

TEST_F(pipe_state_test, deliver_tells_at_once_and_takes_back_the_deferred_call) {
    state.attach(handler());
    state.raise(io_flag::ready);
    state.deliver();
    EXPECT_EQ(masks.size(), 1u);
    turn();
    EXPECT_EQ(masks.size(), 1u);
}

TEST_F(pipe_state_test, the_first_reason_stays_and_nothing_is_writable_after) {
    state.raise(io_flag::ready | io_flags(io_flag::writable));
    state.break_with({reason::truncated});
    state.break_with({reason::peer_reset});
    state.raise(io_flag::writable);
    EXPECT_EQ(state.why().why, reason::truncated);
    EXPECT_EQ(state.levels(),
              io_flag::ready | io_flags(io_flag::readable) | io_flags(io_flag::broken));
}

TEST_F(pipe_state_test, a_break_is_to_be_read_unless_the_fin_was) {
    state.break_with({reason::truncated});
    EXPECT_TRUE(state.has(io_flag::readable));
    // recv() has said so; a second break does not have it said again.
    state.lower(io_flag::readable);
    state.break_with({reason::peer_reset});
    EXPECT_FALSE(state.has(io_flag::readable));

    pipe_state finished(loop);
    finished.raise(io_flag::fin_rcvd);
    finished.break_with({reason::truncated});
    EXPECT_FALSE(finished.has(io_flag::readable));
}

TEST_F(pipe_state_test, nothing_is_writable_after_a_fin_was_asked_for) {
    state.raise(io_flag::ready | io_flags(io_flag::writable));
    state.raise(io_flag::fin_wanted);
    EXPECT_FALSE(state.has(io_flag::writable));
    state.raise(io_flag::writable);
    EXPECT_FALSE(state.has(io_flag::writable));
}

TEST_F(pipe_state_test, what_rises_inside_the_handler_is_told_after_it) {
    struct consumer {
        pipe_state& state;
        int depth = 0, calls = 0;
        void on_pipe(io_flags risen) {
            EXPECT_EQ(depth, 0);
            ++depth;
            ++calls;
            if (risen.has(io_flag::ready)) {
                state.raise(io_flag::readable);
                state.deliver();  // as a call on another pipe might
            }
            --depth;
        }
    } c{state};
    state.attach(io_handler::to<&consumer::on_pipe>(c));
    state.raise(io_flag::ready);
    turn();
    turn();
    EXPECT_EQ(c.calls, 2);
}

TEST_F(pipe_state_test, without_a_handler_nothing_is_scheduled_nor_lost) {
    state.raise(io_flag::ready);
    turn();
    state.attach(handler());
    EXPECT_TRUE(masks.empty());
    turn();
    ASSERT_EQ(masks.size(), 1u);
    state.raise(io_flag::readable);
    state.attach({});
    turn();
    EXPECT_EQ(masks.size(), 1u);
}

TEST(pipe_state_death_test, dies_inside_its_own_handler) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    struct owner {
        std::unique_ptr<pipe_state> state;
        void on_pipe(io_flags) { state.reset(); }
    };
    EXPECT_DEATH(
        {
            event_loop loop;
            owner o{std::make_unique<pipe_state>(loop)};
            o.state->attach(io_handler::to<&owner::on_pipe>(o));
            o.state->raise(io_flag::ready);
            loop.turn(loop.now());
        },
        "retire");
}

}  // namespace
}  // namespace libp
