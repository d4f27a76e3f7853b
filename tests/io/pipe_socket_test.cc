#include <gtest/gtest.h>
#include <libp/pipe_socket.h>
#include <libp/socket.h>
#include <libp/splice_pipe.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <algorithm>

#include "support/checked_pipe.h"
#include "support/pipe_pair.h"
#include "support/socket_pairs.h"

namespace libp {
namespace {

// A pipe at one end, a bare socket at the other.
struct pipe_socket_test : testing::Test {
    void connect_tcp() { use(make_tcp_pair()); }
    void connect_unix() { use(make_unix_pair(256 * kib)); }
    void use(std::pair<unique_fd, unique_fd> fds) {
        peer = std::move(fds.second);
        pipe = make_checked_pipe(make_socket_pipe(loop, std::move(fds.first)));
        pipe->attach(io_handler::to<&pipe_socket_test::on_pipe>(*this));
    }
    void on_pipe(io_flags risen) { seen.set(risen); }

    // The peer says something.
    void say(std::string_view text) {
        chain c;
        c.append_copy(loop.blocks(), bytes_of(text));
        ASSERT_EQ(transmit(peer.get(), c).bytes, text.size());
    }
    bool seen_in_time(io_flag f) {
        return wait_until(loop, [&] { return seen.has(f); });
    }

