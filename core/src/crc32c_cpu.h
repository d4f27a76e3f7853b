#pragma once

#include <libp/types.h>

#include <array>
#include <cstdint>

// The CPU's own CRC-32C instruction, where the compiler can emit it and this CPU has it.

namespace libp {

inline constexpr std::uint32_t crc32c_polynomial = 0x82f63b78;  // bit-reversed 0x1edc6f41

bool crc32c_cpu_has() noexcept;

// `state` is the register itself, without the inversions before and after. Only where
// crc32c_cpu_has().
std::uint32_t crc32c_cpu(std::uint32_t state, bytes data) noexcept;

// The same by carry-less multiplication of vectors, twice as fast and more over long runs: data a
// whole number of units, one at least. Only where crc32c_can_fold().
inline constexpr std::size_t crc32c_fold_unit = 128;
bool crc32c_can_fold() noexcept;
std::uint32_t crc32c_fold(std::uint32_t state, bytes data) noexcept;

// -- moving a register past zeroes ----------------------------------------------------------------
//
// To sum three runs at once and join the results, the first register must be moved past the second
// run's length of zero bytes. That is a linear map over GF(2): a 32x32 bit matrix, one column a
// word. Shifting past twice the zeroes is the matrix squared. Four tables of 256 words, one for
// each byte of the register, turn a multiplication into four look-ups.

using crc32c_matrix = std::array<std::uint32_t, 32>;
using crc32c_shift_table = std::array<std::array<std::uint32_t, 256>, 4>;

constexpr crc32c_matrix squared(const crc32c_matrix& m) noexcept {
    crc32c_matrix product{};
    for (std::size_t column = 0; column < 32; ++column) {
        for (std::uint32_t rest = m[column], row = 0; rest != 0; rest >>= 1, ++row) {
            if (rest & 1) product[column] ^= m[row];
        }
    }
    return product;
}

// The table that moves a register past 2^log2_bytes zero bytes.
constexpr crc32c_shift_table make_crc32c_shift_table(int log2_bytes) noexcept {
    crc32c_matrix m{};  // one zero bit
    m[0] = crc32c_polynomial;
    for (std::size_t bit = 1; bit < 32; ++bit)
        m[bit] = std::uint32_t{1} << (bit - 1);
    for (int i = 0; i < log2_bytes + 3; ++i)
        m = squared(m);

    crc32c_shift_table table{};
    for (std::size_t part = 0; part < 4; ++part) {
        for (std::size_t bit = 0; bit < 8; ++bit) {
            const std::size_t first = std::size_t{1} << bit;
            for (std::size_t low = 0; low < first; ++low) {
                table[part][first + low] = table[part][low] ^ m[8 * part + bit];
            }
        }
    }
    return table;
}

}  // namespace libp
