// Credit: whatever streams do, the sum of grants stays within the budget and nobody starves.

#include <support/seed.h>

#include <gtest/gtest.h>

#include <deque>

#include "stripe/credit.h"

namespace libp::stripe {
namespace {

TEST(credit, random_life_within_the_budget) {
    for (std::uint64_t seed : test_seeds(100)) {
        SCOPED_TRACE(seed_note(seed));
        test_random random(seed);
        const std::uint64_t budget = (1 + random.below(64)) * 256 * kib;
        const std::uint64_t floor = 1 * kib << random.below(4);
        credit c(budget, floor, 256 * kib, 4 * mib,
                 static_cast<std::uint32_t>(1 + random.below(2000)));
        std::deque<window> open;
        for (int i = 0; i < 3000; ++i) {
            if (open.empty() || random.one_in(6)) {
                window w;
                if (c.admit(w, random.one_in(2) ? floor : 0)) {
                    open.push_back(w);
                } else {
                    EXPECT_GT(c.charged() + floor, budget) << "there was room";
                }
            }
            if (open.empty()) continue;
            window& w = open[random.below(open.size())];
            const std::uint64_t before = w.limit;
            switch (random.below(6)) {
                case 0:
                    c.grant_first(w);
                    break;
                case 1:
                    c.grow(w);
                    break;
                case 2:
                    if (random.one_in(4))
                        c.finish(w, w.consumed + random.below(w.outstanding() + 1));
                    break;
                case 3:
                    if (random.one_in(3)) {
                        c.release(w);
                        std::swap(w, open.back());
                        open.pop_back();
                    }
                    break;
                default: {
                    const bool told = c.consume(
                        w, random.one_in(2) ? w.outstanding() : random.below(w.outstanding() + 1));
                    EXPECT_EQ(told, w.limit != before);
                    // Who has read everything can always go on.
                    if (!w.final) {
                        EXPECT_GT(w.outstanding(), 0u);
                    }
                }
            }
            std::uint64_t granted = 0;
            for (const window& o : open)
                granted += o.outstanding();
            ASSERT_EQ(granted, c.granted());
            ASSERT_LE(c.granted(), c.charged());
            ASSERT_LE(c.charged(), budget);
        }
        for (window& w : open)
            c.release(w);
        EXPECT_EQ(c.charged(), 0u);
    }
}

TEST(credit, a_window_doubles_up_to_its_bound) {
    credit c(64 * mib, 4 * kib, 256 * kib, 16 * mib, 100);
    window w;
    ASSERT_TRUE(c.admit(w, 4 * kib));
    c.grant_first(w);
    EXPECT_EQ(w.limit, 256 * kib);
    for (std::uint64_t size = 512 * kib; size <= 16 * mib; size *= 2) {
        EXPECT_TRUE(c.grow(w));
        EXPECT_EQ(w.limit, size);
    }
    EXPECT_FALSE(c.grow(w));
}

TEST(credit, newcomers_find_room_beside_a_giant) {
    credit c(64 * mib, 4 * kib, 256 * kib, 64 * mib, 16384);
    window giant;
    ASSERT_TRUE(c.admit(giant, 0));
    c.grant_first(giant);
    while (c.grow(giant)) {
    }
    EXPECT_GE(giant.outstanding(), 32 * mib);
    std::deque<window> small(4000);
    for (window& w : small) {
        ASSERT_TRUE(c.admit(w, 4 * kib));
        c.grant_first(w);
    }
}

TEST(credit, what_a_stream_does_not_need_comes_back) {
    credit c(1 * mib, 4 * kib, 256 * kib, 1 * mib, 4);
    window w;
    ASSERT_TRUE(c.admit(w, 0));
    c.grant_first(w);
    c.finish(w, 10);
    EXPECT_EQ(c.granted(), 10u);
    EXPECT_FALSE(c.consume(w, 10));
    EXPECT_EQ(c.charged(), 0u);
    c.release(w);
}

}  // namespace
}  // namespace libp::stripe
