#pragma once

// Variable-length integers as in QUIC (RFC 9000 section 16): the two top bits of the first byte say
// whether the number takes 1, 2, 4 or 8 bytes; the rest is the number, big-endian. Up to 2^62 - 1.
//
// A decoder must accept any of the encodings, not only the shortest (RFC 9000 allows it); the
// writer always uses the shortest.

#include <libp/types.h>

#include <cstddef>
#include <cstdint>

namespace libp {

inline constexpr std::uint64_t varint_max = (std::uint64_t{1} << 62) - 1;
inline constexpr std::size_t varint_max_size = 8;

// How many bytes write_varint will write: 1, 2, 4 or 8. value <= varint_max.
constexpr std::size_t varint_size(std::uint64_t value) noexcept {
    return value < 64 ? 1 : value < 16384 ? 2 : value < (1u << 30) ? 4 : 8;
}
// How many bytes a number takes whose first byte is `first`.
constexpr std::size_t varint_size_from(std::uint8_t first) noexcept {
    return std::size_t{1} << (first >> 6);
}

// Writes varint_size(value) bytes at `to` and returns that number.
std::size_t write_varint(std::uint8_t* to, std::uint64_t value) noexcept;
// Reads a number from the front of `from`. Returns the bytes taken, 0 if there are too few.
std::size_t read_varint(bytes from, std::uint64_t& value) noexcept;

}  // namespace libp
