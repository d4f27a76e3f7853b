#pragma once

// Numbers in text.

#include <charconv>
#include <optional>
#include <string_view>

namespace libp {

// The number that all of `text` is, in decimal digits (for a signed T, perhaps with a '-' before
// them); none if it is anything else, empty, or does not fit.
template <class T>
std::optional<T> number_of(std::string_view text) noexcept {
    T value = 0;
    const char* end = text.data() + text.size();
    const auto [stop, failure] = std::from_chars(text.data(), end, value);
    if (text.empty() || failure != std::errc{} || stop != end) return std::nullopt;
    return value;
}

}  // namespace libp
