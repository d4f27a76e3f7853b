#include "sockets.h"

#include <libp/signals.h>
#include <libp/splice_pipe.h>

#include <fcntl.h>
#include <unistd.h>

namespace libp::testing {
namespace {

class Splice : public ::testing::Test {
  protected:
    void SetUp() override {
        if (!os_has_splice) GTEST_SKIP() << "no splice in this build";
        ignore_write_signals();
    }
};

TEST(SpliceAnywhere, SaysWhetherItCan) {
    const auto made = splice_pipe::make(1 << 20);
    if (!os_has_splice) {
        EXPECT_EQ(made.error().why, reason::unsupported);
        splice_pool pool;
        EXPECT_EQ(pool.take(), nullptr);
        EXPECT_EQ(pool.take(), nullptr);
        return;
    }
    ASSERT_TRUE(made) << to_string(made.error());
    EXPECT_GE(made->capacity(), 4096u);  // what Linux gives a user who has used up his share
    EXPECT_EQ(made->held(), 0u);
}

TEST_F(Splice, MovesBytesAndFin) {
    linked in = tcp_pair(), out = tcp_pair();
    auto pipe = splice_pipe::make(1 << 20);
    ASSERT_TRUE(pipe);
    EXPECT_EQ(pipe->fill(in.server.get(), 1000).status, io_status::again);

    ASSERT_TRUE(transmit(in.client.get(), static_chain("hello, world")).ok());
    ASSERT_TRUE(readable(in.server.get()));
    EXPECT_EQ(pipe->fill(in.server.get(), 5).bytes, 5u);  // no more than asked
    EXPECT_EQ(pipe->fill(in.server.get(), 1000).bytes, 7u);
    EXPECT_EQ(pipe->held(), 12u);
    EXPECT_EQ(pipe->drain(out.client.get()).bytes, 12u);
    EXPECT_EQ(pipe->held(), 0u);
    ASSERT_TRUE(readable(out.server.get()));
    EXPECT_EQ(receive_text(out.server.get()), "hello, world");

    ASSERT_FALSE(shutdown_write(in.client.get()));
    ASSERT_TRUE(readable(in.server.get()));
    EXPECT_EQ(pipe->fill(in.server.get(), 1000).status, io_status::fin);
}

// Pumps many patterned bytes through a pipe between sockets that are slow in turn: nothing is lost,
// doubled or reordered, whether the pipe runs full, the source runs dry or the sink runs over.
TEST_F(Splice, EveryByteInOrder) {
    constexpr std::size_t total = 8 << 20;
    std::string pattern(total, '\0');
    std::uint32_t x = 1;
    for (char& c : pattern)
        c = static_cast<char>((x = x * 1664525 + 1013904223) >> 24);

    for (const bool tcp : {true, false}) {
        linked in = tcp ? tcp_pair() : unix_pair();
        linked out = tcp ? tcp_pair() : unix_pair();
        auto pipe = splice_pipe::make(256 * 1024);
        ASSERT_TRUE(pipe);
        chain data = static_chain(pattern);
        std::string got;
        bool fin = false;
        int idle = 0;
        while (got.size() < total && ++idle < 1000) {
            if (!data.empty()) {
                const io_result sent = transmit(in.client.get(), data, 100'000);
                if (sent.ok()) {
                    data.drop_front(sent.bytes);
                    if (data.empty()) {
                        ASSERT_FALSE(shutdown_write(in.client.get()));
                    }
                }
            }
            while (!fin) {
                const io_result r = pipe->fill(in.server.get(), total);
                ASSERT_NE(r.status, io_status::broken) << to_string(r.why);
                fin = r.status == io_status::fin;
                if (!r.ok()) break;
                ASSERT_LE(pipe->held(), pipe->capacity());
            }
            while (pipe->held() > 0) {
                const io_result r = pipe->drain(out.client.get());
                ASSERT_NE(r.status, io_status::broken) << to_string(r.why);
                if (!r.ok()) break;
            }
            const std::size_t before = got.size();
            for (;;) {
                const std::string piece = receive_text(out.server.get(), 300'000);
                if (piece == "<again>") break;
                got += piece;
            }
            // Loopback delivers within the call or soon after it: wait where there is nothing else
            // to do.
            if (got.size() > before)
                idle = 0;
            else
                wait_for(out.server.get(), POLLIN | (pipe->held() > 0 ? POLLOUT : 0));
        }
        EXPECT_TRUE(got == pattern) << got.size();
        while (!fin && readable(in.server.get()))
            fin = pipe->fill(in.server.get(), total).status == io_status::fin;
        EXPECT_TRUE(fin);
    }
}

TEST_F(Splice, FullPipeSaysAgainAndHolds) {
    static const std::string bulk(1 << 20, 'x');
    const linked in = unix_pair();
    auto pipe = splice_pipe::make(64 * 1024);
    ASSERT_TRUE(pipe);
    for (int i = 0; i < 10'000; ++i) {
        const io_result sent = transmit(in.client.get(), static_chain(bulk));
        ASSERT_NE(sent.status, io_status::broken);
        const io_result r = pipe->fill(in.server.get(), 1 << 20);
        if (r.status == io_status::again && !sent.ok()) break;
    }
    EXPECT_GT(pipe->held(), 0u);
    EXPECT_LE(pipe->held(), pipe->capacity());
    EXPECT_EQ(pipe->fill(in.server.get(), 1).status, io_status::again);
}

TEST_F(Splice, ResetAndBrokenSink) {
    linked in = tcp_pair(), out = unix_pair();
    auto pipe = splice_pipe::make(1 << 20);
    ASSERT_TRUE(pipe);
    ASSERT_TRUE(transmit(in.client.get(), static_chain("x")).ok());
    ASSERT_TRUE(readable(in.server.get()));
    ASSERT_TRUE(pipe->fill(in.server.get(), 10).ok());

    close_with_reset(std::move(in.client));
    ASSERT_TRUE(readable(in.server.get()));
    const io_result cut = pipe->fill(in.server.get(), 10);
    EXPECT_EQ(cut.status, io_status::broken);
    EXPECT_EQ(cut.why.why, reason::peer_reset);

    out.server.reset();
    const io_result gone = pipe->drain(out.client.get());
    EXPECT_EQ(gone.status, io_status::broken);
    EXPECT_EQ(gone.why.why, reason::peer_reset);
    EXPECT_EQ(pipe->held(), 1u);
}

TEST_F(Splice, WhatCannotSpliceIsUnsupported) {
    const folder dir;
    const unique_fd directory(open((dir / "").c_str(), O_RDONLY | O_DIRECTORY));
    ASSERT_TRUE(directory);
    auto pipe = splice_pipe::make(1 << 20);
    ASSERT_TRUE(pipe);
    const io_result r = pipe->fill(directory.get(), 10);
    EXPECT_EQ(r.status, io_status::broken);
    EXPECT_EQ(r.why.why, reason::unsupported);
}

TEST_F(Splice, PoolLendsSoManyAndReusesEmptyOnes) {
    splice_pool pool(2, 256 * 1024);
    auto a = pool.take();
    auto b = pool.take();
    ASSERT_TRUE(a && b);
    EXPECT_EQ(pool.take(), nullptr);

    const splice_pipe* const first = a.get();
    pool.give_back(std::move(a));
    a = pool.take();
    EXPECT_EQ(a.get(), first);

    // One with another flow's bytes in it is never lent again.
    const linked in = unix_pair();
    ASSERT_TRUE(transmit(in.client.get(), static_chain("stale")).ok());
    ASSERT_TRUE(b->fill(in.server.get(), 10).ok());
    pool.give_back(std::move(b));
    b = pool.take();
    ASSERT_TRUE(b);
    EXPECT_EQ(b->held(), 0u);
    pool.give_back(nullptr);
    EXPECT_EQ(pool.take(), nullptr);
    pool.give_back(std::move(a));
    pool.give_back(std::move(b));
}

}  // namespace
}  // namespace libp::testing
