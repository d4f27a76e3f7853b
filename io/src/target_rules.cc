#include <libp/number.h>
#include <libp/target_rules.h>

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <span>

namespace libp {

namespace {

using ip = std::array<std::uint8_t, 16>;

constexpr unsigned v4_bits = 96;  // of ::ffff:0:0/96, which is where IPv4 is

struct prefix {
    ip bytes{};
    unsigned bits = 0;
};

constexpr prefix v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, unsigned bits) noexcept {
    return {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, 0}, v4_bits + bits};
}

constexpr prefix v6(std::initializer_list<std::uint16_t> groups, unsigned bits) noexcept {
    prefix p{{}, bits};
    std::size_t at = 0;
    for (const std::uint16_t g : groups) {
        p.bytes[at++] = static_cast<std::uint8_t>(g >> 8);
        p.bytes[at++] = static_cast<std::uint8_t>(g);
    }
    return p;
}

// This host, its links, and what is nobody's in particular.
constexpr prefix v4_here[] = {
    v4(0, 0, 0, 8),       // this network; Linux takes 0.0.0.0 for loopback
    v4(127, 0, 0, 8),     // loopback
    v4(169, 254, 0, 16),  // link-local, where clouds tell secrets
    v4(224, 0, 0, 4),     // multicast
    v4(240, 0, 0, 4),     // reserved, and broadcast
};
constexpr prefix v4_private[] = {
    v4(10, 0, 0, 8),     v4(172, 16, 0, 12),  // RFC 1918
    v4(192, 168, 0, 16),                      // the same
    v4(100, 64, 0, 10),                       // shared, behind carriers' NATs
    v4(192, 0, 0, 24),                        // protocol assignments
    v4(198, 18, 0, 15),                       // benchmarks
    v4(192, 0, 2, 24),   v4(198, 51, 100, 24), v4(203, 0, 113, 24),  // documentation
};
constexpr prefix v6_nat64 = v6({0x64, 0xff9b}, 96);
constexpr prefix v6_6to4 = v6({0x2002}, 16);
// All that was ever given out to be reached from everywhere, and what is none in it.
constexpr prefix v6_global = v6({0x2000}, 3);
constexpr prefix v6_not_global[] = {
    v6({0x2001, 0}, 23),      // protocol assignments: Teredo, benchmarks, ORCHID
    v6({0x2001, 0xdb8}, 32),  // documentation
    v6({0x3fff}, 20),         // the same
};
constexpr prefix v6_unique_local = v6({0xfc00}, 7);

bool within(const ip& a, const ip& network, unsigned bits) noexcept {
    const std::size_t whole = bits / 8, rest = bits % 8;
    if (!std::equal(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(whole), network.begin()))
        return false;
    return rest == 0 || ((a[whole] ^ network[whole]) >> (8 - rest)) == 0;
}
bool within(const ip& a, const prefix& p) noexcept {
    return within(a, p.bytes, p.bits);
}
bool within_any(const ip& a, std::span<const prefix> of) noexcept {
    return std::ranges::any_of(of, [&a](const prefix& p) { return within(a, p); });
}

bool is_v4(const ip& a) noexcept {
    return within(a, v4(0, 0, 0, 0));
}
// The IPv4 address whose bytes begin at `at`.
ip v4_inside(const ip& a, std::size_t at) noexcept {
    ip out = v4(0, 0, 0, 0).bytes;
    std::copy_n(a.begin() + static_cast<std::ptrdiff_t>(at), 4, out.begin() + 12);
    return out;
}
// What it stands for where it is one of another family in disguise.
ip unwrapped(const ip& a) noexcept {
    if (within(a, v6_nat64)) return v4_inside(a, 12);
    if (within(a, v6_6to4)) return v4_inside(a, 2);
    return a;
}

bool is_global(const ip& address) noexcept {
    const ip a = unwrapped(address);
    if (is_v4(a)) return !within_any(a, v4_here) && !within_any(a, v4_private);
    return within(a, v6_global) && !within_any(a, v6_not_global);
}
// Neither this host nor one that only its links lead to.
bool is_elsewhere(const ip& address) noexcept {
    const ip a = unwrapped(address);
    if (is_v4(a)) return !within_any(a, v4_here);
    return within(a, v6_unique_local) || (within(a, v6_global) && !within(a, v6({0x2001, 0}, 32)));
}

