// Subflows that are dealt anew while a session lives.

#include <libp/stripe/dialer.h>

#include "stripe_node/real_world.h"

namespace libp::stripe {
namespace {

// Where the connections of a path come to the server.
struct door {
    door(event_loop& loop, server& behind, const std::string& at)
        : to(behind),
          listener(loop, *listen_on(*socket_address::from_path(at)),
                   io_listener::accepted::to<&door::on_accept>(*this), {}) {}
    void on_accept(unique_fd fd, const socket_address& from) {
        ++came;
        to.on_accept(std::move(fd), from);
    }

    server& to;
    std::size_t came = 0;
    io_listener listener;
};

constexpr duration trial = 200ms;

// Paths to one server, two subflows on each. They are UNIX sockets, of which the system has nothing
// to say: what limits them is what a test says.
struct some_paths : real_world {
    explicit some_paths(const std::vector<std::string>& all = {"full", "lossy"},
                        dialer_options o = {.trial = trial})
        : s(loop) {
        std::vector<path> to;
        for (const std::string& name : all) {
            const std::string at = folder.path + "/" + name;
            doors.push_back(std::make_unique<door>(loop, s, at));
            to.push_back({*endpoint::parse(at), {}, name});
        }
        o.subflows = 2 * all.size();
        d = std::make_unique<dialer>(loop, names, client.it, client.out, to, o);
        EXPECT_TRUE(run([&] { return d->up() == o.subflows; }));
    }

    std::size_t up(std::string_view path) const {
        std::size_t n = 0;
        for (const subflow_info& i : client.it.subflows())
            n += i.up && i.path == path;
        return n;
    }
    bool dealt(std::size_t full, std::size_t lossy) {
        return run([&] { return up("full") == full && up("lossy") == lossy; });
    }
    std::size_t deals() const { return client.lines.count("state=dealt"); }
    // Of a path's two subflows. Places are dealt in turn over the paths.
    void say(std::size_t path, subflow_limit limit) {
        for (const std::uint64_t round : {0, 1})
            d->subflow_limited(round * doors.size() + path, limit);
    }
    // As the system would say it of them in time.
    void hold_back_lossy(bool newcomer = false) {
        say(0, subflow_limit::path);
        say(doors.size() - 1, subflow_limit::window);
        if (newcomer) d->subflow_limited(2 * doors.size(), subflow_limit::window);
    }

