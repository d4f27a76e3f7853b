#include "sockets.h"

#include <libp/signals.h>

#include <signal.h>

namespace libp::testing {
namespace {

TEST(SignalPipe, DeliversInOrder) {
    signal_pipe signals{SIGUSR1, SIGUSR2};
    EXPECT_TRUE(is_nonblocking(signals.fd()));
    EXPECT_EQ(signals.take(), std::nullopt);
    ASSERT_EQ(raise(SIGUSR2), 0);
    ASSERT_EQ(raise(SIGUSR1), 0);
    ASSERT_TRUE(readable(signals.fd()));
    EXPECT_EQ(signals.take(), SIGUSR2);
    EXPECT_EQ(signals.take(), SIGUSR1);
    EXPECT_EQ(signals.take(), std::nullopt);
    ASSERT_EQ(raise(SIGUSR2), 0);
    EXPECT_EQ(signals.take(), SIGUSR2);
}

// More repeats than a pipe holds bytes: they merge, and the one signal behind them is not lost.
TEST(SignalPipe, RepeatsDoNotCrowdOutOthers) {
    signal_pipe signals{SIGUSR1, SIGUSR2};
    for (int i = 0; i < 70'000; ++i)
        ASSERT_EQ(raise(SIGUSR1), 0);
    ASSERT_EQ(raise(SIGUSR2), 0);
    bool usr1 = false, usr2 = false;
    while (const auto number = signals.take()) {
        usr1 |= *number == SIGUSR1;
        usr2 |= *number == SIGUSR2;
    }
    EXPECT_TRUE(usr1);
    EXPECT_TRUE(usr2);
}

volatile sig_atomic_t old_handler_ran = 0;

TEST(SignalPipe, PutsTheOldHandlerBack) {
    old_handler_ran = 0;
    struct sigaction mine {};
    struct sigaction before {};
    mine.sa_handler = [](int) { old_handler_ran = 1; };
    ASSERT_EQ(sigaction(SIGUSR1, &mine, &before), 0);
    {
        signal_pipe signals{SIGUSR1, SIGUSR1};
        ASSERT_EQ(raise(SIGUSR1), 0);
        EXPECT_EQ(signals.take(), SIGUSR1);
    }
    EXPECT_EQ(old_handler_ran, 0);
    ASSERT_EQ(raise(SIGUSR1), 0);
    EXPECT_EQ(old_handler_ran, 1);
    ASSERT_EQ(sigaction(SIGUSR1, &before, nullptr), 0);
}

TEST(SignalPipe, OneAfterAnotherButNotTwoAtOnce) {
    { signal_pipe first{SIGUSR1}; }
    signal_pipe second{SIGUSR1};
    ASSERT_EQ(raise(SIGUSR1), 0);
    EXPECT_EQ(second.take(), SIGUSR1);
    GTEST_FLAG_SET(death_test_style, "threadsafe");  // other tests may have left threads
    EXPECT_DEATH(signal_pipe third{SIGUSR2}, "already");
}

}  // namespace
}  // namespace libp::testing
