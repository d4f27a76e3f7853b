#include <gtest/gtest.h>
#include <libp/varint.h>

#include <vector>

#include "support/seed.h"

namespace libp {
namespace {

using wire = std::vector<std::uint8_t>;

wire written(std::uint64_t value) {
    wire out(varint_max_size, 0xee);
    out.resize(write_varint(out.data(), value));
    return out;
}

TEST(varint_test, rfc_9000_examples) {
    const std::pair<wire, std::uint64_t> examples[] = {
        {{0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c}, 151288809941952652},
        {{0x9d, 0x7f, 0x3e, 0x7d}, 494878333},
        {{0x7b, 0xbd}, 15293},
        {{0x25}, 37},
    };
    for (const auto& [bytes_on_wire, value] : examples) {
        std::uint64_t read = 0;
        EXPECT_EQ(read_varint(bytes_on_wire, read), bytes_on_wire.size());
        EXPECT_EQ(read, value);
        EXPECT_EQ(written(value), bytes_on_wire);
    }
    // The appendix's longer form of 37: read, never written.
    std::uint64_t read = 0;
    EXPECT_EQ(read_varint(wire{0x40, 0x25}, read), 2u);
    EXPECT_EQ(read, 37u);
}

TEST(varint_test, the_edges_of_each_size) {
    const std::pair<std::uint64_t, std::size_t> edges[] = {
        {0, 1},        {63, 1},         {64, 2}, {16383, 2}, {16384, 4}, {(1u << 30) - 1, 4},
        {1u << 30, 8}, {varint_max, 8},
    };
    for (const auto& [value, size] : edges) {
        EXPECT_EQ(varint_size(value), size) << value;
        const wire w = written(value);
        EXPECT_EQ(w.size(), size) << value;
        EXPECT_EQ(varint_size_from(w[0]), size) << value;
        std::uint64_t read = ~value;
        EXPECT_EQ(read_varint(w, read), size);
        EXPECT_EQ(read, value);
    }
}

TEST(varint_test, random_numbers_come_back_and_a_cut_one_is_not_read) {
    for (const std::uint64_t seed : test_seeds(2000)) {
        SCOPED_TRACE(seed_note(seed));
        test_random random(seed);
        const std::uint64_t value = (random.below(varint_max) + 1) >> random.below(62);
        wire w = written(value);
        for (std::size_t cut = 0; cut < w.size(); ++cut) {
            std::uint64_t untouched = 12345;
            EXPECT_EQ(read_varint(bytes(w).first(cut), untouched), 0u);
            EXPECT_EQ(untouched, 12345u);
        }
        const std::size_t size = w.size();
        w.push_back(0xff);  // what follows is not looked at
        std::uint64_t read = 0;
        EXPECT_EQ(read_varint(w, read), size);
        EXPECT_EQ(read, value);
    }
}

TEST(varint_death_test, more_than_62_bits_is_a_bug) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(written(varint_max + 1), "62 bits");
}

}  // namespace
}  // namespace libp
