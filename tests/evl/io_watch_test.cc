// Watched descriptors, over every poller that has them.

#include "backends.h"

#include <libp/fd.h>
#include <libp/socket.h>

#include <unistd.h>

#include <optional>

namespace libp {
namespace {

constexpr auto rd = io_interest::read;
constexpr auto wr = io_interest::write;

// A watch that keeps what it was told and does what a test wants.
struct recorder {
    void on_ready(flags<io_ready> ready) {
        ++calls;
        last = ready;
        const auto call = then;  // it may destroy this
        if (call) call();
    }
    error open(event_loop& loop, fd_type fd, flags<io_interest> interest = {}) {
        return watch.open(loop, fd, delegate<void(flags<io_ready>)>::to<&recorder::on_ready>(*this),
                          interest);
    }

    io_watch watch;
    int calls = 0;
    flags<io_ready> last;
    std::function<void()> then;
};

// A socket and what is at its other end.
struct ends {
    unique_fd here, there;
    void there_sends() { EXPECT_EQ(::write(there.get(), "x", 1), 1); }
    void here_reads() {
        char c;
        EXPECT_EQ(::read(here.get(), &c, 1), 1);
    }
};

ends make_pair() {
    auto made = socket_pair();
    EXPECT_TRUE(made);
    return {std::move(made->first), std::move(made->second)};
}

class io_watch_test : public backend_test {
  protected:
    // Waits only as long as what has happened already takes to be seen.
    void look() { loop.turn(loop.now()); }

