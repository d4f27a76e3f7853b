#include <libp/number.h>
#include <libp/socket_address.h>

#include "os_calls.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <optional>

namespace libp {

// storage_ holds a sockaddr_in, sockaddr_in6 or sockaddr_un in one canonical form (padding and flow
// information zero, UNIX paths with their size exact and a final zero where it fits), so that equal
// addresses are equal bytes. Only from_raw() writes it, and set_port().

namespace {

constexpr std::size_t path_offset = offsetof(sockaddr_un, sun_path);
constexpr std::size_t path_room = sizeof(sockaddr_un::sun_path);

template <class T>
T load(const sockaddr* raw, std::size_t size = sizeof(T)) noexcept {
    T out{};
    std::memcpy(&out, raw, std::min(size, sizeof(T)));
    return out;
}

// An interface's name, or its number.
std::optional<std::uint32_t> zone_index(const std::string& zone) noexcept {
    if (const unsigned index = if_nametoindex(zone.c_str())) return index;
    const auto index = number_of<std::uint32_t>(zone);
    return index && *index != 0 ? index : std::nullopt;
}

std::string zone_name(std::uint32_t index) {
    char name[IF_NAMESIZE];
    return if_indextoname(index, name) ? name : std::to_string(index);
}

bool is_mapped(const in6_addr& a) noexcept {
    return IN6_IS_ADDR_V4MAPPED(&a);
}

// The last four bytes: the IPv4 address of a mapped one.
const std::uint8_t* mapped_part(const in6_addr& a) noexcept {
    return a.s6_addr + 12;
}

}  // namespace

result<socket_address> socket_address::parse(std::string_view text) {
    if (text.starts_with('/') || text.starts_with("./") || text.starts_with("../") ||
        text.starts_with('@'))
        return from_path(text);
    const auto split = split_host_port(text, false);
    if (!split) return split.error();
    const auto port = number_of<std::uint16_t>(split->port);
    if (!port) return error{reason::invalid};
    return from_ip(split->host, *port);
}

result<socket_address> socket_address::from_ip(std::string_view ip, std::uint16_t port) {
    const std::size_t percent = ip.find('%');
    const std::string address(ip.substr(0, percent));
    if (ip.find('\0') != std::string_view::npos) return error{reason::invalid};

    sockaddr_in v4{};
    if (percent == std::string_view::npos &&
        inet_pton(AF_INET, address.c_str(), &v4.sin_addr) == 1) {
        v4.sin_family = AF_INET;
        v4.sin_port = htons(port);
        return from_raw(reinterpret_cast<const sockaddr*>(&v4), sizeof v4);
    }
    sockaddr_in6 v6{};
    if (inet_pton(AF_INET6, address.c_str(), &v6.sin6_addr) != 1) return error{reason::invalid};
    if (percent != std::string_view::npos) {
        const auto zone = zone_index(std::string(ip.substr(percent + 1)));
        if (!zone) return error{reason::invalid};
        v6.sin6_scope_id = *zone;
    }
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    return from_raw(reinterpret_cast<const sockaddr*>(&v6), sizeof v6);
}

result<socket_address> socket_address::from_path(std::string_view path) {
    const bool abstract = path.starts_with('@');
    if (path.size() <= (abstract ? 1 : 0) || path.size() > longest_path() ||
        path.find('\0') != std::string_view::npos)
        return error{reason::invalid};
    if (abstract && !has_abstract_paths()) return error{reason::unsupported};

    sockaddr_un un{};
    un.sun_family = AF_UNIX;
    std::memcpy(un.sun_path, path.data(), path.size());
    if (abstract) un.sun_path[0] = '\0';
    return from_raw(reinterpret_cast<const sockaddr*>(&un), path_offset + path.size());
}

std::size_t socket_address::longest_path() noexcept {
    return path_room - 1;
}

socket_address socket_address::from_raw(const sockaddr* raw, std::size_t size) noexcept {
    static_assert(sizeof storage_ >= sizeof(sockaddr_storage));
    static_assert(alignof(socket_address) >= alignof(sockaddr_storage));
    socket_address out;
    const auto keep = [&out](const auto& canonical, std::size_t length) {
        std::memcpy(out.storage_, &canonical, length);
        out.size_ = static_cast<std::uint32_t>(length);
    };
    if (raw == nullptr || size < offsetof(sockaddr, sa_family) + sizeof raw->sa_family) return out;

    switch (load<sockaddr>(raw, size).sa_family) {
        case AF_INET:
            if (size >= sizeof(sockaddr_in)) {
                const auto from = load<sockaddr_in>(raw);
                sockaddr_in to{};
                to.sin_family = AF_INET;
                to.sin_port = from.sin_port;
                to.sin_addr = from.sin_addr;
                keep(to, sizeof to);
            }
            break;
        case AF_INET6:
            if (size >= sizeof(sockaddr_in6)) {
                const auto from = load<sockaddr_in6>(raw);
                sockaddr_in6 to{};
                to.sin6_family = AF_INET6;
                to.sin6_port = from.sin6_port;
                to.sin6_addr = from.sin6_addr;
                to.sin6_scope_id = from.sin6_scope_id;
                keep(to, sizeof to);
            }
            break;
        case AF_UNIX: {
            // An abstract name is all of `size`; a path ends at its zero, which `size` may or may
            // not count.
            auto un = load<sockaddr_un>(raw, size);
            const std::size_t given =
                std::min(std::max(size, path_offset) - path_offset, path_room);
            std::size_t length = given;
            if (given > 0 && un.sun_path[0] != '\0') {
                length = strnlen(un.sun_path, given);
                if (length < path_room) un.sun_path[length++] = '\0';
            }
            sockaddr_un to{};
            to.sun_family = AF_UNIX;
            std::memcpy(to.sun_path, un.sun_path, length);
            keep(to, path_offset + length);
            break;
        }
        default:
            break;
    }
    return out;
}

address_family socket_address::family() const noexcept {
    if (size_ == 0) return address_family::none;
    switch (load<sockaddr>(raw(), size_).sa_family) {
        case AF_INET:
            return address_family::ipv4;
        case AF_INET6:
            return address_family::ipv6;
        default:
            return address_family::unix_path;
    }
}

std::uint16_t socket_address::port() const noexcept {
    if (family() == address_family::ipv4) return ntohs(load<sockaddr_in>(raw()).sin_port);
    if (family() == address_family::ipv6) return ntohs(load<sockaddr_in6>(raw()).sin6_port);
    return 0;
}

void socket_address::set_port(std::uint16_t port) noexcept {
    const std::uint16_t wire = htons(port);
    if (family() == address_family::ipv4)
        std::memcpy(storage_ + offsetof(sockaddr_in, sin_port), &wire, sizeof wire);
    if (family() == address_family::ipv6)
        std::memcpy(storage_ + offsetof(sockaddr_in6, sin6_port), &wire, sizeof wire);
}

bool socket_address::is_loopback() const noexcept {
    switch (family()) {
        case address_family::none:
            return false;
        case address_family::ipv4:
            return ntohl(load<sockaddr_in>(raw()).sin_addr.s_addr) >> 24 == 127;
        case address_family::ipv6: {
            const in6_addr a = load<sockaddr_in6>(raw()).sin6_addr;
            return IN6_IS_ADDR_LOOPBACK(&a) || (is_mapped(a) && mapped_part(a)[0] == 127);
        }
        case address_family::unix_path:
            return true;
    }
    return false;
}

bool socket_address::is_wildcard() const noexcept {
    if (family() == address_family::ipv4)
        return load<sockaddr_in>(raw()).sin_addr.s_addr == htonl(INADDR_ANY);
    if (family() != address_family::ipv6) return false;
    const in6_addr a = load<sockaddr_in6>(raw()).sin6_addr;
    constexpr std::uint8_t any_v4[4] = {};
    return IN6_IS_ADDR_UNSPECIFIED(&a) ||
           (is_mapped(a) && std::memcmp(mapped_part(a), any_v4, sizeof any_v4) == 0);
}

std::array<std::uint8_t, 16> socket_address::ip_bytes() const noexcept {
    std::array<std::uint8_t, 16> bytes{};
    if (family() == address_family::ipv6) {
        const in6_addr a = load<sockaddr_in6>(raw()).sin6_addr;
        std::memcpy(bytes.data(), &a, sizeof a);
    } else if (family() == address_family::ipv4) {
        const in_addr a = load<sockaddr_in>(raw()).sin_addr;
        bytes[10] = bytes[11] = 0xff;
        std::memcpy(bytes.data() + 12, &a, sizeof a);
    }
    return bytes;
}

std::string socket_address::to_string() const {
    char text[INET6_ADDRSTRLEN];
    switch (family()) {
        case address_family::none:
            break;
        case address_family::ipv4: {
            const in_addr a = load<sockaddr_in>(raw()).sin_addr;
            if (!inet_ntop(AF_INET, &a, text, sizeof text)) break;
            return host_port{text, std::to_string(port())}.to_string();
        }
        case address_family::ipv6: {
            const auto v6 = load<sockaddr_in6>(raw());
            if (!inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text)) break;
            std::string host = text;
            if (v6.sin6_scope_id != 0) host += "%" + zone_name(v6.sin6_scope_id);
            return host_port{host, std::to_string(port())}.to_string();
        }
        case address_family::unix_path: {
            std::string name = path();
            if (name.empty()) return "(unnamed)";
            // A peer chooses its own name: it must not be able to write lines of our log.
            for (char& c : name)
                if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = '?';
            const bool parses =
                name.starts_with('/') || name.starts_with('.') || name.starts_with('@');
            return parses ? name : "./" + name;
        }
    }
    return "?";
}

std::string socket_address::path() const {
    if (family() != address_family::unix_path || size_ <= path_offset) return "";
    const auto un = load<sockaddr_un>(raw(), size_);
    const std::size_t length = size_ - path_offset;
    if (un.sun_path[0] != '\0') return std::string(un.sun_path, strnlen(un.sun_path, length));
    std::string name(un.sun_path, length);
    name[0] = '@';
    return name;
}

bool operator==(const socket_address& a, const socket_address& b) noexcept {
    return a.size_ == b.size_ && std::memcmp(a.storage_, b.storage_, a.size_) == 0;
}

}  // namespace libp
