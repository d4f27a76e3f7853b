// Subflows that are dealt anew while a session lives.

#include <libp/stripe/dialer.h>

#include "stripe_node/real_world.h"

namespace libp::stripe {
namespace {

// Two paths to one server, two subflows on each.
struct two_paths : real_world {
    explicit two_paths(duration t = 200ms, duration no_trial = 60s)
        : trial(t),
          s(loop),
          d(loop, names, client.it, client.out, {{s.where(), {}, "full"}, {s.where(), {}, "lossy"}},
            {.subflows = 4, .trial = t, .no_trial = no_trial}) {}

    std::size_t up(std::string_view path) const {
        std::size_t n = 0;
        for (const subflow_info& i : client.it.subflows())
            n += i.up && i.path == path;
        return n;
    }
    bool dealt(std::size_t full, std::size_t lossy) {
        return run([&] { return up("full") == full && up("lossy") == lossy; });
    }
    // As the system would say it of them in time. Places are dealt in turn over the paths, and 4 is the first newcomer.
    void hold_back_lossy(bool newcomer = false) {
        for (const std::uint64_t token : {0, 2})
            d.subflow_limited(token, subflow_limit::path);
        for (const std::uint64_t token : {1, 3})
            d.subflow_limited(token, subflow_limit::window);
        if (newcomer) d.subflow_limited(4, subflow_limit::window);
    }

    // So that much more is carried afterwards than before.
    std::unique_ptr<talker> talk_late_in_the_trial() {
        run([] { return false; }, trial * 3 / 4);
        return std::make_unique<talker>(loop, client.it.open_stream({}, 5s),
                                        talker::plan{.to_send = 100'000'000'000});
    }

    const duration trial;
    server s;
    dialer d;
};

TEST(Redealing, AFullPathGivesOneToALossyOne) {
    two_paths w;
    ASSERT_TRUE(w.run([&] { return w.d.up() == 4; }));
    w.hold_back_lossy();
    const auto t = w.talk_late_in_the_trial();
    EXPECT_TRUE(w.dealt(1, 3));
    // It paid, so it stays; and the last one is not given away.
    w.run([&] { return false; }, 2 * w.trial);
    w.hold_back_lossy(true);
    EXPECT_FALSE(w.run([&] { return w.d.up() != 4; }, 3 * w.trial));
    EXPECT_EQ(w.up("full"), 1u);
    EXPECT_EQ(w.client.lines.count("state=dealt"), 1u);
}

TEST(Redealing, NothingIsDealtWhereNothingIsCarried) {
    two_paths w;
    ASSERT_TRUE(w.run([&] { return w.d.up() == 4; }));
    for (int i = 0; i < 3; ++i) {
        w.hold_back_lossy();
        EXPECT_FALSE(w.run([&] { return w.up("full") != 2; }, 2 * w.trial));
    }
    EXPECT_EQ(w.client.lines.count("state=dealt"), 0u);
}

TEST(Redealing, ANewcomerThatDiesIsReplaced) {
    two_paths w;
    ASSERT_TRUE(w.run([&] { return w.d.up() == 4; }));
    w.hold_back_lossy();
    const auto t = w.talk_late_in_the_trial();
    ASSERT_TRUE(w.dealt(1, 3));
    constexpr std::uint64_t newcomer = 4;
    w.client.it.drop(w.d, newcomer);
    ASSERT_TRUE(w.run([&] { return w.d.up() == 3; }));
    EXPECT_TRUE(w.dealt(1, 3)) << "it is dialled again, and costs nobody his place";
    EXPECT_FALSE(w.run([&] { return w.d.up() != 4; }, 3 * w.trial));
}

TEST(Redealing, WhatDidNotPayIsUndone) {
    two_paths w;
    ASSERT_TRUE(w.run([&] { return w.d.up() == 4; }));
    w.hold_back_lossy();
    // Everything is carried before, so that afterwards it is less.
    talker t(w.loop, w.client.it.open_stream({}, 5s), {.to_send = 1'000'000});
    ASSERT_TRUE(w.dealt(1, 3));
    ASSERT_TRUE(w.dealt(2, 2));
    // And not tried again soon.
    w.hold_back_lossy();
    EXPECT_FALSE(w.run([&] { return w.up("full") != 2; }, 1s));
    EXPECT_TRUE(t.exact());
}

TEST(Redealing, WhatDidNotPayIsTriedAgainInTime) {
    two_paths w(200ms, 2s);
    ASSERT_TRUE(w.run([&] { return w.d.up() == 4; }));
    w.hold_back_lossy();
    talker first(w.loop, w.client.it.open_stream({}, 5s), {.to_send = 1'000'000});
    ASSERT_TRUE(w.dealt(1, 3));
    ASSERT_TRUE(w.dealt(2, 2));
    const std::size_t dealt = w.client.lines.count("state=dealt");
    // Nobody says it again, nor does the system yet when there is something to carry.
    w.hold_back_lossy(true);
    EXPECT_FALSE(w.run([&] { return w.client.lines.count("state=dealt") > dealt; }, 1850ms));
    talker second(w.loop, w.client.it.open_stream({}, 5s), {.to_send = 100'000'000'000});
    EXPECT_TRUE(w.run([&] { return w.client.lines.count("state=dealt") > dealt; }, 5s));
}

TEST(Redealing, NothingIsLostByIt) {
    two_paths w(20ms);
    w.s.end->answer.to_send = 50'000'000;
    ASSERT_TRUE(w.run([&] { return w.d.up() == 4; }));
    talker t(w.loop, w.client.it.open_stream({}, 5s), {.to_send = 50'000'000});
    // The system has its say, too, so it may have to be said again.
    EXPECT_TRUE(w.run([&] {
        w.hold_back_lossy();
        return w.client.lines.count("state=dealt") > 0 && w.up("full") != 2;
    }));
    EXPECT_FALSE(t.finished());
    ASSERT_TRUE(w.run([&] { return t.finished() && w.s.end->talkers[0]->finished(); }));
    EXPECT_TRUE(t.exact() && w.s.end->talkers[0]->exact());
}

}  // namespace
}  // namespace libp::stripe
