// Deferred calls, posts and ends, over every backend. Nothing here needs a descriptor.

#include "backends.h"

#include <thread>

namespace libp {
namespace {

class event_loop_test : public backend_test {};
INSTANTIATE_TEST_SUITE_P(over, event_loop_test, testing::ValuesIn(all_backends()), backend_name);

// Only a loop that can sleep until another thread wakes it.
class event_loop_threads_test : public backend_test {};
INSTANTIATE_TEST_SUITE_P(over, event_loop_threads_test, testing::ValuesIn(real_backends()),
                         backend_name);

TEST_P(event_loop_test, names_its_backend) {
    EXPECT_EQ(loop.backend(), GetParam());
}

TEST_P(event_loop_test, turn_waits_no_longer_than_its_limit) {
    const instant limit = loop.now() + 2ms;
    calling<timer> far(loop, [&] { ADD_FAILURE() << "an hour is not over"; });
    far.it.arm_in(1h);
    while (loop.now() < limit)
        loop.turn(limit);
    EXPECT_LT(loop.now(), limit + 30min);
}

// -- deferred calls ------------------------------------------------------------------------------

TEST_P(event_loop_test, deferred_calls_run_once_in_the_order_scheduled) {
    std::string order;
    calling<deferred> a(loop, [&] { order += 'a'; });
    calling<deferred> b(loop, [&] { order += 'b'; });
    calling<deferred> c(loop, [&] { order += 'c'; });
    c.it.schedule();
    a.it.schedule();
    b.it.schedule();
    c.it.schedule();  // keeps its place
    EXPECT_TRUE(a.it.scheduled());
    loop.turn();
    EXPECT_EQ(order, "cab");
    EXPECT_FALSE(a.it.scheduled());
}

TEST_P(event_loop_test, deferred_by_a_timer_runs_in_the_same_turn) {
    std::string order;
    calling<deferred> d(loop, [&] { order += "deferred"; });
    calling<timer> t(loop, [&] { order += "timer ", d.it.schedule(); });
    t.it.arm_in(0s);
    loop.turn();
    EXPECT_EQ(order, "timer deferred");
}

TEST_P(event_loop_test, deferred_that_schedules_itself_runs_next_turn_without_sleeping) {
    int runs = 0;
    calling<deferred>* self = nullptr;
    calling<deferred> d(loop, [&] { ++runs, self->it.schedule(); });
    self = &d;
    d.it.schedule();
    const instant start = loop.now();
    for (int i = 1; i <= 100; ++i) {
        loop.turn();  // waits for ever, if it waits
        EXPECT_EQ(runs, i);
    }
    EXPECT_LT(loop.now(), start + 10s);
}

TEST_P(event_loop_test, deferred_scheduled_meanwhile_waits_for_the_next_turn) {
    std::string order;
    calling<deferred> late(loop, [&] { order += " late"; });
    calling<deferred> a(loop, [&] { order += 'a', late.it.schedule(); });
    calling<deferred> b(loop, [&] { order += 'b'; });
    a.it.schedule();
    b.it.schedule();
    loop.turn();
    EXPECT_EQ(order, "ab");
    loop.turn();
    EXPECT_EQ(order, "ab late");
}

TEST_P(event_loop_test, deferred_may_cancel_and_destroy_others_and_itself) {
    std::string order;
    std::unique_ptr<deferred> self;
    calling<deferred> cancelled(loop, [&] { order += "cancelled"; });
    auto destroyed = std::make_unique<calling<deferred>>(loop, [&] { order += "destroyed"; });
    auto call = [&] {
        order += "first ";
        cancelled.it.cancel();
        destroyed.reset();
        self.reset();
    };
    self = std::make_unique<deferred>(loop, delegate<void()>::of(call));
    calling<deferred> last(loop, [&] { order += "last"; });
    for (deferred* d : {self.get(), &cancelled.it, &destroyed->it, &last.it})
        d->schedule();
    loop.turn();
    EXPECT_EQ(order, "first last");
}

// -- stop, post ----------------------------------------------------------------------------------

TEST_P(event_loop_test, stop_before_run_ends_it_at_once_and_only_that_run) {
    loop.stop();
    EXPECT_FALSE(loop.turn());
    loop.run();
    EXPECT_EQ(loop.turns(), 0u);
    calling<timer> t(loop, [&] { loop.stop(); });
    t.it.arm_in(1ms);
    loop.run();
    EXPECT_FALSE(t.it.armed());
}

TEST_P(event_loop_test, stop_ends_run_after_the_turn_under_way) {
    std::string order;
    calling<deferred> d(loop, [&] { order += "deferred"; });
    calling<timer> t(loop, [&] { order += "stop ", loop.stop(), d.it.schedule(); });
    t.it.arm_in(0s);
    loop.run();
    EXPECT_EQ(order, "stop deferred");
}

TEST_P(event_loop_test, posts_run_in_order_and_what_they_post_runs_next_turn) {
    std::string order;
    loop.post([&] {
        order += 'a';
        loop.post([&] { order += 'c'; });
    });
    loop.post([&] { order += 'b'; });
    EXPECT_EQ(order, "");
    loop.turn();
    EXPECT_EQ(order, "ab");
    EXPECT_TRUE(turn_until([&] { return order == "abc"; }));
}

TEST_P(event_loop_test, posts_queued_when_the_loop_dies_are_dropped_with_what_they_hold) {
    auto held = std::make_shared<int>(1);
    {
        event_loop short_lived(make_poller(GetParam()));
        short_lived.post([held] { ADD_FAILURE() << "nobody ran the loop"; });
        EXPECT_EQ(held.use_count(), 2);
    }
    EXPECT_EQ(held.use_count(), 1);
}

TEST_P(event_loop_threads_test, posts_of_four_threads_all_arrive_in_order_of_each_thread) {
    constexpr int threads = 4, each = 5000;
    int next[threads] = {};
    int arrived = 0, disorder = 0;
    std::vector<std::thread> posters;
    for (int who = 0; who < threads; ++who)
        posters.emplace_back([&, who] {
            for (int i = 0; i < each; ++i)
                loop.post([&, who, i] {
                    disorder += next[who]++ != i;
                    ++arrived;
                });
        });
    EXPECT_TRUE(turn_until([&] { return arrived == threads * each; }));
    for (auto& t : posters)
        t.join();
    EXPECT_EQ(disorder, 0);
}

TEST_P(event_loop_threads_test, stop_and_post_wake_a_loop_that_sleeps_for_ever) {
    bool ran = false;
    std::thread other;
    loop.post([&] {
        other = std::thread([&] {
            loop.post([&] { ran = true; });
            loop.stop();
        });
    });
    loop.run();
    other.join();
    loop.turn(loop.now());  // stop() may have come between the turn's posts and its end
    EXPECT_TRUE(ran);
}

// -- retiring ------------------------------------------------------------------------------------

struct mourned {
    explicit mourned(std::function<void()> last_words) : at_end(std::move(last_words)) {}
    ~mourned() { at_end(); }
    std::function<void()> at_end;
};

TEST_P(event_loop_test, retired_die_at_the_end_of_the_turn) {
    std::string order;
    calling<deferred> d(loop, [&] { order += "deferred "; });
    calling<timer> t(loop, [&] {
        loop.retire(std::make_unique<mourned>([&] { order += "dead"; }));
        d.it.schedule();
        order += "timer ";
    });
    t.it.arm_in(0s);
    loop.turn();
    EXPECT_EQ(order, "timer deferred dead");
}

TEST_P(event_loop_test, retired_by_a_destructor_die_in_the_same_turn) {
    std::string order;
    calling<timer> t(loop, [&] {
        loop.retire(std::make_unique<mourned>([&] {
            order += "parent ";
            for (int i = 0; i < 50; ++i)  // enough to move the list under way
                loop.retire(std::make_unique<mourned>([&] { order += '.'; }));
        }));
        loop.retire(std::unique_ptr<mourned>());
    });
    t.it.arm_in(0s);
    loop.turn();
    EXPECT_EQ(order, "parent " + std::string(50, '.'));
}

TEST_P(event_loop_test, retired_between_turns_die_before_the_loop_sleeps_or_dies) {
    bool dead = false;
    loop.retire(std::make_unique<mourned>([&] { dead = true; }));
    EXPECT_FALSE(dead);
    calling<timer> t(loop, [&] { EXPECT_TRUE(dead); });
    t.it.arm_in(0s);
    loop.turn();
    EXPECT_TRUE(dead);

    int deaths = 0;
    {
        event_loop short_lived(make_poller(GetParam()));
        short_lived.retire(std::make_unique<mourned>([&] {
            ++deaths;
            short_lived.retire(std::make_unique<mourned>([&] { ++deaths; }));
        }));
    }
    EXPECT_EQ(deaths, 2);
}

// -- cost ----------------------------------------------------------------------------------------

TEST_P(event_loop_test, turn_costs_one_wait_and_one_reading_of_the_clock) {
    calling<timer> far(loop, [] {});
    far.it.arm_in(1h);
    calling<deferred>* self = nullptr;
    calling<deferred> busy(loop, [&] { self->it.schedule(); });
    self = &busy;
    busy.it.schedule();
    const int waits = calls.waits, reads = calls.clock_reads;
    const auto turns = loop.turns();
    for (int i = 0; i < 50; ++i)
        loop.turn();
    EXPECT_EQ(loop.turns() - turns, 50u);
    EXPECT_EQ(calls.waits - waits, 50);
    EXPECT_EQ(calls.clock_reads - reads, 50);
}

TEST_P(event_loop_test, idle_loop_does_not_turn) {
    calling<timer> far(loop, [] { ADD_FAILURE(); });
    far.it.arm_in(1h);
    calling<timer> end(loop, [&] { loop.stop(); });
    const duration idle = GetParam() == "simulated" ? duration(59min) : duration(30ms);
    end.it.arm_in(idle);
    loop.run();
    // One turn per timer. A few spare: the system may end a wait early, a debugger may interrupt
    // it.
    EXPECT_LE(loop.turns(), 3u);
}

// -- misuse --------------------------------------------------------------------------------------

using event_loop_death_test = event_loop_test;
INSTANTIATE_TEST_SUITE_P(over, event_loop_death_test, testing::Values("simulated"), backend_name);

TEST_P(event_loop_death_test, turning_within_a_callback_is_a_bug) {
    calling<timer> t(loop, [&] { loop.turn(); });
    t.it.arm_in(0s);
    EXPECT_DEATH(loop.turn(), "turned from one of its own callbacks");
}

TEST_P(event_loop_death_test, a_timer_armed_when_its_loop_dies_is_a_bug) {
    EXPECT_DEATH(
        {
            auto dying = std::make_unique<event_loop>(make_poller("simulated"));
            calling<timer> t(*dying, [] {});
            t.it.arm_in(1s);
            dying.reset();
        },
        "an armed timer outlives its loop");
}

TEST_P(event_loop_death_test, spinning_names_a_deferred_call) {
    if (!debug_build) GTEST_SKIP() << "the detector is in debug builds only";
    calling<deferred>* self = nullptr;
    calling<deferred> d(loop, [&] { self->it.schedule(); });
    self = &d;
    d.it.schedule();
    EXPECT_DEATH(loop.run(), "the event loop spins: a deferred call ran last");
}

// Whoever gets something done may be as busy as it likes.
TEST_P(event_loop_death_test, progress_timers_and_posts_are_no_spin) {
    for (const std::string how : {"progress", "timer", "post"}) {
        SCOPED_TRACE(how);
        std::uint64_t runs = 0;
        calling<timer> t(loop, [] {});
        calling<deferred>* self = nullptr;
        calling<deferred> d(loop, [&] {
            self->it.schedule();
            if (++runs % 1000 != 0) return;
            if (how == "progress") loop.progress();
            if (how == "timer") t.it.arm_in(0s);
            if (how == "post") loop.post([] {});
        });
        self = &d;
        d.it.schedule();
        while (runs < event_loop::spin_limit + 1000)
            loop.turn();
    }
}

}  // namespace
}  // namespace libp
