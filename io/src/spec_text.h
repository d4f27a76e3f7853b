#pragma once

// The small change of pipe-stack specs: escapes, sizes, and what somebody may have meant.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace libp {

// %2C and the like for whatever cannot stand in a spec: comma, plus, caret, percent, and all that
// is not printable ASCII.
std::string escape_spec(std::string_view text);

// The reverse. None: a '%' without two hex digits behind it, or %00; `bad` is where.
std::optional<std::string> unescape_spec(std::string_view text, std::size_t& bad);

// "1500", "64k", "8M", "1G": powers of 1024. None: no such thing.
std::optional<std::uint64_t> parse_size(std::string_view text) noexcept;

// The known word that `word` is most likely a slip of: at most one edit away for every three
// letters. Empty: none.
std::string_view nearest(std::string_view word, std::span<const std::string_view> known);

// In single quotes, fit for one line of a terminal: control characters are shown as '?', what is
// long is cut.
std::string quote_word(std::string_view word);

}  // namespace libp
