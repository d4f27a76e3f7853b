#pragma once

// The address of a socket: IPv4, IPv6 with an optional zone, or a UNIX path (abstract ones start
// with '@').
//
// Text forms, as parse() reads and to_string() writes them:
//     127.0.0.1:80    [::1]:80    [fe80::1%eth0]:80    /run/x.sock    ./x.sock    @name
// Names are not addresses: see resolver.h. host_port below splits "HOST:PORT" without deciding.

#include <libp/result.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

struct sockaddr;

namespace libp {

enum class address_family : std::uint8_t { none, ipv4, ipv6, unix_path };

class socket_address {
  public:
    socket_address() noexcept = default;

    // A numeric address with its port, or a UNIX path. Errors: invalid.
    static result<socket_address> parse(std::string_view text);
    // "127.0.0.1", "::1", "fe80::1%eth0" (no brackets) and a port in host byte order. Errors:
    // invalid (a name is invalid here).
    static result<socket_address> from_ip(std::string_view ip, std::uint16_t port);
    // A path of at most longest_path() bytes; '@' first means Linux's abstract namespace
    // (unsupported elsewhere).
    static result<socket_address> from_path(std::string_view path);
    static std::size_t longest_path() noexcept;  // 107 on Linux
    // From the system's own form; `size` bytes at `raw`.
    static socket_address from_raw(const sockaddr* raw, std::size_t size) noexcept;

    address_family family() const noexcept;
    bool is_ip() const noexcept {
        return family() == address_family::ipv4 || family() == address_family::ipv6;
    }
    std::uint16_t port() const noexcept;  // 0 for UNIX
    void set_port(std::uint16_t port) noexcept;
    bool is_loopback() const noexcept;  // 127.0.0.0/8, ::1, ::ffff:127.0.0.0/104, any UNIX path
    bool is_wildcard() const noexcept;
    // The IP address alone, in network order; an IPv4 one as ::ffff:a.b.c.d. All zero for what is
    // none.
    std::array<std::uint8_t, 16> ip_bytes() const noexcept;
    std::string to_string() const;  // "?" for none, "(unnamed)" for a UNIX socket without a path
    std::string path() const;       // UNIX only; "" otherwise or unnamed

    const sockaddr* raw() const noexcept { return reinterpret_cast<const sockaddr*>(storage_); }
    std::size_t raw_size() const noexcept { return size_; }

    friend bool operator==(const socket_address& a, const socket_address& b) noexcept;

  private:
    alignas(8) unsigned char storage_[128] =
        {};  // sockaddr_storage's size on every POSIX system we know (asserted)
    std::uint32_t size_ = 0;
};

// "HOST:PORT", ":PORT", "PORT", "[v6]:PORT", "HOST" in pieces. PORT may be a service name.
struct host_port {
    std::string host;               // without brackets; empty: none was given
    std::string port;               // empty: none was given
    std::string to_string() const;  // with brackets where they are needed
};

// `text` as above. A bare number is a port when `bare_is_port`, else a host. Errors: invalid (two
// colons without brackets, an unclosed bracket, a port above 65535, something after the port).
result<host_port> split_host_port(std::string_view text, bool bare_is_port);

}  // namespace libp
