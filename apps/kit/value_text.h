#pragma once

// The values of options as people write them: durations, sizes, counts, and lists of names; and
// what can be shown of them.
//
//     250ms  10s  5m  2h  0        a bare number is seconds
//     64k  8M  1G  512             powers of 1024; a bare number is bytes

#include <libp/time.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace libp::app {

std::optional<duration> parse_duration(std::string_view text);
std::optional<std::size_t> parse_size(std::string_view text);
// Decimal digits and nothing else.
std::optional<std::size_t> parse_count(std::string_view text);

// The shortest form that parses back to the same value: "90s", "10m", "512k".
std::string duration_text(duration d);
std::string size_text(std::size_t n);

// Fit for a line of a terminal: control characters are shown as '?'.
std::string one_line(std::string_view text);

// The name that `text` was probably meant to be: the nearest by edit distance, if it is near enough
// for a slip of the finger; empty otherwise.
std::string_view nearest_name(std::string_view text, const std::vector<std::string_view>& names);
// " (did you mean 'NAME'?)", or nothing.
std::string did_you_mean(std::string_view text, const std::vector<std::string_view>& names,
                         std::string_view prefix = {});

}  // namespace libp::app