    // A TCP connection over loopback.
    ends make_tcp() {
        ends e;
        auto listener = listen_on(*socket_address::parse("127.0.0.1:0"));
        EXPECT_TRUE(listener);
        auto connecting = start_connect(local_address(listener->get()));
        EXPECT_TRUE(connecting);
        e.here = std::move(*connecting);
        recorder accepts;
        accepts.then = [&] { e.there = accept_from(listener->get()).fd; };
        EXPECT_FALSE(accepts.open(loop, listener->get(), rd));
        recorder connects;
        connects.then = [&] { connects.watch.close(); };
        EXPECT_FALSE(connects.open(loop, e.here.get(), wr));
        EXPECT_TRUE(turn_until([&] { return e.there && !connects.watch.is_open(); }));
        return e;
    }
};
INSTANTIATE_TEST_SUITE_P(over, io_watch_test, testing::ValuesIn(real_backends()), backend_name);

TEST_P(io_watch_test, reports_what_it_is_interested_in_level_triggered) {
    ends e = make_pair();
    recorder r;
    ASSERT_FALSE(r.open(loop, e.here.get()));
    EXPECT_TRUE(r.watch.interest().none());
    e.there_sends();
    look();
    EXPECT_EQ(r.calls, 0);
    r.watch.set_interest(rd);
    look();
    EXPECT_EQ(r.calls, 1);
    EXPECT_EQ(r.last, io_ready::read);
    look();
    EXPECT_EQ(r.calls, 2);
    e.here_reads();
    look();
    EXPECT_EQ(r.calls, 2);
    r.watch.set_interest(flags(rd) | wr);
    look();
    EXPECT_EQ(r.last, io_ready::write);
    e.there_sends();
    look();
    EXPECT_EQ(r.last, flags(io_ready::read) | io_ready::write);
    r.watch.set_interest({});
    look();
    EXPECT_EQ(r.calls, 4);
}

TEST_P(io_watch_test, end_of_stream_is_readable) {
    ends e = make_pair();
    recorder r;
    ASSERT_FALSE(r.open(loop, e.here.get(), rd));
    look();
    EXPECT_EQ(r.calls, 0);
    e.there.reset();
    look();
    EXPECT_EQ(r.calls, 1);
    EXPECT_TRUE(r.last.has(io_ready::read));
}

TEST_P(io_watch_test, event_never_reaches_a_watch_closed_in_the_same_batch) {
    ends one = make_pair(), two = make_pair();
    recorder a, b;
    a.then = [&] { b.watch.close(); };
    b.then = [&] { a.watch.close(); };
    ASSERT_FALSE(a.open(loop, one.here.get(), rd));
    ASSERT_FALSE(b.open(loop, two.here.get(), rd));
    one.there_sends();
    two.there_sends();
    look();
    EXPECT_EQ(a.calls + b.calls, 1);
    look();
    EXPECT_EQ(a.calls + b.calls, 2);  // of the one that is left
}

TEST_P(io_watch_test, event_never_reaches_a_new_watch_of_the_same_descriptor_number) {
    ends one = make_pair(), two = make_pair();
    std::unique_ptr<recorder> watches[2];
    ends* sockets[2] = {&one, &two};
    recorder reborn;
    unique_fd fresh, fresh_peer;
    for (int i : {0, 1}) {
        watches[i] = std::make_unique<recorder>();
        // Whichever is first destroys the other, closes its descriptor, and reuses the number.
        watches[i]->then = [&, i] {
            watches[i]->then = nullptr;
            const fd_type number = sockets[1 - i]->here.get();
            watches[1 - i].reset();
            sockets[1 - i]->here.reset();
            auto made = socket_pair();
            ASSERT_TRUE(made);
            fresh = std::move(made->first);
            fresh_peer = std::move(made->second);
            if (fresh.get() != number) std::swap(fresh, fresh_peer);
            ASSERT_EQ(fresh.get(), number);
            ASSERT_FALSE(reborn.open(loop, number, rd));
        };
        ASSERT_FALSE(watches[i]->open(loop, sockets[i]->here.get(), rd));
    }
    one.there_sends();
    two.there_sends();
    look();
    ASSERT_TRUE(reborn.watch.is_open());
    look();
    EXPECT_EQ(reborn.calls, 0);
    ASSERT_EQ(::write(fresh_peer.get(), "x", 1), 1);
    look();
    EXPECT_EQ(reborn.calls, 1);
}

TEST_P(io_watch_test, timer_and_post_may_close_a_watch_whose_event_is_collected) {
    for (const bool by_post : {false, true}) {
        ends e = make_pair();
        recorder r;
        ASSERT_FALSE(r.open(loop, e.here.get(), rd));
        e.there_sends();
        auto close = [&] { r.watch.close(); };
        timer t(loop, delegate<void()>::of(close));
        if (by_post)
            loop.post(close);
        else
            t.arm_in(0s);
        look();
        EXPECT_FALSE(r.watch.is_open());
        EXPECT_EQ(r.calls, 0);
    }
}

TEST_P(io_watch_test, callback_may_destroy_its_own_watch) {
    ends e = make_pair();
    auto r = std::make_unique<recorder>();
    auto destroy = [&] { std::unique_ptr<recorder>(std::move(r))->then = nullptr; };
    struct killer {
        void on_ready(flags<io_ready>) { kill(); }
        std::function<void()> kill;
    } k{destroy};
    ASSERT_FALSE(r->watch.open(loop, e.here.get(),
                               delegate<void(flags<io_ready>)>::to<&killer::on_ready>(k), rd));
    e.there_sends();
    look();
    EXPECT_EQ(r, nullptr);
    look();
}

TEST_P(io_watch_test, callback_may_reopen_its_own_watch_elsewhere) {
    ends one = make_pair(), two = make_pair();
    recorder r;
    r.then = [&] {
        r.then = nullptr;
        r.watch.close();
        ASSERT_FALSE(r.open(loop, two.here.get(), rd));
    };
    ASSERT_FALSE(r.open(loop, one.here.get(), rd));
    one.there_sends();
    look();
    EXPECT_EQ(r.calls, 1);
    look();
    EXPECT_EQ(r.calls, 1);
    two.there_sends();
    look();
    EXPECT_EQ(r.calls, 2);
}

TEST_P(io_watch_test, event_collected_for_an_interest_since_lost_is_not_delivered) {
    ends one = make_pair(), two = make_pair();
    recorder a, b;
    a.then = [&] { b.watch.set_interest({}); };
    b.then = [&] { a.watch.set_interest({}); };
    ASSERT_FALSE(a.open(loop, one.here.get(), rd));
    ASSERT_FALSE(b.open(loop, two.here.get(), rd));
    one.there_sends();
    two.there_sends();
    look();
    EXPECT_EQ(a.calls + b.calls, 1);
    recorder& muted = a.calls ? b : a;
    a.then = b.then = nullptr;
    muted.watch.set_interest(rd);
    look();
    EXPECT_EQ(muted.calls, 1);
}

TEST_P(io_watch_test, failure_collected_before_the_interest_was_lost_is_not_delivered) {
    ends e = make_tcp();
    recorder r;
    ASSERT_FALSE(r.open(loop, e.here.get(), rd));
    close_with_reset(std::move(e.there));
    EXPECT_TRUE(turn_until([&] { return r.calls == 1; }));
    auto mute = [&] { r.watch.set_interest({}); };
    timer t(loop, delegate<void()>::of(mute));
    t.arm_in(0s);  // timers run between collecting and dispatching
    look();
    EXPECT_EQ(r.calls, 1);
}

TEST_P(io_watch_test, watch_opened_in_a_callback_reports_from_the_next_turn) {
    ends one = make_pair(), two = make_pair();
    recorder a, b;
    a.then = [&] {
        if (!b.watch.is_open()) {
            EXPECT_FALSE(b.open(loop, two.here.get(), rd));
        }
    };
    ASSERT_FALSE(a.open(loop, one.here.get(), rd));
    one.there_sends();
    two.there_sends();
    look();
    EXPECT_EQ(b.calls, 0);
    look();
    EXPECT_EQ(b.calls, 1);
}

TEST_P(io_watch_test, interest_that_cancels_out_costs_no_call) {
    ends e = make_pair();
    recorder r;
    ASSERT_FALSE(r.open(loop, e.here.get(), rd));
    look();
    EXPECT_EQ(calls.updates, 0);
    r.watch.set_interest({});
    r.watch.set_interest(wr);
    r.watch.set_interest(rd);
    look();
    EXPECT_EQ(calls.updates, 0);
    r.watch.set_interest(wr);
    r.watch.set_interest({});
    look();
    EXPECT_EQ(calls.updates, 1);
    look();
    EXPECT_EQ(calls.updates, 1);
    r.watch.set_interest(rd);
    r.watch.close();
    look();
    EXPECT_EQ(calls.updates, 1);
    EXPECT_EQ(calls.adds, 1);
    EXPECT_EQ(calls.removes, 1);
}

TEST_P(io_watch_test, reset_by_the_peer_is_not_reported_before_there_is_an_interest) {
    for (const auto interest : {rd, wr}) {
        ends e = make_tcp();
        recorder r;
        ASSERT_FALSE(r.open(loop, e.here.get()));
        close_with_reset(std::move(e.there));
        // Over loopback the reset is there at once; were it reported, it would be again and again.
        const auto before = loop.turns();
        auto stop = [&] { loop.stop(); };
        timer t(loop, delegate<void()>::of(stop));
        t.arm_in(10ms);
        loop.run();
        EXPECT_EQ(r.calls, 0);
        EXPECT_LE(loop.turns() - before, 4u);
        r.watch.set_interest(interest);
        EXPECT_TRUE(turn_until([&] { return r.calls > 0; }));
        EXPECT_TRUE(r.last.has(interest == rd ? io_ready::read : io_ready::write));
        if (GetParam() == "epoll") {
            EXPECT_TRUE(r.last.has(io_ready::failed));
        }
        EXPECT_EQ(take_error(e.here.get()).why, reason::peer_reset);
        // Once the interest is gone again, so are the reports.
        r.watch.set_interest({});
        const int calls_then = r.calls;
        look();
        look();
        EXPECT_EQ(r.calls, calls_then);
    }
}

TEST_P(io_watch_test, quiet_descriptors_do_not_turn_the_loop) {
    ends one = make_pair(), two = make_pair(), three = make_pair();
    recorder reads, none, hung_up;
    ASSERT_FALSE(reads.open(loop, one.here.get(), rd));
    ASSERT_FALSE(none.open(loop, two.here.get()));
    ASSERT_FALSE(hung_up.open(loop, three.here.get()));
    two.there_sends();
    three.there.reset();
    auto stop = [&] { loop.stop(); };
    timer t(loop, delegate<void()>::of(stop));
    t.arm_in(30ms);
    loop.run();
    EXPECT_LE(loop.turns(), 4u);
    EXPECT_EQ(reads.calls + none.calls + hung_up.calls, 0);
}

TEST_P(io_watch_test, many_ready_at_once_are_all_served) {
    constexpr std::size_t n = 300;  // more than one batch of epoll's
    std::vector<ends> pairs;
    std::vector<std::unique_ptr<recorder>> watches;
    for (std::size_t i = 0; i < n; ++i) {
        pairs.push_back(make_pair());
        watches.push_back(std::make_unique<recorder>());
        ASSERT_FALSE(watches.back()->open(loop, pairs.back().here.get(), rd));
        pairs.back().there_sends();
    }
    look();
    look();
    look();
    for (auto& w : watches)
        EXPECT_GE(w->calls, 1);
}

TEST_P(io_watch_test, descriptor_that_is_none_is_an_error) {
    recorder r;
    const error e = r.open(loop, no_fd, rd);
    EXPECT_TRUE(e);
    EXPECT_FALSE(r.watch.is_open());
    ends pair = make_pair();
    EXPECT_FALSE(r.open(loop, pair.here.get(), rd));  // as good as new
}

TEST_P(io_watch_test, descriptor_watched_twice_is_an_error) {
    ends e = make_pair();
    recorder a, b;
    EXPECT_FALSE(a.open(loop, e.here.get(), rd));
    EXPECT_TRUE(b.open(loop, e.here.get(), rd));
    EXPECT_FALSE(b.watch.is_open());
}

using io_watch_death_test = io_watch_test;
INSTANTIATE_TEST_SUITE_P(over, io_watch_death_test, testing::ValuesIn(real_backends()),
                         backend_name);

TEST_P(io_watch_death_test, spinning_names_the_descriptor) {
    if (!debug_build) GTEST_SKIP() << "the detector is in debug builds only";
    ends e = make_pair();
    recorder r;
    ASSERT_FALSE(r.open(loop, e.here.get(), rd));
    e.there_sends();
    EXPECT_DEATH(loop.run(), "the event loop spins: the watch of descriptor " +
                                 std::to_string(e.here.get()) + " ran last");
}

TEST_P(io_watch_death_test, open_watch_when_its_loop_dies_is_a_bug) {
    EXPECT_DEATH(
        {
            ends e = make_pair();
            recorder r;
            auto dying = std::make_unique<event_loop>(make_poller(GetParam()));
            if (!r.open(*dying, e.here.get(), rd)) dying.reset();
        },
        "an open watch outlives its loop");
}

}  // namespace
}  // namespace libp
