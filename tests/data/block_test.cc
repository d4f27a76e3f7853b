#include <gtest/gtest.h>
#include <libp/block.h>

#include <cstring>
#include <vector>

#include "support/seed.h"

namespace libp {
namespace {

TEST(block_test, sizes_come_in_classes) {
    block_pool pool;
    const std::pair<std::size_t, std::size_t> sizes[] = {
        {0, 512},
        {1, 512},
        {512, 512},
        {513, 4096},
        {4097, 16 * kib},
        {64 * kib, 64 * kib},
        {65537, 128 * kib},
        {128 * kib, 128 * kib},
        {128 * kib + 1, 256 * kib},
        {256 * kib, 256 * kib},
        {256 * kib + 1, 260 * kib},
        {mib, mib},
    };
    for (const auto& [asked, got] : sizes) {
        const block_ref b = pool.take(asked);
        EXPECT_EQ(b->capacity(), got) << asked;
        EXPECT_EQ(b->used(), 0u);
        EXPECT_FALSE(b->shared());
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(b->data()) % 16, 0u);
        EXPECT_EQ(pool.in_use(), got);
        std::memset(b->data(), 0x5a, b->capacity());
    }
    EXPECT_EQ(pool.in_use(), 0u);
}

TEST(block_test, the_last_reference_gives_it_back) {
    block_pool pool;
    block_ref a = pool.take(100);
    block_ref b = a;
    EXPECT_TRUE(a->shared());
    EXPECT_EQ(a, b);
    block_ref c = std::move(a);
    EXPECT_FALSE(a);
    EXPECT_TRUE(b->shared());
    b = block_ref();
    EXPECT_FALSE(c->shared());
    EXPECT_EQ(pool.in_use(), 512u);
    const block_ref& same = c;
    c = same;
    EXPECT_EQ(pool.in_use(), 512u);
    c = pool.take(5000);
    EXPECT_EQ(pool.in_use(), 16 * kib);
    EXPECT_EQ(pool.cached(), 512u);
}

TEST(block_test, a_freed_block_is_the_next_one_taken_and_comes_empty) {
    block_pool pool;
    block_ref a = pool.take(100);
    const block* const was = &*a;
    a->set_used(77);
    a = block_ref();
    const block_ref b = pool.take(512);
    EXPECT_EQ(&*b, was);
    EXPECT_EQ(b->used(), 0u);
    EXPECT_EQ(pool.cached(), 0u);
}

TEST(block_test, keeps_only_so_much) {
    block_pool pool(8 * kib);
    std::vector<block_ref> held;
    for (int i = 0; i < 5; ++i)
        held.push_back(pool.take(4 * kib));
    held.push_back(pool.take(mib));
    held.clear();
    EXPECT_EQ(pool.cached(), 8 * kib);
    EXPECT_EQ(pool.in_use(), 0u);
    pool.trim();
    EXPECT_EQ(pool.cached(), 0u);
}

TEST(block_death_test, a_pool_outlives_its_blocks) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(
        {
            block_ref kept;
            block_pool pool;
            kept = pool.take(1);
        },
        "died before its blocks");
}

TEST(block_test, the_accounts_balance) {
    for (const std::uint64_t seed : test_seeds(40)) {
        SCOPED_TRACE(seed_note(seed));
        test_random random(seed);
        const std::size_t keep = random.below(mib);
        block_pool pool(keep);
        std::vector<block_ref> held;
        std::size_t expected = 0;
        for (int step = 0; step < 400; ++step) {
            if (held.empty() || random.one_in(2)) {
                const std::size_t size = random.below(std::size_t{1} << random.below(20)) + 1;
                held.push_back(pool.take(size));
                ASSERT_GE(held.back()->capacity(), size);
                expected += held.back()->capacity();
                // Each writes all of its memory: overlapping blocks would show under ASan and
                // below.
                std::memset(held.back()->data(), static_cast<int>(step & 0xff), size);
                held.back()->set_used(size);
            } else if (random.one_in(4)) {
                held.push_back(held[random.below(held.size())]);
            } else {
                const auto at =
                    held.begin() + static_cast<std::ptrdiff_t>(random.below(held.size()));
                if (!(*at)->shared()) expected -= (*at)->capacity();
                held.erase(at);
            }
            ASSERT_EQ(pool.in_use(), expected);
            ASSERT_LE(pool.cached(), keep);
        }
        for (const block_ref& b : held) {
            EXPECT_EQ(std::memcmp(b->data(), b->data() + 1, b->used() - 1), 0);
        }
        held.clear();
        EXPECT_EQ(pool.in_use(), 0u);
    }
}

}  // namespace
}  // namespace libp
