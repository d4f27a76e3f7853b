#include <libp/random.h>
#include <libp/tls_key.h>

#include <algorithm>

namespace libp {

namespace {

constexpr std::size_t least_key = 16, most_key = 64, new_key = 32;
constexpr std::size_t longest_id = 128;
constexpr std::string_view hex_digits = "0123456789abcdef";
constexpr std::string_view base64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::optional<unsigned> hex_value(char c) {
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
    const std::size_t at = hex_digits.find(c);
    if (at == hex_digits.npos) return std::nullopt;
    return static_cast<unsigned>(at);
}

bool parse_hex(std::string_view text, secret_bytes& to) {
    if (text.size() % 2 != 0) return false;
    to.reserve(text.size() / 2);
    for (std::size_t i = 0; i < text.size(); i += 2) {
        const auto high = hex_value(text[i]), low = hex_value(text[i + 1]);
        if (!high || !low) return false;
        to.push_back(static_cast<std::uint8_t>(*high << 4 | *low));
    }
    return true;
}

std::string_view trimmed(std::string_view line) {
    const std::size_t from = line.find_first_not_of(" \t\r");
    if (from == line.npos) return {};
    return line.substr(from, line.find_last_not_of(" \t\r") + 1 - from);
}

bool is_printable(std::string_view id) {
    return std::ranges::all_of(id, [](char c) { return c > ' ' && c < 0x7f; });
}

std::string parse_line(std::string_view line, std::vector<tls_key>& to) {
    const std::size_t colon = line.rfind(':');
    tls_key key{"default", {}};
    if (colon != line.npos) key.id = trimmed(line.substr(0, colon));
    if (key.id.empty() || key.id.size() > longest_id || !is_printable(key.id))
        return "the id is no word of 1 to 128 printable characters";
    if (!parse_hex(trimmed(line.substr(colon == line.npos ? 0 : colon + 1)), key.secret))
        return "not ID:HEX";
    if (key.secret.size() < least_key || key.secret.size() > most_key)
        return "a key has 32 to 128 hexadecimal digits";
    if (std::ranges::find(to, key.id, &tls_key::id) != to.end()) return "a second key of that id";
    to.push_back(std::move(key));
    return {};
}

}  // namespace

std::string parse_tls_keys(std::string_view text, std::vector<tls_key>& to) {
    for (std::size_t number = 1; !text.empty(); ++number) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = trimmed(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
        if (line.empty() || line[0] == '#') continue;
        if (std::string wrong = parse_line(line, to); !wrong.empty())
            return "line " + std::to_string(number) + ": " + wrong;
    }
    return to.empty() ? "there is no key in it" : "";
}

std::string new_tls_key() {
    std::uint8_t secret[new_key];
    fill_random(secret);
    std::string text;
    for (const std::uint8_t b : secret) {
        text += hex_digits[b >> 4];
        text += hex_digits[b & 15];
    }
    return text;
}

std::optional<tls_pin> tls_pin::parse(std::string_view text) {
    constexpr std::size_t digits = 43;  // and one '='
    if (!text.starts_with("sha256:") && !text.starts_with("sha256//")) return std::nullopt;
    text.remove_prefix(text[6] == ':' ? 7 : 8);
    if (text.ends_with('=')) text.remove_suffix(1);
    if (text.size() != digits) return std::nullopt;
    tls_pin pin;
    std::uint32_t bits = 0;
    unsigned held = 0;
    std::size_t out = 0;
    for (const char c : text) {
        const std::size_t value = base64.find(c);
        if (value == base64.npos) return std::nullopt;
        bits = bits << 6 | static_cast<std::uint32_t>(value);
        held += 6;
        if (held < 8) continue;
        held -= 8;
        pin.sha256[out++] = static_cast<std::uint8_t>(bits >> held);
    }
    // The last digit's spare bits say nothing, so they are nothing.
    if ((bits & ((1u << held) - 1)) != 0) return std::nullopt;
    return pin;
}

std::string tls_pin::to_string() const {
    std::string text = "sha256:";
    std::uint32_t bits = 0;
    unsigned held = 0;
    for (const std::uint8_t b : sha256) {
        bits = bits << 8 | b;
        for (held += 8; held >= 6;) {
            held -= 6;
            text += base64[bits >> held & 63];
        }
    }
    if (held > 0) text += base64[bits << (6 - held) & 63];
    return text + "=";
}

}  // namespace libp
