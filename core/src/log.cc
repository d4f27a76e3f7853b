#include <libp/log.h>

#include <charconv>
#include <cmath>

namespace libp {

namespace {

// One step through text that anybody may have written: a character, or a byte that is none.
struct utf8_step {
    std::size_t size = 1;  // bytes taken
    char32_t code = 0;     // the character, where valid
    bool valid = false;
};

// The character at the front of `text` (not empty), by the table of well-formed sequences in the
// Unicode standard (table 3-7): no overlong forms, no surrogates, nothing above U+10FFFF.
utf8_step decode_utf8(std::string_view text) noexcept {
    const auto at = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
    const std::uint8_t lead = at(0);
    if (lead < 0x80) return {1, lead, true};
    const std::size_t size = lead >= 0xc2 && lead < 0xe0 ? 2 : lead >= 0xe0 && lead < 0xf0 ? 3 : 4;
    if (lead < 0xc2 || lead > 0xf4 || text.size() < size) return {};
    char32_t code = lead & (0x7fu >> size);
    for (std::size_t i = 1; i < size; ++i) {
        if ((at(i) & 0xc0) != 0x80) return {};
        code = (code << 6) | (at(i) & 0x3fu);
    }
    const bool overlong = (size == 3 && code < 0x800) || (size == 4 && code < 0x10000);
    const bool surrogate = code >= 0xd800 && code < 0xe000;
    if (overlong || surrogate || code > 0x10ffff) return {};
    return {size, code, true};
}

// What could move a terminal's cursor or make a reader see a line end: C0, DEL, C1 (with NEL) and
// the line and paragraph separators.
bool is_control(char32_t c) noexcept {
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029;
}

void append_hex(std::string& out, std::uint32_t value, int digits) {
    for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) {
        out += "0123456789abcdef"[(value >> shift) & 0xf];
    }
}

bool needs_quotes(std::string_view value) noexcept {
    while (!value.empty()) {
        const utf8_step step = decode_utf8(value);
        if (!step.valid || is_control(step.code)) return true;
        if (step.code == ' ' || step.code == '"' || step.code == '=') return true;
        value.remove_prefix(step.size);
    }
    return false;
}

// `value` as a text line shows it. An escape stands for a byte, so that any bytes come back
// exactly.
void append_text_value(std::string& out, std::string_view value) {
    if (!needs_quotes(value)) {
        out += value;
        return;
    }
    out += '"';
    while (!value.empty()) {
        const utf8_step step = decode_utf8(value);
        const std::string_view here = value.substr(0, step.size);
        value.remove_prefix(step.size);
        if (step.code == '"' || step.code == '\\') {
            out += '\\';
            out += here;
        } else if (step.code == '\n') {
            out += "\\n";
        } else if (step.code == '\t') {
            out += "\\t";
        } else if (!step.valid || is_control(step.code)) {
            for (const char byte : here) {
                out += "\\x";
                append_hex(out, static_cast<std::uint8_t>(byte), 2);
            }
        } else {
            out += here;
        }
    }
    out += '"';
}

void append_json_string(std::string& out, std::string_view value) {
    out += '"';
    while (!value.empty()) {
        const utf8_step step = decode_utf8(value);
        const std::string_view here = value.substr(0, step.size);
        value.remove_prefix(step.size);
        if (!step.valid) {
            out += "\xef\xbf\xbd";  // U+FFFD
        } else if (step.code == '"' || step.code == '\\') {
            out += '\\';
            out += here;
        } else if (step.code == '\n') {
            out += "\\n";
        } else if (step.code == '\t') {
            out += "\\t";
        } else if (is_control(step.code)) {
            out += "\\u";
            append_hex(out, static_cast<std::uint32_t>(step.code), 4);
        } else {
            out += here;
        }
    }
    out += '"';
}

void append_json_member(std::string& out, std::string_view key, std::string_view value) {
    append_json_string(out, key);
    out += ':';
    append_json_string(out, value);
}

}  // namespace

const char* name_of(log_level level) noexcept {
    switch (level) {
        case log_level::error:
            return "error";
        case log_level::warn:
            return "warn";
        case log_level::info:
            return "info";
        case log_level::debug:
            return "debug";
        case log_level::trace:
            return "trace";
    }
    return "unknown";
}

// JSON has no number for an infinity or for no number at all: they become strings.
log_field::log_field(std::string_view k, double v) : key(k), number(std::isfinite(v)) {
    char digits[328];  // -DBL_MAX takes 309 digits, a sign, a point and three decimals
    const auto end = std::to_chars(digits, digits + sizeof digits, v, std::chars_format::fixed, 3);
    value.assign(digits, end.ptr);
}

std::string format_text(std::string_view time, log_level level, std::string_view topic,
                        log_fields fields) {
    std::string line;
    line.reserve(128);
    line += time;
    line += ' ';
    line += name_of(level);
    line += ' ';
    append_text_value(line, topic);
    for (const log_field& field : fields) {
        line += ' ';
        append_text_value(line, field.key);
        line += '=';
        append_text_value(line, field.value);
    }
    return line;
}

std::string format_json(std::string_view time, log_level level, std::string_view topic,
                        log_fields fields) {
    std::string line;
    line.reserve(160);
    line += '{';
    append_json_member(line, "time", time);
    line += ',';
    append_json_member(line, "level", name_of(level));
    line += ',';
    append_json_member(line, "topic", topic);
    for (const log_field& field : fields) {
        line += ',';
        if (field.number) {
            append_json_string(line, field.key);
            line += ':';
            line += field.value;
        } else {
            append_json_member(line, field.key, field.value);
        }
    }
    line += '}';
    return line;
}

}  // namespace libp
