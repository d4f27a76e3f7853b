#include "spec_text.h"

#include <algorithm>
#include <charconv>
#include <vector>

namespace libp {

namespace {

constexpr std::size_t longest_quote = 48;

bool stands_for_itself(char c) noexcept {
    return c > ' ' && c < 0x7f && c != ',' && c != '+' && c != '^' && c != '%';
}

int hex_digit(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

// How many insertions, deletions, replacements and swaps of neighbours turn one word into the
// other.
std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j)
        last[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            std::size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            row[j] = std::min({replaced, last[j] + 1, row[j - 1] + 1});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = std::min(row[j], before[j - 2] + 1);
        }
        before.swap(last);
        last.swap(row);
    }
    return last[b.size()];
}

}  // namespace

std::string escape_spec(std::string_view text) {
    static constexpr char digits[] = "0123456789ABCDEF";
    std::string out;
    for (char c : text) {
        if (stands_for_itself(c)) {
            out += c;
            continue;
        }
        auto byte = static_cast<unsigned char>(c);
        out += {'%', digits[byte >> 4], digits[byte & 15]};
    }
    return out;
}

std::optional<std::string> unescape_spec(std::string_view text, std::size_t& bad) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out += text[i];
            continue;
        }
        int high = i + 1 < text.size() ? hex_digit(text[i + 1]) : -1;
        int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
        if (high < 0 || low < 0 || high + low == 0) {
            bad = i;
            return std::nullopt;
        }
        out += static_cast<char>(high * 16 + low);
        i += 2;
    }
    return out;
}

std::optional<std::uint64_t> parse_size(std::string_view text) noexcept {
    std::uint64_t n = 0;
    const char* end = text.data() + text.size();
    auto [rest, bad] = std::from_chars(text.data(), end, n);
    if (bad != std::errc{}) return std::nullopt;
    if (rest == end) return n;
    if (end - rest != 1) return std::nullopt;
    unsigned shift = 0;
    switch (*rest) {
        case 'k':
        case 'K':
            shift = 10;
            break;
        case 'm':
        case 'M':
            shift = 20;
            break;
        case 'g':
        case 'G':
            shift = 30;
            break;
        default:
            return std::nullopt;
    }
    if (n > UINT64_MAX >> shift) return std::nullopt;
    return n << shift;
}

std::string_view nearest(std::string_view word, std::span<const std::string_view> known) {
    std::string_view best;
    std::size_t least = 0;
    for (std::string_view k : known) {
        std::size_t most = std::max<std::size_t>(k.size() / 3, 1);
        if (word.size() > k.size() + most || word.size() + most < k.size()) continue;
        std::size_t d = edit_distance(word, k);
        if (d >= k.size()) continue;  // nothing of it is left
        if (d > most || (!best.empty() && d >= least)) continue;
        best = k;
        least = d;
    }
    return best;
}

std::string quote_word(std::string_view word) {
    std::string out = "'";
    for (char c : word.substr(0, longest_quote))
        out += static_cast<unsigned char>(c) < ' ' || c == 0x7f ? '?' : c;
    if (word.size() > longest_quote) out += "...";
    return out + "'";
}

}  // namespace libp
