#include <gtest/gtest.h>
#include <libp/pipe_memory.h>

#include "support/checked_pipe.h"
#include "support/pipe_pair.h"

namespace libp {
namespace {

chain message(event_loop& loop, std::size_t size) {
    chain c;
    c.append_copy(loop.blocks(), bytes_of(std::string(size, 'm')));
    return c;
}

TEST(pipe_memory_test, moves_slices_and_copies_nothing) {
    event_loop loop;
    auto [a, b] = make_memory_pair(loop);
    chain c = message(loop, 1000);
    const std::uint8_t* const where = c[0].data;
    EXPECT_EQ(a->send(c).bytes, 1000u);
    chain got;
    EXPECT_EQ(b->recv(got, 5000).bytes, 1000u);
    EXPECT_EQ(got[0].data, where);
}

TEST(pipe_memory_test, a_stream_holds_its_capacity_and_no_more) {
    event_loop loop;
    auto [a, b] = make_memory_pair(loop, {.capacity = 100});
    chain c = message(loop, 250);
    EXPECT_EQ(a->send(c).bytes, 100u);
    EXPECT_EQ(c.size(), 150u);
    EXPECT_FALSE(a->has(io_flag::writable));
    EXPECT_EQ(a->send(c).status, io_status::again);
    chain got;
    EXPECT_EQ(b->recv(got, 30).bytes, 30u);
    EXPECT_TRUE(a->has(io_flag::writable));
    EXPECT_EQ(a->send(c).bytes, 30u);
}

TEST(pipe_memory_test, datagrams_fill_the_capacity_and_one_is_always_taken) {
    event_loop loop;
    auto [a, b] = make_memory_pair(loop, {.kind = io_kind::datagram, .capacity = 100});
    chain c = message(loop, 250);
    EXPECT_TRUE(a->send(c).ok());
    chain d = message(loop, 1);
    EXPECT_EQ(a->send(d).status, io_status::again);
    EXPECT_EQ(d.size(), 1u);
    chain got;
    EXPECT_EQ(b->recv(got, 10).bytes, 250u);
    // Empty ones are bounded too.
    std::size_t empties = 0;
    for (chain none; a->send(none).ok();)
        ++empties;
    EXPECT_EQ(empties, 100u);
}

TEST(pipe_memory_test, a_finished_end_may_die_first) {
    event_loop loop;
    auto pair = make_memory_pair(loop);
    chain c = message(loop, 10);
    EXPECT_TRUE(pair.first->send(c).ok());
    pair.first->send_fin();
    pair.second->send_fin();
    chain got;
    EXPECT_EQ(pair.first->recv(got, 10).status, io_status::fin);
    pair.first.reset();
    EXPECT_EQ(pair.second->recv(got, 100).bytes, 10u);
    EXPECT_EQ(pair.second->recv(got, 100).status, io_status::fin);
    EXPECT_TRUE(pair.second->finished());
    EXPECT_FALSE(pair.second->has(io_flag::broken));
}

}  // namespace
}  // namespace libp
