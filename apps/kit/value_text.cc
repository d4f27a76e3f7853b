#include <kit/value_text.h>

#include <libp/types.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>

namespace libp::app {

namespace {

struct unit {
    std::string_view name;
    std::uint64_t size;
};

// Largest first, as the text forms try them.
constexpr unit time_units[] = {
    {"h", 3'600'000'000'000}, {"m", 60'000'000'000}, {"s", 1'000'000'000},
    {"ms", 1'000'000},        {"us", 1'000},         {"ns", 1},
};
constexpr unit size_units[] = {{"G", 1024 * mib}, {"M", mib}, {"k", kib}};

std::optional<std::uint64_t> scaled(std::uint64_t number, std::uint64_t by) {
    if (by && number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) / by)
        return std::nullopt;
    return number * by;
}

// The digits at the front of `text`, which is cut down to what follows them.
std::optional<std::uint64_t> take_number(std::string_view& text) {
    std::uint64_t n = 0;
    auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (failed != std::errc{}) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return n;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j)
        row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = std::exchange(row[0], i);
        for (std::size_t j = 1; j <= b.size(); ++j) {
            std::size_t above = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
            diagonal = above;
        }
    }
    return row[b.size()];
}

}  // namespace

std::optional<duration> parse_duration(std::string_view text) {
    auto number = take_number(text);
    if (!number) return std::nullopt;
    if (text.empty()) text = "s";
    for (const unit& u : time_units) {
        if (u.name != text) continue;
        if (auto ns = scaled(*number, u.size)) return duration(static_cast<std::int64_t>(*ns));
    }
    return std::nullopt;
}

std::optional<std::size_t> parse_size(std::string_view text) {
    auto number = take_number(text);
    if (!number) return std::nullopt;
    if (text.empty()) return scaled(*number, 1);
    if (text.size() != 1) return std::nullopt;
    switch (text[0]) {
        case 'k':
        case 'K':
            return scaled(*number, kib);
        case 'm':
        case 'M':
            return scaled(*number, mib);
        case 'g':
        case 'G':
            return scaled(*number, 1024 * mib);
        default:
            return std::nullopt;
    }
}

std::optional<std::size_t> parse_count(std::string_view text) {
    auto number = take_number(text);
    if (!number || !text.empty()) return std::nullopt;
    return scaled(*number, 1);
}

std::string duration_text(duration d) {
    auto ns = static_cast<std::uint64_t>(d.count());
    if (ns == 0) return "0";
    for (const unit& u : time_units)
        if (ns % u.size == 0) return std::to_string(ns / u.size) + std::string(u.name);
    return {};
}

std::string size_text(std::size_t n) {
    for (const unit& u : size_units)
        if (n && n % u.size == 0) return std::to_string(n / u.size) + std::string(u.name);
    return std::to_string(n);
}

std::string one_line(std::string_view text) {
    std::string out(text);
    std::ranges::replace_if(
        out, [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');
    return out;
}

std::string_view nearest_name(std::string_view text, const std::vector<std::string_view>& names) {
    std::string_view best;
    // A third of the word may be wrong: beyond that a suggestion is a guess.
    std::size_t least = std::max<std::size_t>(1, text.size() / 3) + 1;
    for (std::string_view name : names) {
        std::size_t d = edit_distance(text, name);
        if (d < least) {
            least = d;
            best = name;
        }
    }
    return best;
}

std::string did_you_mean(std::string_view text, const std::vector<std::string_view>& names,
                         std::string_view prefix) {
    std::string_view name = nearest_name(text, names);
    if (name.empty()) return {};
    return " (did you mean '" + std::string(prefix) + std::string(name) + "'?)";
}

}  // namespace libp::app
