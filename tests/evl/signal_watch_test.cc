#include <libp/signal_watch.h>

#include "backends.h"

#include <csignal>

namespace libp {
namespace {

class signal_watch_test : public backend_test {};
INSTANTIATE_TEST_SUITE_P(over, signal_watch_test, testing::ValuesIn(real_backends()), backend_name);

TEST_P(signal_watch_test, signals_arrive_as_events_in_order) {
    std::vector<int> got;
    auto call = [&](int signal) { got.push_back(signal); };
    signal_watch watch(loop, {SIGUSR1, SIGUSR2}, delegate<void(int)>::of(call));
    ASSERT_EQ(std::raise(SIGUSR1), 0);
    ASSERT_EQ(std::raise(SIGUSR2), 0);
    EXPECT_TRUE(got.empty());
    EXPECT_TRUE(turn_until([&] { return got.size() == 2; }));
    EXPECT_EQ(got, (std::vector<int>{SIGUSR1, SIGUSR2}));
}

TEST_P(signal_watch_test, callback_may_destroy_the_watch) {
    std::unique_ptr<signal_watch> watch;
    auto call = [&](int) { watch.reset(); };
    watch = std::make_unique<signal_watch>(loop, std::initializer_list<int>{SIGUSR1, SIGUSR2},
                                           delegate<void(int)>::of(call));
    ASSERT_EQ(std::raise(SIGUSR1), 0);
    ASSERT_EQ(std::raise(SIGUSR2), 0);
    EXPECT_TRUE(turn_until([&] { return watch == nullptr; }));
}

}  // namespace
}  // namespace libp
