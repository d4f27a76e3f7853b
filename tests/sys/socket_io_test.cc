#include "sockets.h"

#include <libp/signals.h>

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>

#include "support/blocking_ends.h"

namespace libp::testing {
namespace {

// Sends until the socket takes no more; returns how much it took.
std::size_t fill_up(fd_type fd) {
    static const std::string bulk(1 << 16, 'x');
    const chain data = static_chain(bulk);
    std::size_t total = 0;
    for (;;) {
        const io_result r = transmit(fd, data);
        if (!r.ok()) {
            EXPECT_EQ(r.status, io_status::again);
            EXPECT_EQ(r.bytes, 0u);
            return total;
        }
        total += r.bytes;
    }
}

TEST(SocketIo, BytesCross) {
    for (const linked& l : {tcp_pair(), unix_pair()}) {
        EXPECT_EQ(receive_text(l.server.get()), "<again>");
        const io_result r = transmit(l.client.get(), static_chain("hello"));
        EXPECT_EQ(r.status, io_status::ok);
        EXPECT_EQ(r.bytes, 5u);
        ASSERT_TRUE(readable(l.server.get()));
        EXPECT_EQ(receive_text(l.server.get()), "hello");
        EXPECT_EQ(receive_text(l.server.get()), "<again>");
    }
}

TEST(SocketIo, ScattersAndGathers) {
    const linked l = unix_pair();
    chain data = static_chain("one");
    data.append(static_chain("two"));
    data.append(static_chain("three"));
    EXPECT_EQ(transmit(l.client.get(), data).bytes, 11u);
    EXPECT_EQ(data.to_string(), "onetwothree");

    std::array<std::uint8_t, 4> a{};
    std::array<std::uint8_t, 20> b{};
    const mutable_bytes buffers[] = {a, {}, b};
    const io_result r = receive(l.server.get(), buffers);
    EXPECT_EQ(r.bytes, 11u);
    EXPECT_EQ(text_of(a), "onet");
    EXPECT_EQ(text_of(bytes(b).first(7)), "wothree");
}

TEST(SocketIo, SendsNoMoreThanAsked) {
    const linked l = unix_pair();
    chain data = static_chain("abc");
    data.append(static_chain("def"));
    EXPECT_EQ(transmit(l.client.get(), data, 4).bytes, 4u);
    EXPECT_EQ(receive_text(l.server.get()), "abcd");
    EXPECT_EQ(transmit(l.client.get(), data, 3).bytes, 3u);
    EXPECT_EQ(receive_text(l.server.get()), "abc");
    EXPECT_EQ(write_to(l.client.get(), data, 5).bytes, 5u);
    EXPECT_EQ(receive_text(l.server.get()), "abcde");
}

TEST(SocketIo, SendsTheFirstSlicesOfMany) {
    const linked l = unix_pair();
    static constexpr char digits[] = "0123456789";
    chain data;
    std::string all;
    for (std::size_t i = 0; i < 200; ++i) {
        const std::size_t at = i * 7 % 10;  // never adjacent, so that slices do not join
        data.append(static_chain(std::string_view(digits + at, 1)));
        all += digits[at];
    }
    ASSERT_EQ(data.slices(), 200u);
    const io_result r = transmit(l.client.get(), data);
    ASSERT_TRUE(r.ok());
    EXPECT_LE(r.bytes, 64u);
    EXPECT_EQ(receive_text(l.server.get()), all.substr(0, r.bytes));
}

TEST(SocketIo, FullSocketSaysAgainAndRecovers) {
    for (const linked& l : {tcp_pair(), unix_pair()}) {
        std::size_t left = fill_up(l.client.get());
        ASSERT_GT(left, 0u);
        while (left > 0) {
            ASSERT_TRUE(readable(l.server.get()));
            const std::string got = receive_text(l.server.get(), 1 << 20);
            ASSERT_EQ(got[0], 'x') << got;
            left -= got.size();
        }
        EXPECT_TRUE(writable(l.client.get()));
        EXPECT_TRUE(transmit(l.client.get(), static_chain("y")).ok());
    }
}

TEST(SocketIo, HalfCloseLeavesTheOtherWayOpen) {
    for (const linked& l : {tcp_pair(), unix_pair()}) {
        ASSERT_TRUE(transmit(l.client.get(), static_chain("request")).ok());
        EXPECT_FALSE(shutdown_write(l.client.get()));
        ASSERT_TRUE(readable(l.server.get()));
        EXPECT_EQ(receive_text(l.server.get()), "request");
        ASSERT_TRUE(readable(l.server.get()));
        EXPECT_EQ(receive_text(l.server.get()), "<fin>");
        EXPECT_EQ(receive_text(l.server.get()), "<fin>");

        ASSERT_TRUE(transmit(l.server.get(), static_chain("reply")).ok());
        ASSERT_TRUE(readable(l.client.get()));
        EXPECT_EQ(receive_text(l.client.get()), "reply");
    }
}

TEST(SocketIo, SendingAfterFinIsBrokenAndRaisesNoSignal) {
    struct sigaction fatal {};
    struct sigaction old {};
    fatal.sa_handler = SIG_DFL;
    ASSERT_EQ(sigaction(SIGPIPE, &fatal, &old), 0);
    const linked l = unix_pair();
    EXPECT_FALSE(shutdown_write(l.client.get()));
    const io_result r = transmit(l.client.get(), static_chain("x"));
    EXPECT_EQ(r.status, io_status::broken);
    EXPECT_EQ(r.why, (error{reason::peer_reset, EPIPE}));
    EXPECT_EQ(r.bytes, 0u);
    ASSERT_EQ(sigaction(SIGPIPE, &old, nullptr), 0);
}

TEST(SocketIo, TcpResetReachesThePeer) {
    linked l = tcp_pair();
    close_with_reset(std::move(l.client));
    ASSERT_TRUE(readable(l.server.get()));
    EXPECT_EQ(receive_text(l.server.get()), "<peer_reset>");
}

TEST(SocketIo, TcpResetAfterFinReachesThePeer) {
    linked l = tcp_pair();
    ASSERT_FALSE(shutdown_write(l.client.get()));
    close_with_reset(std::move(l.client));
    // The FIN may still be read first; what follows is never a second clean end of our own sending.
    ASSERT_TRUE(wait_for(l.server.get(), POLLHUP));
    const io_result r = transmit(l.server.get(), static_chain("x"));
    EXPECT_EQ(r.status, io_status::broken);
    EXPECT_EQ(r.why.why, reason::peer_reset);
}

TEST(SocketIo, CleanCloseIsFin) {
    for (linked& l : std::array{tcp_pair(), unix_pair()}) {
        l.client.reset();
        ASSERT_TRUE(readable(l.server.get()));
        EXPECT_EQ(receive_text(l.server.get()), "<fin>");
    }
}

TEST(SocketIo, UnixCloseWithUnreadBytesIsAReset) {
    linked l = unix_pair();
    ASSERT_TRUE(transmit(l.server.get(), static_chain("unread")).ok());
    close_with_reset(std::move(l.client));
    ASSERT_TRUE(readable(l.server.get()));
    EXPECT_EQ(receive_text(l.server.get()), "<peer_reset>");
}

TEST(SocketIo, CloseWithResetTakesAnything) {
    close_with_reset(unique_fd{});
    int raw[2];
    ASSERT_EQ(pipe(raw), 0);
    close_with_reset(unique_fd(raw[0]));
    close_with_reset(unique_fd(raw[1]));
    EXPECT_EQ(fcntl(raw[0], F_GETFD), -1);
}

TEST(SocketIo, WrongDescriptorIsBroken) {
    const io_result r = transmit(no_fd, static_chain("x"));
    EXPECT_EQ(r.status, io_status::broken);
    EXPECT_EQ(r.why, (error{reason::system, EBADF}));
    EXPECT_EQ(receive_text(no_fd), "<system>");
    EXPECT_TRUE(shutdown_write(no_fd));
    EXPECT_TRUE(take_error(no_fd));
}

// -- descriptors that are no sockets --------------------------------------------------------------

std::string read_text(fd_type fd) {
    std::array<std::uint8_t, 64> room{};
    const mutable_bytes buffers[] = {room};
    const io_result r = read_from(fd, buffers);
    if (r.status == io_status::again) return "<again>";
    if (r.status == io_status::fin) return "<fin>";
    if (r.status == io_status::broken) return std::string("<") + name_of(r.why.why) + ">";
    return std::string(text_of(bytes(room).first(r.bytes)));
}

struct quick_pipe_ends : pipe_ends {
    quick_pipe_ends() {
        EXPECT_FALSE(set_nonblocking(out.get(), true));
        EXPECT_FALSE(set_nonblocking(in.get(), true));
    }
};

TEST(FileIo, Pipe) {
    quick_pipe_ends p;
    EXPECT_EQ(read_text(p.out.get()), "<again>");
    EXPECT_EQ(write_to(p.in.get(), static_chain("hello")).bytes, 5u);
    EXPECT_EQ(read_text(p.out.get()), "hello");
    p.in.reset();
    EXPECT_EQ(read_text(p.out.get()), "<fin>");
}

TEST(FileIo, PipeWithoutReaderIsPeerReset) {
    ignore_write_signals();
    quick_pipe_ends p;
    p.out.reset();
    const io_result r = write_to(p.in.get(), static_chain("x"));
    EXPECT_EQ(r.status, io_status::broken);
    EXPECT_EQ(r.why.why, reason::peer_reset);
}

// In a process of its own: the limit is the process's.
TEST(FileIo, FileThatMayNotGrowIsAnError) {
    const pid_t child = fork();
    if (child == 0) {
        ignore_write_signals();
        const rlimit most{10, 10};
        std::FILE* file = std::tmpfile();
        if (!file || setrlimit(RLIMIT_FSIZE, &most) != 0) _exit(2);
        const bool first = write_to(fileno(file), static_chain("0123456789")).bytes == 10;
        _exit(first && write_to(fileno(file), static_chain("x")).why.os_errno == EFBIG ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
}

TEST(FileIo, WritesAtOnceOrNotAtAll) {
    quick_pipe_ends p;
    ASSERT_FALSE(set_nonblocking(p.in.get(), false));  // or a write that waits would not show
    const std::string line(100, 'x'), page(PIPE_BUF + 1, 'y');
    io_result r = write_at_once(p.in.get(), page);
    EXPECT_EQ(r.bytes, page.size() - 1) << "more might have to wait";
    std::size_t written = r.bytes;
    while ((r = write_at_once(p.in.get(), line)).ok()) {
        ASSERT_EQ(r.bytes, line.size());
        written += r.bytes;
    }
    EXPECT_EQ(r.status, io_status::again);

    std::size_t read = 0;
    for (std::string got; (got = read_text(p.out.get())) != "<again>"; read += got.size()) {
    }
    EXPECT_EQ(read, written);
    EXPECT_EQ(write_at_once(p.in.get(), line).bytes, line.size());

    ignore_write_signals();
    p.out.reset();
    r = write_at_once(p.in.get(), line);
    EXPECT_EQ(r.status, io_status::broken);
    EXPECT_EQ(r.why.os_errno, EPIPE);
}

TEST(FileIo, TerminalHangUpIsFin) {
    unique_fd master(posix_openpt(O_RDWR | O_NOCTTY));
    if (!master) GTEST_SKIP() << "no pseudo-terminals here";
    ASSERT_EQ(grantpt(master.get()), 0);
    ASSERT_EQ(unlockpt(master.get()), 0);
    const char* name = ptsname(master.get());
    ASSERT_NE(name, nullptr);
    {
        unique_fd slave(open(name, O_RDWR | O_NOCTTY | O_NONBLOCK));
        ASSERT_TRUE(slave);
        ASSERT_EQ(write_to(slave.get(), static_chain("bye")).bytes, 3u);
        ASSERT_TRUE(readable(master.get()));
        EXPECT_EQ(read_text(master.get()), "bye");
    }
    EXPECT_EQ(read_text(master.get()), "<fin>");

    unique_fd slave(open(name, O_RDWR | O_NOCTTY | O_NONBLOCK));
    ASSERT_TRUE(slave);
    master.reset();
    EXPECT_EQ(read_text(slave.get()), "<fin>");
    const io_result r = write_to(slave.get(), static_chain("x"));
    EXPECT_EQ(r.status, io_status::broken);
    EXPECT_EQ(r.why.why, reason::peer_reset);
}

// -- EINTR ----------------------------------------------------------------------------------------

// Signals every 2 ms whose handler does not restart what it interrupts; the fifth writes a byte to
// `to`.
class storm {
  public:
    explicit storm(fd_type to) {
        to_ = to;
        strikes_ = 0;
        struct sigaction action {};
        action.sa_handler = strike;
        EXPECT_EQ(sigaction(SIGALRM, &action, &old_), 0);
        itimerval often{};
        often.it_interval.tv_usec = often.it_value.tv_usec = 2000;
        EXPECT_EQ(setitimer(ITIMER_REAL, &often, nullptr), 0);
    }
    ~storm() {
        const itimerval off{};
        EXPECT_EQ(setitimer(ITIMER_REAL, &off, nullptr), 0);
        EXPECT_EQ(sigaction(SIGALRM, &old_, nullptr), 0);
        EXPECT_GE(strikes_, 5);
    }
    storm(const storm&) = delete;
    storm& operator=(const storm&) = delete;

  private:
    static void strike(int) {
        const int saved = errno;
        strikes_ = strikes_ + 1;
        if (strikes_ == 5 && write(to_, "x", 1) != 1) abort();
        errno = saved;
    }
    static inline volatile sig_atomic_t strikes_ = 0;
    static inline volatile sig_atomic_t to_ = no_fd;
    struct sigaction old_ {};
};

// A blocking read in the storm: its caller never hears of the first four.
TEST(FileIo, InterruptedCallsAreRepeated) {
    const linked l = unix_pair();
    ASSERT_FALSE(set_nonblocking(l.server.get(), false));
    {
        const storm blows(l.client.get());
        EXPECT_EQ(receive_text(l.server.get()), "x");
    }
    {
        const storm blows(l.client.get());
        EXPECT_EQ(read_text(l.server.get()), "x");
    }
}

}  // namespace
}  // namespace libp::testing
