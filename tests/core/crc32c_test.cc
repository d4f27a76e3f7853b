#include <gtest/gtest.h>
#include <libp/crc32c.h>

#include <vector>

#include "crc32c_cpu.h"
#include "support/seed.h"

namespace libp {
namespace {

using summer = std::uint32_t (*)(std::uint32_t, bytes);
// The instruction by itself, as CPUs use it that cannot fold.
std::uint32_t by_instruction(std::uint32_t sum, bytes data) {
    return crc32c_is_accelerated() ? ~crc32c_cpu(~sum, data) : crc32c_portable(sum, data);
}

constexpr summer all_ways[] = {[](std::uint32_t s, bytes d) { return crc32c(s, d); },
                               by_instruction,
                               [](std::uint32_t s, bytes d) { return crc32c_portable(s, d); }};

// One bit at a time, straight from the definition.
std::uint32_t bitwise(bytes data) {
    std::uint32_t state = 0xffffffff;
    for (const std::uint8_t byte : data) {
        state ^= byte;
        for (int bit = 0; bit < 8; ++bit)
            state = (state >> 1) ^ (state & 1 ? 0x82f63b78 : 0);
    }
    return ~state;
}

// `offset` bytes into a buffer that is aligned to 64.
struct aligned_bytes {
    alignas(64) std::uint8_t data[70000];
    explicit aligned_bytes(std::uint64_t seed) {
        test_random random(seed);
        for (std::uint8_t& b : data)
            b = static_cast<std::uint8_t>(random.below(256));
    }
};

TEST(crc32c_test, rfc_3720_vectors) {
    const std::vector<std::uint8_t> zeroes(32, 0), ones(32, 0xff);
    std::vector<std::uint8_t> up, down;
    for (int i = 0; i < 32; ++i)
        up.push_back(static_cast<std::uint8_t>(i));
    down.assign(up.rbegin(), up.rend());
    const std::uint8_t read_command[48] = {0x01, 0xc0, 0, 0,    0,    0, 0, 0,    0,    0, 0,    0,
                                           0,    0,    0, 0,    0x14, 0, 0, 0,    0,    0, 0x04, 0,
                                           0,    0,    0, 0x14, 0,    0, 0, 0x18, 0x28, 0, 0,    0,
                                           0,    0,    0, 0,    0x02, 0, 0, 0,    0,    0, 0,    0};
    for (const summer sum : all_ways) {
        EXPECT_EQ(sum(0, {}), 0u);
        EXPECT_EQ(sum(0, bytes_of("123456789")), 0xe3069283u);
        EXPECT_EQ(sum(0, zeroes), 0x8a9136aau);
        EXPECT_EQ(sum(0, ones), 0x62a8ab43u);
        EXPECT_EQ(sum(0, up), 0x46dd794eu);
        EXPECT_EQ(sum(0, down), 0x113fdb5cu);
        EXPECT_EQ(sum(0, bytes(read_command, sizeof read_command)), 0xd9963a56u);
    }
}

TEST(crc32c_test, every_length_at_every_alignment) {
    const auto memory = std::make_unique<aligned_bytes>(1);
    for (std::size_t size = 0; size <= 1100; ++size) {
        for (std::size_t offset = 0; offset <= 8; ++offset) {
            const bytes data{memory->data + offset, size};
            const std::uint32_t expected = bitwise(data);
            for (const summer sum : all_ways)
                ASSERT_EQ(sum(0, data), expected) << size << '@' << offset;
        }
    }
}

TEST(crc32c_test, bulk_lengths_around_the_long_lanes) {
    const auto memory = std::make_unique<aligned_bytes>(2);
    for (const std::size_t base : {3 * 4096, 3 * 4096 + 768, 6 * 4096, 65536}) {
        for (std::size_t size = base - 9; size <= base + 9; ++size) {
            const bytes data{memory->data + size % 9, size};
            const std::uint32_t expected = bitwise(data);
            for (const summer sum : all_ways)
                ASSERT_EQ(sum(0, data), expected) << size;
        }
    }
}

TEST(crc32c_test, folding_any_number_of_units_after_any_sum) {
    if (!crc32c_can_fold()) GTEST_SKIP() << "this CPU cannot multiply vectors without carry";
    const auto memory = std::make_unique<aligned_bytes>(4);
    for (std::size_t units = 1; units <= 20; ++units) {
        for (const std::uint32_t state : {0u, 1u, 0x80000000u, 0xffffffffu, 0x12345678u}) {
            const bytes data{memory->data + units, units * crc32c_fold_unit};
            ASSERT_EQ(crc32c_fold(state, data), ~crc32c_portable(~state, data)) << units;
        }
    }
}

TEST(crc32c_test, a_run_summed_in_pieces_is_the_run) {
    const auto memory = std::make_unique<aligned_bytes>(3);
    for (const std::uint64_t seed : test_seeds(100)) {
        SCOPED_TRACE(seed_note(seed));
        test_random random(seed);
        const bytes all{memory->data + random.below(16), random.below(60000)};
        const std::uint32_t expected = crc32c_portable(0, all);
        for (const summer sum : all_ways) {
            std::uint32_t running = 0;
            for (bytes rest = all; !rest.empty();) {
                const std::size_t piece = random.below(rest.size() + 1);
                running = sum(running, rest.first(piece));
                rest = rest.subspan(piece);
            }
            EXPECT_EQ(running, expected);
        }
    }
}

#if defined(__x86_64__)
TEST(crc32c_test, the_instruction_is_used_where_the_cpu_has_it) {
    EXPECT_EQ(crc32c_is_accelerated(), bool(__builtin_cpu_supports("sse4.2")));
}
#endif

}  // namespace
}  // namespace libp
