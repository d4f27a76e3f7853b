#include <fcntl.h>
#include <gtest/gtest.h>
#include <libp/pipe_fd.h>
#include <libp/signals.h>
#include <libp/socket.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "support/byte_traffic.h"
#include "support/checked_pipe.h"
#include "support/pipe_pair.h"
#include "support/socket_pairs.h"

namespace libp {
namespace {

unique_fd open_null(int how) {
    return unique_fd(::open("/dev/null", how | O_CLOEXEC));
}

// A file without a name.
unique_fd scratch_file(std::string_view content) {
    std::FILE* f = std::tmpfile();
    EXPECT_NE(f, nullptr);
    const int fd = ::dup(::fileno(f));
    std::fclose(f);
    EXPECT_EQ(::pwrite(fd, content.data(), content.size(), 0),
              static_cast<ssize_t>(content.size()));
    return unique_fd(fd);
}

struct pipe_fd_test : testing::TestWithParam<std::unique_ptr<poller> (*)()> {
    pipe_fd_test() : loop(GetParam()()) { ignore_write_signals(); }
    std::unique_ptr<io_pipe> make(unique_fd in, unique_fd out) {
        return make_checked_pipe(make_fd_pipe(loop, std::move(in), std::move(out)));
    }
    event_loop loop;
};

TEST_P(pipe_fd_test, reads_a_file_to_its_end_and_writes_another) {
    std::string content;
    const traffic t{77, 1'000'000};
    for (std::size_t i = 0; i < t.total; ++i)
        content += static_cast<char>(traffic_byte(t.seed, i));
    unique_fd to = scratch_file("");
    const int result = ::dup(to.get());
    auto pipe = make(scratch_file(content), std::move(to));
    {
        traffic_end end(loop, *pipe, {.out = t, .in = t, .budget = 100 * kib});
        EXPECT_TRUE(wait_until(loop, [&] { return end.done(); })) << end.story();
    }
    std::string written(t.total + 1, 0);
    EXPECT_EQ(::pread(result, written.data(), written.size(), 0), static_cast<ssize_t>(t.total));
    written.pop_back();
    EXPECT_EQ(written, content);
    ::close(result);
}

TEST_P(pipe_fd_test, input_at_its_end_is_a_fin) {
    auto pipe = make(open_null(O_RDONLY), open_null(O_WRONLY));
    traffic_end end(loop, *pipe, {.out = {1, 100'000}});
    EXPECT_TRUE(wait_until(loop, [&] { return end.done(); })) << end.story();
    EXPECT_TRUE(settle(loop)) << "the loop spins on a file at its end";
}

TEST_P(pipe_fd_test, output_nobody_reads_any_more_is_a_break) {
    auto [in, writes_in] = make_os_pipe();
    auto [reads_out, out] = make_os_pipe();
    auto pipe = make(std::move(in), std::move(out));
    reads_out.reset();
    traffic_end end(loop, *pipe, {.out = {1, 1000}});
    EXPECT_TRUE(wait_until(loop, [&] { return pipe->has(io_flag::broken); })) << end.story();
    EXPECT_EQ(pipe->why().why, reason::peer_reset);
    EXPECT_TRUE(wait_until(loop, [&] { return end.seen().has(io_flag::broken); }));
}

TEST_P(pipe_fd_test, a_full_disk_is_a_break) {
    unique_fd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
    if (!full) GTEST_SKIP() << "no /dev/full here";
    auto pipe = make(open_null(O_RDONLY), std::move(full));
    traffic_end end(loop, *pipe, {.out = {1, 1000}});
    EXPECT_TRUE(wait_until(loop, [&] { return pipe->has(io_flag::broken); })) << end.story();
    EXPECT_EQ(pipe->why().os_errno, ENOSPC);
}

TEST_P(pipe_fd_test, puts_blocking_back) {
    auto [in, in_peer] = make_os_pipe();
    auto [out_peer, out] = make_os_pipe();
    const unique_fd in_too(::dup(in.get())), out_too(::dup(out.get()));
    ASSERT_FALSE(set_nonblocking(in.get(), false));
    ASSERT_FALSE(set_nonblocking(out.get(), false));
    auto pipe = make(std::move(in), std::move(out));
    EXPECT_TRUE(is_nonblocking(in_too.get()));
    EXPECT_TRUE(is_nonblocking(out_too.get()));
    pipe->send_fin();
    EXPECT_FALSE(is_nonblocking(out_too.get()));
    pipe.reset();
    EXPECT_FALSE(is_nonblocking(in_too.get()));
}

// A terminal, or the socket an inetd passes as both: the flag is one, and input needs it until the
// end.
TEST_P(pipe_fd_test, puts_blocking_back_last_where_both_are_one_file) {
    auto [file, peer] = std::move(*socket_pair());
    ASSERT_FALSE(set_nonblocking(file.get(), false));
    const unique_fd shell(::dup(file.get()));
    unique_fd out(::dup(file.get()));
    auto pipe = make(std::move(file), std::move(out));
    pipe->send_fin();
    EXPECT_TRUE(is_nonblocking(shell.get()));
    // And the peer got its FIN, although two descriptors still hold the socket.
    std::uint8_t byte;
    const mutable_bytes room(&byte, 1);
    EXPECT_EQ(receive(peer.get(), std::span(&room, 1)).status, io_status::fin);
    pipe.reset();
    EXPECT_FALSE(is_nonblocking(shell.get()));
}

// The connection that an inetd passes as both: what is cut off does not look finished.
TEST_P(pipe_fd_test, a_connection_is_reset_unless_it_was_finished) {
    for (const bool finished : {false, true}) {
        auto [socket, peer] = make_tcp_pair();
        ASSERT_FALSE(set_nonblocking(peer.get(), true));
        unique_fd out(::dup(socket.get()));
        auto pipe = make(std::move(socket), std::move(out));
        if (finished) {
            ASSERT_FALSE(shutdown_write(peer.get()));
            traffic_end end(loop, *pipe, {});
            EXPECT_TRUE(wait_until(loop, [&] { return end.done(); })) << end.story();
        }
        pipe.reset();
        std::uint8_t byte;
        const mutable_bytes room(&byte, 1);
        const io_result r = receive(peer.get(), std::span(&room, 1));
        EXPECT_EQ(r.status, finished ? io_status::fin : io_status::broken);
    }
}

// ... and where output goes elsewhere it is the input that is reset.
TEST_P(pipe_fd_test, a_connection_that_is_only_read_is_reset_too) {
    auto [socket, peer] = make_tcp_pair();
    ASSERT_FALSE(set_nonblocking(peer.get(), true));
    auto pipe = make(std::move(socket), open_null(O_WRONLY));
    pipe->reset();
    std::uint8_t byte;
    const mutable_bytes room(&byte, 1);
    EXPECT_EQ(receive(peer.get(), std::span(&room, 1)).status, io_status::broken);
}

INSTANTIATE_TEST_SUITE_P(pollers, pipe_fd_test,
                         testing::Values(make_default_poller, make_select_poller),
                         [](const auto& which) { return which.index == 0 ? "best" : "select"; });

}  // namespace
}  // namespace libp