    event_loop loop;
    unique_fd peer;
    std::unique_ptr<io_pipe> pipe;
    io_flags seen{};
};

TEST_F(pipe_socket_test, a_reset_is_seen_at_once_by_an_idle_pipe) {
    connect_tcp();
    close_with_reset(std::move(peer));
    EXPECT_TRUE(seen_in_time(io_flag::readable));
    chain c;
    const io_result r = pipe->recv(c, 100);
    EXPECT_EQ(r.status, io_status::broken);
    EXPECT_EQ(r.why.why, reason::peer_reset);
    EXPECT_TRUE(seen_in_time(io_flag::broken));
    EXPECT_FALSE(pipe->has(io_flag::fin_rcvd));
}

// The error was taken from the socket by whoever saw it first: after it, the system says "end".
TEST_F(pipe_socket_test, a_reset_behind_data_is_no_fin_once_the_data_is_received) {
    connect_tcp();
    say("before");
    EXPECT_TRUE(seen_in_time(io_flag::readable));
    chain c;
    EXPECT_TRUE(pipe->recv(c, 3).ok());
    close_with_reset(std::move(peer));
    EXPECT_TRUE(settle(loop));
    EXPECT_TRUE(pipe->has(io_flag::readable));
    EXPECT_TRUE(pipe->recv(c, 100).ok());
    EXPECT_EQ(c.to_string(), "before");
    EXPECT_TRUE(wait_until(loop, [&] { return pipe->has(io_flag::readable); }));
    for (int i = 0; i < 3; ++i) {
        const io_result r = pipe->recv(c, 100);
        EXPECT_EQ(r.status, io_status::broken);
        EXPECT_EQ(r.why.why, reason::peer_reset);
    }
}

TEST_F(pipe_socket_test, a_reset_is_seen_while_congested_and_what_came_before_is_kept) {
    connect_tcp();
    say("answer");
    EXPECT_TRUE(seen_in_time(io_flag::readable));
    const std::string much(64 * kib, 'x');
    while (pipe->has(io_flag::writable)) {
        chain c;
        c.append_copy(loop.blocks(), bytes_of(much));
        EXPECT_NE(pipe->send(c).status, io_status::broken);
    }
    close_with_reset(std::move(peer));
    EXPECT_TRUE(wait_until(loop, [&] {
        chain c;
        c.append_copy(loop.blocks(), bytes_of("x"));
        return pipe->has(io_flag::broken) || (pipe->has(io_flag::writable) && !pipe->send(c).ok());
    }));
    EXPECT_EQ(pipe->why().why, reason::peer_reset);
    chain c;
    EXPECT_TRUE(pipe->recv(c, 100).ok());
    EXPECT_EQ(c.to_string(), "answer");
    EXPECT_EQ(pipe->recv(c, 100).status, io_status::broken);
    EXPECT_FALSE(pipe->has(io_flag::fin_rcvd));
}

TEST_F(pipe_socket_test, a_fin_after_a_reset_was_met_is_a_break) {
    connect_tcp();
    close_with_reset(std::move(peer));
    EXPECT_TRUE(seen_in_time(io_flag::readable));
    pipe->send_fin();
    EXPECT_TRUE(wait_until(loop, [&] {
        chain c;
        return pipe->has(io_flag::broken) || pipe->recv(c, 1).status == io_status::broken;
    }));
    EXPECT_EQ(pipe->why().why, reason::peer_reset);
    EXPECT_FALSE(pipe->has(io_flag::fin_sent));
}

TEST_F(pipe_socket_test, a_pipe_destroyed_unfinished_resets_its_peer) {
    connect_tcp();
    pipe->send_fin();
    pipe.reset();
    std::uint8_t byte;
    const mutable_bytes room(&byte, 1);
    io_result r;
    do
        r = receive(peer.get(), std::span(&room, 1));
    while (r.status == io_status::again);
    if (r.status == io_status::fin) {
        // The FIN came first; the reset behind it shows in the socket's error or the next send.
        chain c;
        c.append_copy(loop.blocks(), bytes_of("x"));
        r = transmit(peer.get(), c);
    }
    EXPECT_EQ(r.status, io_status::broken);
}

TEST_F(pipe_socket_test, a_short_message_does_not_hold_a_large_block) {
    connect_unix();
    say("7 bytes");
    EXPECT_TRUE(seen_in_time(io_flag::readable));
    chain c;
    EXPECT_TRUE(pipe->recv(c, 1 * mib).ok());
    EXPECT_FALSE(pipe->has(io_flag::readable)) << "a short read has emptied the socket";
    EXPECT_EQ(c.to_string(), "7 bytes");
    EXPECT_LE(loop.blocks().in_use(), 1 * kib);
    c.clear();
    EXPECT_EQ(loop.blocks().in_use(), 0u);
}

// Writes all that the socket takes, and then receives it; the sizes of the receives.
std::vector<std::size_t> receive_a_full_socket(pipe_socket_test& t) {
    const std::string much(64 * kib, 'x');
    std::size_t left = 0;
    for (io_result r = io_result::moved(1); r.ok(); left += r.bytes) {
        chain c;
        c.append_copy(t.loop.blocks(), bytes_of(much));
        r = transmit(t.peer.get(), c);
    }
    std::vector<std::size_t> sizes;
    EXPECT_TRUE(wait_until(t.loop, [&] {
        while (t.pipe->has(io_flag::readable) && left > 0) {
            chain c;
            const io_result r = t.pipe->recv(c, 1 * mib);
            if (!r.ok()) break;
            EXPECT_LE(t.loop.blocks().in_use(), std::max<std::size_t>(4 * r.bytes, 512))
                << "a slice pins no more than four times its bytes";
            sizes.push_back(r.bytes);
            left -= r.bytes;
        }
        return left == 0;
    }));
    return sizes;
}

TEST_F(pipe_socket_test, reads_grow_while_they_fill_their_blocks_and_shrink_after) {
    connect_unix();
    const std::vector<std::size_t> sizes = receive_a_full_socket(*this);
    ASSERT_GE(sizes.size(), 3u);
    EXPECT_EQ(sizes[0], 16 * kib);
    EXPECT_EQ(sizes[1], 64 * kib);
    EXPECT_GT(*std::max_element(sizes.begin(), sizes.end()), 64 * kib);

    for (int i = 0; i < 30; ++i) {
        say("little");
        EXPECT_TRUE(wait_until(loop, [&] { return pipe->has(io_flag::readable); }));
        chain c;
        EXPECT_EQ(pipe->recv(c, 1 * mib).bytes, 6u);
    }
    EXPECT_EQ(receive_a_full_socket(*this).at(0), 16 * kib);
}

TEST_F(pipe_socket_test, sends_more_slices_than_one_call_takes) {
    connect_unix();
    chain many;
    for (int i = 0; i < 1000; ++i) {
        block_ref b = loop.blocks().take(1);
        *b->data() = static_cast<std::uint8_t>('a' + i % 26);
        const std::uint8_t* data = b->data();
        many.append(slice{std::move(b), data, 1});
    }
    ASSERT_EQ(many.slices(), 1000u);
    EXPECT_EQ(pipe->send(many).bytes, 1000u);
    EXPECT_TRUE(pipe->has(io_flag::writable));
}

TEST_F(pipe_socket_test, says_who_it_is_even_when_the_peer_is_gone) {
    connect_tcp();
    const std::string name = "tcp " + local_address(peer.get()).to_string();
    EXPECT_EQ(describe(*pipe), name);
    close_with_reset(std::move(peer));
    EXPECT_TRUE(seen_in_time(io_flag::readable));
    EXPECT_EQ(describe(*pipe), name);
    connect_unix();
    EXPECT_EQ(describe(*pipe), "unix");
}

TEST_F(pipe_socket_test, splices_with_the_same_effect_on_the_flags) {
    if (!os_has_splice) GTEST_SKIP() << "no splice here";
    connect_tcp();
    ASSERT_TRUE(pipe->can_splice());
    auto through = splice_pipe::make(256 * kib);
    ASSERT_TRUE(through);
    EXPECT_EQ(pipe->recv_spliced(*through, 1000).status, io_status::again);
    say("spliced");
    EXPECT_TRUE(seen_in_time(io_flag::readable));
    EXPECT_EQ(pipe->recv_spliced(*through, 1000).bytes, 7u);
    EXPECT_FALSE(pipe->has(io_flag::readable));
    EXPECT_EQ(pipe->send_spliced(*through).bytes, 7u);
    std::uint8_t back[100];
    const mutable_bytes room(back);
    io_result r;
    do
        r = receive(peer.get(), std::span(&room, 1));
    while (r.status == io_status::again);
    EXPECT_EQ(text_of({back, r.bytes}), "spliced");

    // Until the socket takes no more: the rest stays in the kernel pipe, and writable falls.
    std::size_t sent = 0;
    const std::string much(64 * kib, 'x');
    while (pipe->has(io_flag::writable) && sent < 64 * mib) {
        say(much);
        EXPECT_TRUE(wait_until(loop, [&] { return pipe->has(io_flag::readable); }));
        EXPECT_TRUE(pipe->recv_spliced(*through, 1 * mib).ok());
        while (through->held() > 0 && pipe->has(io_flag::writable))
            sent += pipe->send_spliced(*through).bytes;
    }
    EXPECT_GT(through->held(), 0u);
    EXPECT_FALSE(pipe->has(io_flag::writable));

    EXPECT_FALSE(shutdown_write(peer.get()));
    auto rest = splice_pipe::make(256 * kib);
    ASSERT_TRUE(rest);
    io_result end;
    EXPECT_TRUE(wait_until(loop, [&] {
        while (pipe->has(io_flag::readable) && !end.ok() && end.status != io_status::fin) {
            end = pipe->recv_spliced(*rest, 1 * mib);
            if (end.ok()) end = {};
        }
        return end.status == io_status::fin;
    }));
    EXPECT_TRUE(pipe->has(io_flag::fin_rcvd));
}

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_F(pipe_socket_test, an_idle_pipe_costs_little_memory) {
    connect_tcp();
    std::vector<std::unique_ptr<io_pipe>> pipes(100);
    std::vector<unique_fd> fds;
    for (std::size_t i = 0; i < pipes.size(); ++i)
        fds.emplace_back(std::move(socket_pair()->first));
    const std::size_t before = mallinfo2().uordblks;
    for (std::size_t i = 0; i < pipes.size(); ++i)
        pipes[i] = make_socket_pipe(loop, std::move(fds[i]));
    const std::size_t each = (mallinfo2().uordblks - before) / pipes.size();
    EXPECT_LE(each, 256u);
}
#endif

}  // namespace
}  // namespace libp