bool is_name_char(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

// Of letters already small, without a dot behind it.
bool is_name(std::string_view text) noexcept {
    if (text.empty() || text.size() > 253) return false;
    std::size_t label = 0;
    for (const char c : text) {
        if (c == '.' ? label == 0 : !is_name_char(c)) return false;
        label = c == '.' ? 0 : label + 1;
        if (label > 63) return false;
    }
    return label > 0;
}

std::string small_letters(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

using port_range = std::pair<std::uint16_t, std::uint16_t>;

// "22", "80-90"
std::optional<port_range> parse_range(std::string_view text) noexcept {
    const std::size_t dash = text.find('-');
    const auto first = number_of<std::uint16_t>(text.substr(0, dash));
    const auto last = dash == text.npos ? first : number_of<std::uint16_t>(text.substr(dash + 1));
    if (!first || !last || *first == 0 || *first > *last) return std::nullopt;
    return port_range{*first, *last};
}

std::string quoted(std::string_view text) {
    return "'" + std::string(text) + "'";
}

std::string parse_ports(std::string_view text, std::vector<port_range>& to) {
    for (;;) {
        const std::size_t comma = text.find(',');
        const auto range = parse_range(text.substr(0, comma));
        if (!range) return quoted(text.substr(0, comma)) + " is not a port (22) or a range (80-90)";
        to.push_back(*range);
        if (comma == text.npos) return {};
        text.remove_prefix(comma + 1);
    }
}

// Where the place ends and the ports begin: behind what may itself have colons.
std::size_t colon_of_ports(std::string_view rule) noexcept {
    std::size_t from = rule.find('/');
    if (from == rule.npos) from = rule.find(']');
    if (from != rule.npos) return rule.find(':', from);
    const std::size_t first = rule.find(':');
    return first == rule.rfind(':') ? first : rule.npos;  // else a bare IPv6 address
}

}  // namespace

// -- targets --------------------------------------------------------------------------------------

result<target_name> target_name::parse(std::string_view text) {
    const error malformed{reason::invalid};
    const auto split = split_host_port(text, false);
    if (!split) return malformed;
    const auto port = number_of<std::uint16_t>(split->port);
    if (!port || *port == 0) return malformed;
    target_name t{small_letters(split->host), *port};
    if (text.front() == '[') {
        const bool zone = t.host.find('%') != t.host.npos;
        if (zone || !socket_address::from_ip(t.host, 0)) return malformed;
        return t;
    }
    if (t.host.ends_with('.')) t.host.pop_back();
    if (!is_name(t.host)) return malformed;
    return t;
}

std::string target_name::to_string() const {
    return host_port{host, std::to_string(port)}.to_string();
}

// -- rules ----------------------------------------------------------------------------------------

std::string target_rules::parse_place(std::string_view text, rule& to) {
    if (text == "public") return {};
    if (text.starts_with('.')) {
        to.what = kind::name;
        to.name = small_letters(text);
        if (to.name.ends_with('.')) to.name.pop_back();
        // What ends in a number is read as an address, not looked up (RFC 1123, section 2.1).
        if (to.name.empty() || !is_name(std::string_view(to.name).substr(1)) ||
            number_of<std::uint64_t>(std::string_view(to.name).substr(to.name.rfind('.') + 1)))
            return quoted(text) + " is not a domain, such as .example.com";
        return {};
    }
    to.what = kind::network;
    const std::size_t slash = text.find('/');
    std::string_view address = text.substr(0, slash);
    if (address.starts_with('[') && address.ends_with(']'))
        address = address.substr(1, address.size() - 2);
    const auto at = socket_address::from_ip(address, 0);
    if (!at || address.find('%') != address.npos)
        return quoted(text) + " is not a network (10.0.0.0/8), a domain (.example.com) or 'public'";
    to.network = at->ip_bytes();
    const unsigned most = at->family() == address_family::ipv4 ? 32 : 128;
    const auto bits = slash == text.npos ? most : number_of<unsigned>(text.substr(slash + 1));
    if (!bits || *bits > most)
        return quoted(text) + " has no prefix of 0 to " + std::to_string(most) + " bits";
    to.bits = *bits + 128 - most;
    for (std::size_t i = to.bits; i < 128; ++i)
        if ((to.network[i / 8] >> (7 - i % 8) & 1) != 0)
            return quoted(text) + " says more of the address than its " + std::to_string(*bits) +
                   " bits";
    return {};
}

std::string target_rules::add(std::string_view text) {
    rule r;
    r.text = text;
    const std::size_t colon = colon_of_ports(text);
    if (std::string wrong = parse_place(text.substr(0, colon), r); !wrong.empty()) return wrong;
    if (colon != text.npos)
        if (std::string wrong = parse_ports(text.substr(colon + 1), r.ports); !wrong.empty())
            return wrong;
    rules_.push_back(std::move(r));
    return {};
}

bool target_rules::matches(const rule& r, std::string_view host,
                           const socket_address& at) noexcept {
    const std::uint16_t port = at.port();
    const auto has = [port](const port_range& p) { return p.first <= port && port <= p.second; };
    if (!r.ports.empty() && std::ranges::none_of(r.ports, has)) return false;
    const ip address = at.ip_bytes();
    switch (r.what) {
        case kind::network:
            // An IPv6 network that is wide enough would have IPv4's place in it.
            return within(address, r.network, r.bits) &&
                   is_v4(address) == (r.bits >= v4_bits && is_v4(r.network));
        case kind::name:
            return (host.ends_with(r.name) || host == std::string_view(r.name).substr(1)) &&
                   is_elsewhere(address);
        case kind::everything_public:
            return is_global(address);
    }
    return false;
}

bool target_rules::allow(std::string_view host, const socket_address& at) const noexcept {
    if (!at.is_ip()) return false;
    if (rules_.empty()) return matches({}, host, at);
    return std::ranges::any_of(rules_, [&](const rule& r) { return matches(r, host, at); });
}

std::string target_rules::to_string() const {
    if (rules_.empty()) return "public";
    std::string all;
    for (const rule& r : rules_)
        all += (all.empty() ? "" : " ") + r.text;
    return all;
}

}  // namespace libp
