#pragma once

// Whom a peer may have us connect to: the targets that it names, and the rules that say which of
// them it gets.
//
//  -- the address decides --
//
// A name says nothing about where it leads: whoever runs its DNS may let it stand for 127.0.0.1, or
// for one address when it is looked at and for another when it is used. So rules are asked about
// addresses, about each that the name resolved to, and what they allow is dialled by that address
// (connector_options::admit): nothing is resolved again in between.
//
//  -- rules --
//
// One that matches is enough; where there is none it is as if there was `public`.
//
//     10.0.0.0/8                  an IPv4 network
//     192.0.2.7:22,8000-8100      an address, and those ports of it
//     2001:db8::/32:443           an IPv6 network; [2001:db8::]/32:443 is the same
//     [2001:db8::7]:22            an address with ports needs brackets
//     .example.com:443            the name example.com and all names below it
//     public:80,443               whatever is out there: not this host, not its networks, nothing
//                                 private
//
// `public` is what IANA's special-purpose registries (RFC 6890) call globally reachable: not
// loopback, link-local, private (RFC 1918), shared (100.64.0.0/10), unique local (fc00::/7),
// multicast, reserved, made for documentation or for tests. An address that carries another inside
// counts as that one: IPv4 in IPv6 (::ffff:0:0/96), NAT64 (64:ff9b::/96) and 6to4 (2002::/16);
// Teredo, which hides it, is not public. The public addresses of this very host are public.
//
// A name rule allows what the name resolves to today, be it public or private; but not loopback,
// link-local and multicast: what this host alone can reach is not DNS's to give away, and takes a
// rule that says the address.
//
// IPv4 and IPv6 are apart: 0.0.0.0/0 says nothing about IPv6 and ::/0 nothing about IPv4, however
// it is written.

#include <libp/result.h>
#include <libp/socket_address.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace libp {

// A target as a peer, or a user, names it.
struct target_name {
    // A numeric address without brackets or zone, or a name: lower case, no trailing dot.
    std::string host;
    std::uint16_t port = 0;

    // "HOST:PORT"; both must be there, PORT in digits and not 0. Errors: invalid, for all bytes
    // that are not that.
    static result<target_name> parse(std::string_view text);
    std::string to_string() const;
};

class target_rules {
  public:
    // Adds a rule. Returns what is wrong with its text, for people; empty: nothing.
    std::string add(std::string_view rule);

    // Whether a peer that asked for `host` may be connected to `at`, one of the addresses that it
    // has.
    bool allow(std::string_view host, const socket_address& at) const noexcept;
    // Without any rule of one's own.
    bool empty() const noexcept { return rules_.empty(); }
    // The rules as they were given: "10.0.0.0/8:22 .example.com"; "public" where there is none.
    std::string to_string() const;

  private:
    enum class kind : std::uint8_t { network, name, everything_public };
    struct rule {
        kind what = kind::everything_public;
        std::array<std::uint8_t, 16> network{};  // as socket_address::ip_bytes() has it
        unsigned bits = 0;
        std::string name{};                                            // ".example.com"
        std::vector<std::pair<std::uint16_t, std::uint16_t>> ports{};  // first and last; none: all
        std::string text{};
    };
    static std::string parse_place(std::string_view text, rule& to);
    static bool matches(const rule& r, std::string_view host, const socket_address& at) noexcept;

    std::vector<rule> rules_;
};

}  // namespace libp
