#include <gtest/gtest.h>
#include <libp/types.h>

#include <vector>

#include "stripe/memory_shares.h"
#include "support/seed.h"

namespace libp::stripe {
namespace {

TEST(MemoryShares, OneSessionOfManyGetsAQuarterAndMore) {
    memory_shares shares(256 * mib, 256);
    EXPECT_GE(shares.take(), 64 * mib);
}

TEST(MemoryShares, TheOnlyPossibleSessionGetsMostOfIt) {
    memory_shares shares(256 * mib, 1);
    EXPECT_GE(shares.take(), 128 * mib);
    EXPECT_FALSE(shares.available());
}

TEST(MemoryShares, NeverMoreThanTheBudgetAndNeverLessThanTheFloor) {
    for (std::uint64_t seed : test_seeds(20)) {
        SCOPED_TRACE(seed_note(seed));
        test_random random(seed);
        const std::size_t budget = 100 * mib + random.below(10 * mib);
        const std::size_t most = 1 + random.below(40);
        memory_shares shares(budget, most);
        std::vector<std::size_t> out;
        std::size_t sum = 0;
        for (int step = 0; step < 1000; ++step) {
            if (shares.available() && (out.empty() || !random.one_in(3))) {
                out.push_back(shares.take());
                sum += out.back();
                EXPECT_GE(out.back(), budget / 4 / most);
            } else {
                const std::size_t at = random.below(out.size());
                sum -= out[at];
                shares.give_back(out[at]);
                out.erase(out.begin() + static_cast<std::ptrdiff_t>(at));
            }
            ASSERT_LE(sum, budget);
            ASSERT_LE(out.size(), most);
        }
    }
}

}  // namespace
}  // namespace libp::stripe
