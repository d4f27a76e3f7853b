#include <libp/number.h>
#include <libp/socket_address.h>

namespace libp {

namespace {

bool is_digit(char c) noexcept {
    return c >= '0' && c <= '9';
}

bool is_letter(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_number(std::string_view text) noexcept {
    for (char c : text)
        if (!is_digit(c)) return false;
    return !text.empty();
}

// A number up to 65535, or a service name as IANA writes them ("http", "http-alt").
bool is_port(std::string_view text) noexcept {
    if (is_number(text)) return number_of<std::uint16_t>(text).has_value();
    if (text.empty() || !is_letter(text[0])) return false;
    for (char c : text)
        if (!is_letter(c) && !is_digit(c) && c != '-' && c != '_' && c != '.' && c != '+')
            return false;
    return true;
}

// Anything the resolver may make sense of; what can only be a mistake is caught here.
bool is_host(std::string_view text) noexcept {
    for (char c : text)
        if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f || c == '[' || c == ']' || c == '/')
            return false;
    return !text.empty();
}

}  // namespace

std::string host_port::to_string() const {
    std::string text = host.find(':') == std::string::npos ? host : "[" + host + "]";
    if (!port.empty()) text += ":" + port;
    return text;
}

result<host_port> split_host_port(std::string_view text, bool bare_is_port) {
    const error malformed{reason::invalid};
    if (text.empty()) return malformed;

    std::string_view host, rest;
    if (text[0] == '[') {
        // Brackets are there to keep an IPv6 address's colons apart from the port's.
        const std::size_t end = text.find(']');
        if (end == std::string_view::npos) return malformed;
        host = text.substr(1, end - 1);
        rest = text.substr(end + 1);
        if (host.find(':') == std::string_view::npos || !is_host(host)) return malformed;
    } else {
        const std::size_t colon = text.find(':');
        host = text.substr(0, colon);
        rest = text.substr(host.size());
        if (!host.empty() && !is_host(host)) return malformed;
    }
    if (rest.empty()) {
        if (!bare_is_port || !is_number(host)) return host_port{std::string(host), ""};
        if (!is_port(host)) return malformed;
        return host_port{"", std::string(host)};
    }
    if (rest[0] != ':' || !is_port(rest.substr(1))) return malformed;
    return host_port{std::string(host), std::string(rest.substr(1))};
}

}  // namespace libp
