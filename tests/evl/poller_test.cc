// What only one poller or another does: limits, refusals, precision.

#include "backends.h"
#include "support/sim_poller.h"

#include <libp/clock.h>
#include <libp/fd.h>
#include <libp/socket.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace libp {
namespace {

class poller_test : public testing::TestWithParam<std::string> {
  protected:
    std::unique_ptr<poller> waits = make_poller(GetParam());
    std::vector<poll_event> out;
};
INSTANTIATE_TEST_SUITE_P(over, poller_test, testing::ValuesIn(real_backends()), backend_name);

TEST_P(poller_test, deadline_in_the_past_only_looks) {
    const instant start = waits->now();
    for (int i = 0; i < 100; ++i) {
        waits->wait(instant::min(), out);
        waits->wait(start, out);
    }
    EXPECT_LT(waits->now() - start, 10s);
    EXPECT_TRUE(out.empty());
}

// A timeout rounded down would be over before its time: the loop would find nothing due, and turn
// again.
TEST_P(poller_test, wait_is_not_over_before_its_deadline) {
    for (const duration d :
         {1ns, 999ns, 1us + 0ns, 50us + 1ns, 1ms - 1ns, 1ms + 1ns, 2500us + 0ns}) {
        const instant deadline = waits->now() + d;
        waits->wait(deadline, out);
        EXPECT_GE(waits->now(), deadline) << d.count();
    }
}

TEST_P(poller_test, far_deadline_does_not_overflow) {
    for (const instant deadline : {never, never - 1ns, instant{} + 24h * 365 * 200}) {
        waits->wake();
        waits->wait(deadline, out);
    }
    EXPECT_TRUE(out.empty());
}

TEST_P(poller_test, wake_ends_the_next_wait_and_many_wakes_end_few) {
    for (int i = 0; i < 50; ++i)
        waits->wake();
    waits->wait(never, out);
    const instant deadline = waits->now() + 2ms;
    waits->wait(deadline, out);
    EXPECT_GE(waits->now(), deadline) << "an old wake ended a new wait";
    waits->wake();
    waits->wait(never, out);
}

TEST_P(poller_test, wakes_beyond_what_a_pipe_holds_do_not_block) {
    for (int i = 0; i < 100'000; ++i)
        waits->wake();
    waits->wait(never, out);
}

TEST_P(poller_test, closing_the_descriptor_before_removing_the_slot_is_survived) {
    auto ends = socket_pair();
    ASSERT_TRUE(ends);
    poll_slot slot{ends->first.get(), io_interest::read};
    ASSERT_FALSE(waits->add(slot));
    ASSERT_EQ(::write(ends->second.get(), "x", 1), 1);
    ends->first.reset();
    waits->remove(slot);
    waits->wait(waits->now(), out);
    EXPECT_TRUE(out.empty());
}

TEST(select_poller_test, descriptor_of_fd_setsize_is_refused_politely) {
    rlimit limit{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max <= FD_SETSIZE) GTEST_SKIP() << "no such descriptor on this system";
    const rlimit before = limit;
    limit.rlim_cur = std::max<rlim_t>(limit.rlim_cur, FD_SETSIZE + 1);
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
    {
        auto waits = make_select_poller();
        const unique_fd low(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        const unique_fd high(::fcntl(low.get(), F_DUPFD_CLOEXEC, static_cast<int>(FD_SETSIZE)));
        ASSERT_TRUE(high);
        poll_slot slot{high.get(), io_interest::read};
        EXPECT_EQ(waits->add(slot).why, reason::limit);
        std::vector<poll_event> out;
        waits->wait(waits->now(), out);
        EXPECT_TRUE(out.empty());
    }
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
}

TEST(epoll_poller_test, regular_file_is_unsupported) {
    auto waits = make_epoll_poller();
    if (!waits) GTEST_SKIP() << "no epoll on this system";
    std::FILE* file = std::tmpfile();
    ASSERT_NE(file, nullptr);
    poll_slot slot{::fileno(file), {}};
    EXPECT_EQ(waits->add(slot).why, reason::unsupported);
    EXPECT_EQ(std::fclose(file), 0);
}

TEST(default_poller_test, is_the_best_there_is) {
    EXPECT_STREQ(make_default_poller()->name(), os_has_epoll ? "epoll" : "select");
    EXPECT_EQ(make_epoll_poller() != nullptr, os_has_epoll);
}

TEST(sim_poller_test, waiting_takes_no_time_but_its_own) {
    sim_poller waits;
    std::vector<poll_event> out;
    const instant real = monotonic_now();
    const instant deadline = instant{} + 24h * 365;
    waits.wait(deadline, out);
    EXPECT_EQ(waits.now(), deadline);
    waits.wait(instant{}, out);
    EXPECT_EQ(waits.now(), deadline) << "time ran backwards";
    waits.wake();
    waits.wait(never, out);
    EXPECT_EQ(waits.now(), deadline);
    EXPECT_LT(monotonic_now() - real, 1min);
    poll_slot slot;
    EXPECT_EQ(waits.add(slot).why, reason::unsupported);
}

TEST(sim_poller_death_test, waiting_for_ever_is_a_simulation_that_is_stuck) {
    sim_poller waits;
    std::vector<poll_event> out;
    EXPECT_DEATH(waits.wait(never, out), "the simulation is stuck");
}

}  // namespace
}  // namespace libp
