// The receiving half alone: any order, any overlap, any cut, against a plain array of bytes.

#include <libp/block.h>
#include <support/seed.h>

#include <gtest/gtest.h>

#include <string>

#include "stripe/receive_stream.h"

namespace libp::stripe {
namespace {

struct receive_stream_test : ::testing::Test {
    block_pool blocks{0};

    chain piece_of(std::string_view text, std::size_t block_size = 0) {
        block_ref b = blocks.take(std::max(text.size(), block_size));
        std::copy(text.begin(), text.end(), b->data());
        b->set_used(text.size());
        chain c;
        const std::uint8_t* at = b->data();
        c.append(slice{std::move(b), at, text.size()});
        return c;
    }
};

TEST_F(receive_stream_test, every_order_and_overlap) {
    for (std::uint64_t seed : test_seeds(300)) {
        SCOPED_TRACE(seed_note(seed));
        test_random random(seed);
        const std::string all = random.text(1 + random.below(random.one_in(3) ? 40 : 100'000));
        receive_stream r;
        r.window.limit = all.size();
        r.window.size = 1 << 20;
        r.window.open = true;
        std::string got(all.size(), '?');
        std::string came(all.size(), '\0');
        std::string read;
        bool fin = false;
        const auto take = [&] {
            chain c;
            r.ready().move_front(c, random.below(r.ready().size() + 1));
            r.window.consumed += c.size();
            read += c.to_string();
        };
        // Random pieces, then whatever is missing.
        for (std::size_t i = 0; !r.complete(); ++i) {
            std::size_t at = random.below(all.size() + 1);
            if (i > 40) at = r.next();
            const std::size_t n = random.below(std::min<std::size_t>(all.size() - at, 30'000) + 1);
            const bool last = at + n == all.size();
            if (n == 0 && !last) continue;
            const bool had_all = came.substr(at, n) == std::string(n, '\1') && (!last || fin);
            bool repeated = false;
            ASSERT_EQ(r.accept(blocks, at, piece_of(all.substr(at, n)), last, repeated),
                      receive_stream::verdict::ok);
            if (had_all) {
                EXPECT_TRUE(repeated);
            }
            came.replace(at, n, n, '\1');
            fin |= last;
            r.check_invariants();
            EXPECT_EQ(r.next(), std::min(came.find('\0'), all.size()));
            EXPECT_EQ(r.held() + read.size(),
                      static_cast<std::size_t>(std::count(came.begin(), came.end(), '\1')));
            if (random.one_in(3)) take();
        }
        while (!r.complete() || !r.ready().empty())
            take();
        EXPECT_EQ(read, all);
    }
    EXPECT_EQ(blocks.in_use(), 0u);
}

TEST_F(receive_stream_test, what_is_parked_is_what_an_ack_says) {
    receive_stream r;
    r.window.limit = 1000;
    r.window.size = 1000;
    r.window.open = true;
    bool repeated = false;
    for (std::uint64_t at : {20u, 10u, 40u, 15u})
        r.accept(blocks, at, piece_of("12345"), false, repeated);
    const auto parked = r.parked(64);
    ASSERT_EQ(parked.size(), 2u);
    EXPECT_EQ(parked[0].begin, 10u);
    EXPECT_EQ(parked[0].end, 25u);
    EXPECT_EQ(parked[1].begin, 40u);
    EXPECT_EQ(parked[1].end, 45u);
    EXPECT_EQ(r.parked(1).size(), 1u);
    EXPECT_FALSE(repeated);
}

// Small pieces in large blocks, in order or not, hold little more memory than their bytes.
TEST_F(receive_stream_test, small_pieces_do_not_hold_large_blocks) {
    for (bool in_order : {true, false}) {
        receive_stream r;
        r.window.limit = r.window.size = 1 << 20;
        r.window.open = true;
        bool repeated = false;
        const std::uint64_t from = in_order ? 0 : 1;
        for (std::uint64_t i = 0; i < 1000; ++i)
            r.accept(blocks, from + i * 100, piece_of(std::string(100, 'x'), 256 * kib), false,
                     repeated);
        EXPECT_EQ(r.held(), 100'000u);
        EXPECT_LE(blocks.in_use(), 2 * r.held() + 64 * kib) << in_order;
    }
    EXPECT_EQ(blocks.in_use(), 0u);
}

// Every second byte, and then the others: what meets is joined, however it came to lie apart.
TEST_F(receive_stream_test, small_pieces_that_meet_do_not_hold_a_block_each) {
    constexpr std::uint64_t size = 64 * kib, run = 64;
    for (const int order : {0, 1, 2}) {
        receive_stream r;
        r.window.limit = r.window.size = size + 1;
        r.window.open = true;
        bool repeated = false;
        const auto come = [&](std::uint64_t at) {
            ASSERT_EQ(r.accept(blocks, at, piece_of("x"), false, repeated),
                      receive_stream::verdict::ok);
        };
        for (std::uint64_t n = 0; n < size / run; ++n) {
            const std::uint64_t from = order == 2 ? size - (n + 1) * run : n * run;
            const std::uint64_t gap = order == 0 ? 0 : 1;  // below the first: nothing is in order
            for (std::uint64_t i = 1; i < run; i += 2)
                come(from + i + gap);
            for (std::uint64_t i = 0; i < run; i += 2)
                come(from + (order == 2 ? run - 2 - i : i) + gap);
        }
        r.check_invariants();
        EXPECT_EQ(r.held(), size);
        EXPECT_LE(blocks.in_use(), 4 * size) << "order " << order;
    }
}

// Runs of pieces of three sizes, those of each size by themselves, forwards or backwards, and each
// in a large block.
TEST_F(receive_stream_test, no_pattern_of_pieces_holds_many_times_its_bytes) {
    constexpr std::size_t sizes[] = {1, 2, 511, 512, 513, 4095, 4096, 4097, 16384, 65535};
    for (std::uint64_t seed : test_seeds(100)) {
        SCOPED_TRACE(seed_note(seed));
        test_random random(seed);
        receive_stream r;
        r.window.limit = r.window.size = 2 * mib;
        r.window.open = true;
        std::size_t size[3];
        for (std::size_t& n : size)
            n = sizes[random.below(std::size(sizes))];
        const std::size_t all = size[0] + size[1] + size[2], run = 1 + random.below(60);
        const std::size_t groups = std::min<std::size_t>(1000, (r.window.limit - 1) / all);
        const bool backwards = random.one_in(2);
        const std::uint64_t base = random.below(2);
        for (std::size_t first = 0; first + run <= groups; first += run) {
            for (const std::size_t which : {2u, 0u, 1u}) {
                for (std::size_t i = first; i < first + run; ++i) {
                    std::uint64_t at = base + (backwards ? groups - 1 - i : i) * all;
                    for (std::size_t before = 0; before < which; ++before)
                        at += size[before];
                    bool repeated = false;
                    ASSERT_EQ(
                        r.accept(blocks, at, piece_of(std::string(size[which], 'x'), 256 * kib),
                                 false, repeated),
                        receive_stream::verdict::ok);
                }
            }
            // The pool's smallest blocks come in eighths of each other.
            ASSERT_LE(blocks.in_use(), 9 * r.held() + 64 * kib);
        }
        r.check_invariants();
    }
}

TEST_F(receive_stream_test, a_lone_byte_does_not_hold_a_large_block) {
    receive_stream r;
    r.window.limit = r.window.size = 1 << 20;
    r.window.open = true;
    bool repeated = false;
    r.accept(blocks, 0, piece_of("x", 256 * kib), false, repeated);
    EXPECT_LE(blocks.in_use(), 512u);
}

}  // namespace
}  // namespace libp::stripe
