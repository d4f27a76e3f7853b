// Timers, over every backend.

#include "backends.h"

namespace libp {
namespace {

class timer_test : public backend_test {};
INSTANTIATE_TEST_SUITE_P(over, timer_test, testing::ValuesIn(all_backends()), backend_name);

TEST_P(timer_test, several_fire_in_order_of_due_time_and_never_early) {
    std::string order;
    const instant start = loop.now();
    std::vector<std::unique_ptr<calling<timer>>> timers;
    auto add = [&](char name, duration delay) {
        timers.push_back(std::make_unique<calling<timer>>(loop, [&, name, delay] {
            EXPECT_GE(loop.now(), start + delay);
            order += name;
        }));
        timers.back()->it.arm_in(delay);
    };
    add('d', 3ms);
    add('a', 1ms);
    add('e', 3ms);  // of one instant: as armed
    add('b', 1500us);
    add('c', 2ms);
    add('f', 3ms);
    EXPECT_TRUE(turn_until([&] { return order.size() == 6; }));
    EXPECT_EQ(order, "abcdef");
}

TEST_P(timer_test, knows_what_it_is_armed_for) {
    calling<timer> t(loop, [] {});
    EXPECT_FALSE(t.it.armed());
    EXPECT_EQ(t.it.due(), never);
    t.it.arm(loop.now() + 1h);
    EXPECT_EQ(t.it.due(), loop.now() + 1h);
    t.it.arm(never);
    EXPECT_FALSE(t.it.armed());
    t.it.arm_in(duration::max());
    EXPECT_FALSE(t.it.armed());
    t.it.arm(instant::min());
    EXPECT_EQ(t.it.due(), loop.now());
    t.it.cancel();
    EXPECT_FALSE(t.it.armed());
}

TEST_P(timer_test, moved_fires_once_and_when_told_last) {
    int fired = 0;
    instant at{};
    calling<timer> moved(loop, [&] { ++fired, at = loop.now(); });
    const instant start = loop.now();
    moved.it.arm(start + 1h);
    moved.it.arm(start + 1ms);
    moved.it.arm(start + 4ms);
    calling<timer> end(loop, [&] { loop.stop(); });
    end.it.arm(start + 8ms);
    loop.run();
    EXPECT_EQ(fired, 1);
    EXPECT_GE(at, start + 4ms);
}

TEST_P(timer_test, that_arms_itself_for_now_fires_once_a_turn_and_starves_nobody) {
    int again = 0, others = 0;
    calling<timer>* self = nullptr;
    calling<timer> greedy(loop, [&] { ++again, self->it.arm(instant::min()); });
    self = &greedy;
    calling<timer> other(loop, [&] { ++others; });
    greedy.it.arm_in(0s);
    other.it.arm_in(0s);
    loop.turn();
    EXPECT_EQ(again, 1);
    EXPECT_EQ(others, 1);
    for (int i = 2; i < 10; ++i) {
        loop.turn();
        EXPECT_EQ(again, i);
    }
}

TEST_P(timer_test, may_cancel_and_destroy_others_that_are_due_with_it) {
    std::string order;
    calling<timer> cancelled(loop, [&] { order += "cancelled"; });
    auto destroyed = std::make_unique<calling<timer>>(loop, [&] { order += "destroyed"; });
    calling<timer> moved(loop, [&] { order += "moved"; });
    calling<timer> first(loop, [&] {
        order += "first ";
        cancelled.it.cancel();
        destroyed.reset();
        moved.it.arm_in(1h);
    });
    calling<timer> last(loop, [&] { order += "last"; });
    for (timer* t : {&first.it, &cancelled.it, &destroyed->it, &moved.it, &last.it})
        t->arm_in(0s);
    loop.turn();
    EXPECT_EQ(order, "first last");
    EXPECT_EQ(moved.it.due(), loop.now() + 1h);
}

TEST_P(timer_test, may_destroy_itself) {
    std::unique_ptr<timer> t;
    auto call = [&] { t.reset(); };
    t = std::make_unique<timer>(loop, delegate<void()>::of(call));
    t->arm_in(0s);
    loop.turn();
    EXPECT_EQ(t, nullptr);
}

}  // namespace
}  // namespace libp
