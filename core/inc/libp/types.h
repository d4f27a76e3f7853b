#pragma once

// The few names every layer uses for memory it does not own.
//
//   bytes           a read-only run of bytes someone else owns, valid for the call it is passed to
//   mutable_bytes   the same, writable
//
// Ownership of bytes that live longer than a call is what data's `chain` is for.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace libp {

using bytes = std::span<const std::uint8_t>;
using mutable_bytes = std::span<std::uint8_t>;

inline constexpr std::size_t kib = 1024;
inline constexpr std::size_t mib = 1024 * kib;

// The bytes of a string, without a copy. The string must outlive the result.
inline bytes bytes_of(std::string_view text) noexcept {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

// The same the other way round; embedded zeroes are kept.
inline std::string_view text_of(bytes data) noexcept {
    return {reinterpret_cast<const char*>(data.data()), data.size()};
}

}  // namespace libp
