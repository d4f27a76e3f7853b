// What limits a subflow: the verdict, and how the peer hears of it; and who gives subflows to whom.

#include <gtest/gtest.h>

#include "stripe/limit_judge.h"
#include "stripe/raw_peer.h"
#include "stripe/redeal.h"

namespace libp::stripe {
namespace {

constexpr instant now{1000s};
constexpr std::size_t allowance = 100 * kib;
constexpr tcp_state held_back{.rtt = 44ms, .rtt_min = 40ms, .unsent = 7 * kib};
constexpr tcp_state queueing{.rtt = 80ms, .rtt_min = 40ms, .unsent = 7 * kib};
constexpr tcp_state full{.rtt = 80ms, .rtt_min = 40ms};

TEST(LimitJudge, SixOfEightLooksMakeAVerdict) {
    limit_judge j;
    for (int i = 0; i < 5; ++i)
        EXPECT_FALSE(j.look(held_back, allowance, allowance, now));
    EXPECT_TRUE(j.look(held_back, allowance, allowance, now));
    EXPECT_EQ(j.verdict(), subflow_limit::window);
    for (int i = 0; i < 5; ++i)
        j.look(full, allowance, allowance, now);
    EXPECT_EQ(j.verdict(), subflow_limit::window) << "three of eight still say so";
    EXPECT_TRUE(j.look(full, allowance, allowance, now));
    EXPECT_EQ(j.verdict(), subflow_limit::path);
}

TEST(LimitJudge, AQueueThatStandsWhileBytesWaitSaysNothing) {
    limit_judge j;
    for (int i = 0; i < 20; ++i)
        EXPECT_FALSE(j.look(queueing, allowance, allowance, now));
    for (int i = 0; i < 6; ++i)
        j.look(full, allowance, allowance, now);
    EXPECT_EQ(j.verdict(), subflow_limit::path);
    for (int i = 0; i < 5; ++i)
        EXPECT_FALSE(j.look(queueing, allowance, allowance, now));
    EXPECT_TRUE(j.look(queueing, allowance, allowance, now));
    EXPECT_EQ(j.verdict(), subflow_limit::unknown);
}

TEST(LimitJudge, AfterAPauseItIsJudgedAnewAndSaidAnew) {
    limit_judge j;
    for (int i = 0; i < 8; ++i)
        j.look(held_back, allowance, allowance, now);
    EXPECT_FALSE(j.look(held_back, allowance, allowance, now + 900ms));
    EXPECT_TRUE(j.look(held_back, allowance, allowance, now + 2s));
    EXPECT_EQ(j.verdict(), subflow_limit::unknown);
    for (int i = 0; i < 4; ++i)
        EXPECT_FALSE(j.look(held_back, allowance, allowance, now + 2s));
    EXPECT_TRUE(j.look(held_back, allowance, allowance, now + 2s));
    EXPECT_EQ(j.verdict(), subflow_limit::window);
}

TEST(LimitJudge, OneWithLittleToSendIsNotLookedAt) {
    limit_judge j;
    for (int i = 0; i < 20; ++i)
        EXPECT_FALSE(j.look(full, allowance / 2 - 1, allowance, now));
    EXPECT_EQ(j.verdict(), subflow_limit::unknown);
}

TEST(Limit, AVerdictIsTold) {
    raw_peer p;
    for (int i = 0; i < 6; ++i)
        p.e.look_at(2, held_back, p.now);
    const auto events = p.events();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].what, event::kind::subflow_limited);
    EXPECT_EQ(events[0].subflow, 2u);
    EXPECT_EQ(p.e.stats(2).limit, subflow_limit::window);
    EXPECT_EQ(p.e.stats(1).limit, subflow_limit::unknown);
    EXPECT_TRUE(p.frames(1).empty());
    const auto sent = p.frames(2);
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].head.type, wire::type::limit);
    EXPECT_EQ(sent[0].head.aux, 1);
    EXPECT_EQ(p.e.stats(2).in_flight, 0u) << "nobody has to confirm it";
}

TEST(Limit, ThePeersVerdictIsTakenOnce) {
    raw_peer p;
    const wire::header full_path{.type = wire::type::limit, .aux = 2};
    EXPECT_FALSE(p.send(full_path));
    EXPECT_FALSE(p.send(full_path));
    EXPECT_EQ(p.events().size(), 1u);
    EXPECT_EQ(p.e.stats(1).peer_limit, subflow_limit::path);
    EXPECT_FALSE(p.send({.type = wire::type::limit, .aux = 7}));
    EXPECT_EQ(p.e.stats(1).peer_limit, subflow_limit::unknown);
    EXPECT_EQ(p.events().size(), 1u);
    EXPECT_TRUE(p.send({.type = wire::type::limit, .stream = 2})) << "it is of no stream";
}

using moves = std::vector<std::pair<std::size_t, std::size_t>>;

TEST(Redeal, FromThoseThatAreFullToThoseHeldBack) {
    const dealt_path spare{.up = 2, .path = 2}, needy{.up = 2, .window = 2};
    EXPECT_EQ(redeal({spare, needy, spare}), (moves{{0, 1}, {2, 1}}));
    EXPECT_EQ(redeal({needy, spare, spare, needy}), (moves{{1, 0}, {2, 3}}));
    EXPECT_EQ(redeal({needy, needy}), moves{});
    EXPECT_EQ(redeal({spare, spare}), moves{});
    EXPECT_EQ(redeal({}), moves{});
}

TEST(Redeal, WhoDoesNotGiveOrTake) {
    const dealt_path spare{.up = 2, .path = 2}, needy{.up = 2, .window = 2};
    const dealt_path only_one{.up = 1, .path = 1};
    const dealt_path partly{.up = 3, .window = 1, .path = 2};
    const dealt_path untold{.up = 2};
    const dealt_path down{};
    dealt_path fixed = spare, bitten = spare, backup = spare, fixed_needy = needy;
    fixed.fixed = bitten.keeps = fixed_needy.fixed = true;
    backup.rank = 1;
    for (const dealt_path& p : {only_one, partly, untold, down, fixed, bitten, backup})
        EXPECT_EQ(redeal({p, needy}), moves{});
    for (const dealt_path& p : {only_one, partly, untold, down, fixed_needy})
        EXPECT_EQ(redeal({spare, p}), moves{});
}

}  // namespace
}  // namespace libp::stripe