    std::unique_ptr<talker> talk(std::uint64_t size) {
        return std::make_unique<talker>(loop, client.it.open_stream({}, 5s),
                                        talker::plan{.to_send = size});
    }
    static constexpr std::uint64_t endless = 100'000'000'000;
    // All the time before it as much as goes is carried, and nothing afterwards.
    void deal_that_does_not_pay(std::size_t lossy = 3) {
        const auto much = talk(endless);
        ASSERT_TRUE(dealt(1, lossy));
        much->pipe().reset();
    }
    // A deal that pays, however slow the machine is: little is carried before it, and all the time
    // afterwards.
    std::unique_ptr<talker> deal_that_pays() {
        little = talk(200'000);
        EXPECT_TRUE(dealt(1, 3));
        return talk(endless);
    }

    scratch_folder folder;
    server s;
    std::vector<std::unique_ptr<door>> doors;
    std::unique_ptr<dialer> d;
    std::unique_ptr<talker> little;
};

TEST(Redealing, AFullPathGivesOneToALossyOne) {
    some_paths w;
    w.hold_back_lossy();
    const auto t = w.deal_that_pays();
    // It paid, so it stays; and the last one is not given away.
    w.run([&] { return false; }, 2 * trial);
    w.hold_back_lossy(true);
    EXPECT_FALSE(w.run([&] { return w.d->up() != 4; }, 3 * trial));
    EXPECT_EQ(w.up("full"), 1u);
    EXPECT_EQ(w.deals(), 1u);
}

TEST(Redealing, NothingIsDealtWhereNothingIsCarried) {
    some_paths w;
    for (int i = 0; i < 3; ++i) {
        w.hold_back_lossy();
        EXPECT_FALSE(w.run([&] { return w.up("full") != 2; }, 2 * trial));
    }
    EXPECT_EQ(w.deals(), 0u);
}

TEST(Redealing, ANewcomerThatDiesIsReplaced) {
    some_paths w;
    w.hold_back_lossy();
    const auto t = w.deal_that_pays();
    constexpr std::uint64_t newcomer = 4;
    w.client.it.drop(*w.d, newcomer);
    ASSERT_TRUE(w.run([&] { return w.d->up() == 3; }));
    EXPECT_TRUE(w.dealt(1, 3)) << "it is dialled again, and costs nobody his place";
    EXPECT_FALSE(w.run([&] { return w.d->up() != 4; }, 3 * trial));
}

TEST(Redealing, WhatDidNotPayIsUndone) {
    some_paths w;
    w.hold_back_lossy();
    w.deal_that_does_not_pay();
    ASSERT_TRUE(w.dealt(2, 2));
    // And not tried again soon.
    w.hold_back_lossy();
    EXPECT_FALSE(w.run([&] { return w.up("full") != 2; }, 1s));
}

// What was said while the trial ran still holds, and nobody says it again.
TEST(Redealing, WhatDidNotPayIsTriedAgainInTime) {
    some_paths w({"full", "lossy"}, {.trial = trial, .no_trial = 2s});
    w.hold_back_lossy();
    w.deal_that_does_not_pay();
    w.hold_back_lossy(true);
    ASSERT_TRUE(w.dealt(2, 2));
    const auto second = w.talk(some_paths::endless);
    const std::size_t before = w.deals();
    EXPECT_FALSE(w.run([&] { return w.deals() > before; }, 1500ms));
    EXPECT_TRUE(w.run([&] { return w.deals() > before; }, 5s));
}

// Somebody else could give for a while, and then could not: that must not make anybody forget whose
// ban ends.
TEST(Redealing, ATrialThatCameToNothingForgetsNobody) {
    some_paths w({"full", "other", "lossy"}, {.trial = trial, .no_trial = 2s});
    w.hold_back_lossy();
    w.deal_that_does_not_pay();
    w.hold_back_lossy(true);
    ASSERT_TRUE(w.dealt(2, 2));
    const auto second = w.talk(some_paths::endless);
    const std::size_t before = w.deals();
    w.say(1, subflow_limit::path);
    w.run([] { return false; }, trial / 2);
    w.say(1, subflow_limit::unknown);
    EXPECT_FALSE(w.run([&] { return w.deals() > before; }, 1s));
    EXPECT_TRUE(w.run([&] { return w.deals() > before; }, 5s));
    EXPECT_EQ(w.up("other"), 2u);
}

// Both are to have theirs back from the path that got them.
TEST(Redealing, TwoThatAreUndoneLeaveTwoPlaces) {
    some_paths w({"full", "other", "lossy"});
    w.hold_back_lossy();
    w.say(1, subflow_limit::path);
    w.deal_that_does_not_pay(4);
    ASSERT_TRUE(w.run([&] { return w.up("other") == 1; }));
    EXPECT_TRUE(w.dealt(2, 2));
    EXPECT_TRUE(w.run([&] { return w.up("other") == 2; }));
    EXPECT_FALSE(w.run([&] { return w.d->up() != 6; }, 2 * trial));
}

// It comes when the trial is over, and is not wanted any more. Meanwhile its path was lost, and it
// is the first that comes through: the others must hear of it, who would have waited for hours.
TEST(Redealing, ANewcomerThatComesTooLateWakesThoseWhoWaitForItsPath) {
    some_paths w({"full", "lossy"},
                 {.first_wait = 1h, .longest_wait = 1h, .longest_wait_in_use = 1h, .trial = trial});
    door& lossy = *w.doors[1];
    w.hold_back_lossy();
    lossy.listener.pause();  // who dials comes through, and finds nobody
    const auto t = w.talk(some_paths::endless);
    ASSERT_TRUE(w.run([&] { return w.deals() == 1; }));
    for (const std::uint64_t token : {1, 3})
        w.client.it.drop(*w.d, token);
    ASSERT_TRUE(w.run([&] { return w.up("lossy") == 0; }));
    w.run([] { return false; }, 3 * trial);
    lossy.listener.resume();
    ASSERT_TRUE(w.run([&] { return lossy.came == 5; })) << lossy.came;
    EXPECT_TRUE(w.dealt(2, 2));
    EXPECT_FALSE(w.run([&] { return w.d->up() != 4; }, 2 * trial));
}

TEST(Redealing, NothingIsLostByIt) {
    some_paths w({"full", "lossy"}, {.trial = 20ms});
    w.s.end->answer.to_send = 100'000'000'000;
    talker t(w.loop, w.client.it.open_stream({}, 5s), {.to_send = 100'000'000'000});
    w.hold_back_lossy();
    ASSERT_TRUE(w.run([&] { return w.up("full") == 1; }));
    t.end_here();
    w.s.end->talkers[0]->end_here();
    ASSERT_TRUE(w.run([&] { return t.finished() && w.s.end->talkers[0]->finished(); }));
    EXPECT_TRUE(t.exact() && w.s.end->talkers[0]->exact());
}

}  // namespace
}  // namespace libp::stripe
