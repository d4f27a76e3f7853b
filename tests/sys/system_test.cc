// The small things a program asks its system: descriptors, clocks, randomness, itself, the
// terminal.

#include <libp/clock.h>
#include <libp/fd.h>
#include <libp/os.h>
#include <libp/process.h>
#include <libp/random.h>
#include <libp/terminal.h>

#include <gtest/gtest.h>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <vector>

#include "support/blocking_ends.h"

namespace libp {
namespace {

bool is_open(fd_type fd) {
    return fcntl(fd, F_GETFD) != -1;
}

unique_fd some_fd() {
    return unique_fd(open("/dev/null", O_RDWR));
}

TEST(UniqueFd, ClosesOnce) {
    fd_type raw = no_fd;
    {
        const unique_fd fd = some_fd();
        raw = fd.get();
        EXPECT_TRUE(fd);
        EXPECT_TRUE(is_open(raw));
    }
    EXPECT_FALSE(is_open(raw));
    EXPECT_FALSE(unique_fd{});
}

TEST(UniqueFd, MovesAndReleases) {
    unique_fd a = some_fd();
    const fd_type raw = a.get();
    unique_fd b = std::move(a);
    EXPECT_FALSE(a);  // NOLINT: moved-from is empty by contract
    EXPECT_EQ(b.get(), raw);
    unique_fd c = some_fd();
    const fd_type old = c.get();
    c = std::move(b);
    EXPECT_FALSE(is_open(old));
    EXPECT_EQ(c.release(), raw);
    EXPECT_FALSE(c);
    EXPECT_TRUE(is_open(raw));
    c.reset(raw);
    c.reset();
    EXPECT_FALSE(is_open(raw));
}

TEST(Fd, Nonblocking) {
    int raw[2];
    ASSERT_EQ(pipe(raw), 0);
    const unique_fd a(raw[0]), b(raw[1]);
    EXPECT_FALSE(is_nonblocking(a.get()));
    EXPECT_FALSE(set_nonblocking(a.get(), true));
    EXPECT_TRUE(is_nonblocking(a.get()));
    EXPECT_FALSE(is_nonblocking(b.get()));
    EXPECT_FALSE(set_nonblocking(a.get(), false));
    EXPECT_FALSE(is_nonblocking(a.get()));
    EXPECT_TRUE(set_nonblocking(no_fd, true));
    EXPECT_FALSE(is_nonblocking(no_fd));
}

TEST(Clock, MonotonicNeverStepsBack) {
    instant last = monotonic_now();
    for (int i = 0; i < 10'000; ++i) {
        const instant now = monotonic_now();
        ASSERT_GE(now, last);
        last = now;
    }
    EXPECT_LT(last, never);
}

TEST(Clock, WallClock) {
    const std::string text = wall_clock_text();
    std::string shape = text;
    for (char& c : shape)
        if (c >= '0' && c <= '9') c = 'n';
    EXPECT_EQ(shape, "nnnn-nn-nnTnn:nn:nn.nnnZ") << text;
    EXPECT_LE(text, wall_clock_text());  // the form sorts by time
    const std::int64_t year_2024_us = 1'704'067'200'000'000;
    EXPECT_GT(wall_clock_us(), year_2024_us);
}

TEST(Random, FillsAllOfItDifferently) {
    std::set<std::array<std::uint8_t, 16>> seen;
    for (int i = 0; i < 100; ++i) {
        std::array<std::uint8_t, 16> nonce{};
        fill_random(nonce);
        EXPECT_TRUE(seen.insert(nonce).second);
    }
    fill_random({});
    // Longer than a system call gives in one piece; every 64 bytes of it must have been written.
    std::vector<std::uint8_t> large(1 << 20);
    fill_random(large);
    for (std::size_t i = 0; i < large.size(); i += 64)
        ASSERT_NE(std::count(large.begin() + static_cast<std::ptrdiff_t>(i),
                             large.begin() + static_cast<std::ptrdiff_t>(i) + 64, 0),
                  64);
}

TEST(Process, FdLimitIsRaised) {
    rlimit old{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
    rlimit low = old;
    low.rlim_cur = std::min<rlim_t>(64, old.rlim_max);
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
    EXPECT_EQ(fd_limit(), low.rlim_cur);
    const std::size_t most = std::min<std::size_t>(old.rlim_max, 1'048'576);
    EXPECT_EQ(raise_fd_limit(), most);
    EXPECT_EQ(fd_limit(), most);
    EXPECT_EQ(raise_fd_limit(), most);
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
}

TEST(Process, CpuTimeGrowsWithWork) {
    const double before = cpu_seconds();
    EXPECT_GE(before, 0);
    const instant deadline = monotonic_now() + 10s;
    while (cpu_seconds() <= before && monotonic_now() < deadline) {
    }
    EXPECT_GT(cpu_seconds(), before);
    EXPECT_EQ(process_id(), getpid());
}

TEST(Terminal, OnlyTerminalsAreTerminals) {
    const unique_fd null = some_fd();
    EXPECT_FALSE(is_terminal(null.get()));
    EXPECT_FALSE(is_terminal(no_fd));
    ASSERT_EQ(unsetenv("COLUMNS"), 0);
    EXPECT_EQ(terminal_width(null.get()), 80);
    ASSERT_EQ(setenv("COLUMNS", "132", 1), 0);
    EXPECT_EQ(terminal_width(null.get()), 132);
    ASSERT_EQ(setenv("COLUMNS", "wide", 1), 0);
    EXPECT_EQ(terminal_width(null.get()), 80);
    ASSERT_EQ(unsetenv("COLUMNS"), 0);

    if (const terminal_ends t; t.master) {
        EXPECT_TRUE(is_terminal(t.master.get()));
    }
}

TEST(Terminal, OpenedAgainItIsNonBlockingForUsAlone) {
    const terminal_ends t;
    if (!t.master) GTEST_SKIP() << "no pseudo-terminals here";
    const unique_fd again = open_terminal_again(t.slave.get());
    ASSERT_TRUE(again);
    EXPECT_TRUE(is_terminal(again.get()));
    EXPECT_TRUE(is_nonblocking(again.get()));
    EXPECT_FALSE(is_nonblocking(t.slave.get()));
    char got = 0;
    ASSERT_EQ(write(again.get(), "x", 1), 1);
    ASSERT_EQ(read(t.master.get(), &got, 1), 1);
    EXPECT_EQ(got, 'x');

    EXPECT_FALSE(open_terminal_again(some_fd().get()));
    EXPECT_FALSE(open_terminal_again(no_fd));
}

TEST(Os, NamesItself) {
    const std::string_view name = os_name;
    EXPECT_TRUE(name == "linux" || name == "posix");
    EXPECT_EQ(os_has_splice, name == "linux");
}

}  // namespace
}  // namespace libp
