#include <libp/assert.h>

#include "crc32c_cpu.h"

#if defined(__x86_64__)
#include <immintrin.h>
// An attribute on each function, not a flag for the file: the program must run on CPUs without it.
#define LIBP_FOLD_TARGET __attribute__((target("avx2,vpclmulqdq")))
#endif

namespace libp {

#if defined(__x86_64__)

namespace {

constexpr std::size_t stride = crc32c_fold_unit;

// x^n modulo the polynomial, bit-reversed, and one up: the product of two reversed numbers comes
// out one bit too low.
constexpr std::int64_t power_of_x(unsigned n) noexcept {
    std::uint32_t power = 0x80000000;
    for (; n > 0; --n)
        power = (power >> 1) ^ (power & 1 ? crc32c_polynomial : 0);
    return std::int64_t{power} << 1;
}

// What moves the two halves of 16 bytes a stride on. The factors stand in the low half of their
// words, hence the 32 bits.
constexpr std::int64_t first_half_on = power_of_x(8 * stride + 32);
constexpr std::int64_t second_half_on = power_of_x(8 * stride - 32);

LIBP_FOLD_TARGET inline __m256i load(const std::uint8_t* p) noexcept {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

LIBP_FOLD_TARGET inline __m256i folded_into(__m256i next, __m256i sum, __m256i factors) noexcept {
    const __m256i first = _mm256_clmulepi64_epi128(sum, factors, 0x00);
    const __m256i second = _mm256_clmulepi64_epi128(sum, factors, 0x11);
    return _mm256_xor_si256(_mm256_xor_si256(first, second), next);
}

}  // namespace

bool crc32c_can_fold() noexcept {
    static const bool can =
        crc32c_cpu_has() && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("vpclmulqdq");
    return can;
}

LIBP_FOLD_TARGET std::uint32_t crc32c_fold(std::uint32_t state, bytes data) noexcept {
    debug_check(!data.empty() && data.size() % stride == 0, "a CRC was folded over odd ends");
    const __m256i factors =
        _mm256_set_epi64x(second_half_on, first_half_on, second_half_on, first_half_on);
    const std::uint8_t* p = data.data();
    const std::uint8_t* const end = p + data.size();
    const auto begun = static_cast<int>(state);
    __m256i a = _mm256_xor_si256(load(p), _mm256_set_epi32(0, 0, 0, 0, 0, 0, 0, begun));
    __m256i b = load(p + 32);
    __m256i c = load(p + 64);
    __m256i d = load(p + 96);
    for (p += stride; p != end; p += stride) {
        a = folded_into(load(p), a, factors);
        b = folded_into(load(p + 32), b, factors);
        c = folded_into(load(p + 64), c, factors);
        d = folded_into(load(p + 96), d, factors);
    }
    // What is left has the sum of all.
    const __m256i left[] = {a, b, c, d};
    static_assert(sizeof left == stride);
    return crc32c_cpu(0, {reinterpret_cast<const std::uint8_t*>(left), sizeof left});
}

#else

bool crc32c_can_fold() noexcept {
    return false;
}

std::uint32_t crc32c_fold(std::uint32_t, bytes) noexcept {
    fail("this CPU multiplies without carry nowhere that we know of");
}

#endif

}  // namespace libp
