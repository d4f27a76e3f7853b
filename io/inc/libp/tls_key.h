#pragma once

// What two ends can know each other by without certificate authorities: a shared key, or the hash
// of a public key.

#include <libp/secret.h>
#include <libp/types.h>

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace libp {

// A secret that both ends have, and what it is called on the wire. The name is no secret.
struct tls_key {
    std::string id;
    secret_bytes secret;
};

// The text of a key file: a key a line, `id:hex` or bare hex (then its id is "default"), 128 to 512
// bits; empty lines, and those that begin with '#', are nothing. Returns what is wrong, with the
// line's number and never with the line; empty: nothing.
std::string parse_tls_keys(std::string_view text, std::vector<tls_key>& to);

// 256 random bits in hex: a line of a key file.
std::string new_tls_key();

// The SHA-256 of a certificate's public key (its SubjectPublicKeyInfo): as curl and HPKP have it.
struct tls_pin {
    std::array<std::uint8_t, 32> sha256{};
    friend bool operator==(const tls_pin&, const tls_pin&) noexcept = default;

    // "sha256:BASE64"; curl's "sha256//BASE64" too.
    static std::optional<tls_pin> parse(std::string_view text);
    std::string to_string() const;
};

}  // namespace libp
