// The sending half of a stream, by itself.

#include "stripe/send_stream.h"

#include <gtest/gtest.h>

#include <string>

namespace libp::stripe {
namespace {

constexpr std::size_t window = 64 * kib;

struct sender {
    // `n` fragments of ten bytes each were sent.
    explicit sender(std::size_t n) : it(10 * n) {
        chain text;
        text.append_copy(blocks, bytes_of(std::string(10 * n, 'x')));
        it.write(blocks, text, text.size());
        for (std::size_t i = 0; i < n; ++i)
            it.take_new(10, window);
    }
    block_pool blocks;
    send_stream it;
};

// A peer that never confirms the first fragment, however much it confirms of the rest, costs no
// memory but the first's.
TEST(send_stream, what_is_delivered_is_forgotten_wherever_it_stands) {
    sender one_by_one(1000);
    for (std::uint64_t at = 10; at < 10'000; at += 10)
        EXPECT_EQ(one_by_one.it.delivered(*one_by_one.it.find(at)), 10u);
    EXPECT_EQ(one_by_one.it.outstanding().size(), 1u);
    EXPECT_EQ(one_by_one.it.unconfirmed(), 10u);

    sender by_ranges(1000);
    EXPECT_EQ(by_ranges.it.acknowledged(0, {{10, 5'000}, {5'005, 10'000}}), 9'980u);
    EXPECT_EQ(by_ranges.it.outstanding().size(), 2u)
        << "the first, and one that is covered in part";
    EXPECT_EQ(by_ranges.it.find(10), nullptr);
    EXPECT_EQ(by_ranges.it.find(5'000)->size(), 10u);
    EXPECT_EQ(by_ranges.it.acknowledged(10'000, {}), 20u);
    EXPECT_TRUE(by_ranges.it.outstanding().empty());
}

TEST(send_stream, what_waits_to_be_sent_again_is_forgotten_too) {
    sender s(5);
    for (const std::uint64_t at : {10, 20, 30, 20})
        s.it.wait(*s.it.find(at));
    EXPECT_EQ(s.it.waiting_bytes(), 30u);
    EXPECT_EQ(s.it.delivered(*s.it.find(10)), 10u);
    EXPECT_EQ(s.it.next_waiting().offset, 20u);
    EXPECT_EQ(s.it.acknowledged(0, {{20, 30}}), 10u);
    EXPECT_EQ(s.it.take_waiting().offset, 30u);
    EXPECT_FALSE(s.it.has_waiting());
    EXPECT_EQ(s.it.waiting_bytes(), 0u);
    EXPECT_EQ(s.it.unconfirmed(), 30u);
}

TEST(send_stream, only_an_acknowledgement_of_it_covers_the_fin) {
    sender s(2);
    s.it.finish();
    EXPECT_TRUE(s.it.take_new(10, window).fin);
    EXPECT_EQ(s.it.acknowledged(20, {}), 20u);
    ASSERT_EQ(s.it.outstanding().size(), 1u);
    EXPECT_TRUE(s.it.find(20)->fin);
    EXPECT_EQ(s.it.fin_acknowledged(), 0u);
    EXPECT_TRUE(s.it.fin_acked());
}

}  // namespace
}  // namespace libp::stripe
