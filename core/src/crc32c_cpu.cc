#include "crc32c_cpu.h"

#include <libp/assert.h>

#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
// An attribute on each function, not a flag for the file: the program must run on CPUs without it.
#define LIBP_CRC_TARGET __attribute__((target("sse4.2")))
#define LIBP_CRC_INSTRUCTION 1
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#define LIBP_CRC_TARGET
#define LIBP_CRC_INSTRUCTION 1
#else
#define LIBP_CRC_INSTRUCTION 0
#endif

namespace libp {

#if LIBP_CRC_INSTRUCTION

namespace {

#if defined(__x86_64__)
LIBP_CRC_TARGET inline std::uint32_t step8(std::uint32_t state, std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>(_mm_crc32_u64(state, word));
}
LIBP_CRC_TARGET inline std::uint32_t step1(std::uint32_t state, std::uint8_t byte) noexcept {
    return _mm_crc32_u8(state, byte);
}
#else
// The instruction takes the first byte from the low end of the register, and so must a load.
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
inline std::uint32_t step8(std::uint32_t state, std::uint64_t word) noexcept {
    return __crc32cd(state, word);
}
inline std::uint32_t step1(std::uint32_t state, std::uint8_t byte) noexcept {
    return __crc32cb(state, byte);
}
#endif

inline std::uint64_t load8(const std::uint8_t* p) noexcept {
    std::uint64_t word;
    std::memcpy(&word, p, sizeof word);
    return word;
}

// Lanes of two lengths: long ones so that joining costs nothing on bulk, short ones for what is
// left.
constexpr int long_log2 = 12;
constexpr int short_log2 = 8;
constexpr crc32c_shift_table past_long = make_crc32c_shift_table(long_log2);
constexpr crc32c_shift_table past_short = make_crc32c_shift_table(short_log2);

inline std::uint32_t shifted(const crc32c_shift_table& past, std::uint32_t state) noexcept {
    return past[0][state & 0xff] ^ past[1][(state >> 8) & 0xff] ^ past[2][(state >> 16) & 0xff] ^
           past[3][state >> 24];
}

// Sums 3 * lane bytes at p as three runs side by side, which keeps the instruction's pipeline full.
template <std::size_t Lane>
LIBP_CRC_TARGET inline std::uint32_t three_lanes(std::uint32_t state, const std::uint8_t* p,
                                                 const crc32c_shift_table& past) noexcept {
    std::uint32_t second = 0;
    std::uint32_t third = 0;
    for (std::size_t i = 0; i < Lane; i += 8) {
        state = step8(state, load8(p + i));
        second = step8(second, load8(p + Lane + i));
        third = step8(third, load8(p + 2 * Lane + i));
    }
    return shifted(past, shifted(past, state) ^ second) ^ third;
}

}  // namespace

bool crc32c_cpu_has() noexcept {
#if defined(__x86_64__)
    return __builtin_cpu_supports("sse4.2");
#else
    return true;  // the compiler was told that every CPU this will run on has it
#endif
}

LIBP_CRC_TARGET std::uint32_t crc32c_cpu(std::uint32_t state, bytes data) noexcept {
    constexpr std::size_t long_lane = std::size_t{1} << long_log2;
    constexpr std::size_t short_lane = std::size_t{1} << short_log2;
    const std::uint8_t* p = data.data();
    std::size_t left = data.size();
    for (; left >= 3 * long_lane; p += 3 * long_lane, left -= 3 * long_lane) {
        state = three_lanes<long_lane>(state, p, past_long);
    }
    for (; left >= 3 * short_lane; p += 3 * short_lane, left -= 3 * short_lane) {
        state = three_lanes<short_lane>(state, p, past_short);
    }
    for (; left >= 8; p += 8, left -= 8)
        state = step8(state, load8(p));
    for (; left > 0; ++p, --left)
        state = step1(state, *p);
    return state;
}

#else

bool crc32c_cpu_has() noexcept {
    return false;
}

std::uint32_t crc32c_cpu(std::uint32_t, bytes) noexcept {
    fail("this CPU has no CRC-32C instruction");
}

#endif

}  // namespace libp
