#include <libp/crc32c.h>

#include <array>

#include "crc32c_cpu.h"

namespace libp {

namespace {

using slicing_tables = std::array<std::array<std::uint32_t, 256>, 8>;

// tables[k][b] is the register after byte b and then k zero bytes.
constexpr slicing_tables make_slicing_tables() noexcept {
    slicing_tables tables{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        std::uint32_t state = byte;
        for (int bit = 0; bit < 8; ++bit) {
            state = (state >> 1) ^ (state & 1 ? crc32c_polynomial : 0);
        }
        tables[0][byte] = state;
    }
    for (std::size_t zeroes = 1; zeroes < 8; ++zeroes) {
        for (std::size_t byte = 0; byte < 256; ++byte) {
            const std::uint32_t before = tables[zeroes - 1][byte];
            tables[zeroes][byte] = (before >> 8) ^ tables[0][before & 0xff];
        }
    }
    return tables;
}

constexpr slicing_tables tables = make_slicing_tables();

// Below this, what folding saves is lost where it ends.
constexpr std::size_t worth_folding = 4 * crc32c_fold_unit;

constexpr std::uint32_t load_le32(const std::uint8_t* p) noexcept {
    return p[0] | (std::uint32_t{p[1]} << 8) | (std::uint32_t{p[2]} << 16) |
           (std::uint32_t{p[3]} << 24);
}

}  // namespace

std::uint32_t crc32c_portable(std::uint32_t sum, bytes data) noexcept {
    std::uint32_t state = ~sum;
    const std::uint8_t* p = data.data();
    std::size_t left = data.size();
    for (; left >= 8; p += 8, left -= 8) {
        const std::uint32_t low = state ^ load_le32(p);
        const std::uint32_t high = load_le32(p + 4);
        state = tables[7][low & 0xff] ^ tables[6][(low >> 8) & 0xff] ^
                tables[5][(low >> 16) & 0xff] ^ tables[4][low >> 24] ^ tables[3][high & 0xff] ^
                tables[2][(high >> 8) & 0xff] ^ tables[1][(high >> 16) & 0xff] ^
                tables[0][high >> 24];
    }
    for (; left > 0; ++p, --left)
        state = (state >> 8) ^ tables[0][(state ^ *p) & 0xff];
    return ~state;
}

bool crc32c_is_accelerated() noexcept {
    static const bool has = crc32c_cpu_has();
    return has;
}

std::uint32_t crc32c(std::uint32_t sum, bytes data) noexcept {
    if (!crc32c_is_accelerated()) return crc32c_portable(sum, data);
    std::uint32_t state = ~sum;
    if (data.size() >= worth_folding && crc32c_can_fold()) {
        const std::size_t folded = data.size() / crc32c_fold_unit * crc32c_fold_unit;
        state = crc32c_fold(state, data.first(folded));
        data = data.subspan(folded);
    }
    return ~crc32c_cpu(state, data);
}

}  // namespace libp
