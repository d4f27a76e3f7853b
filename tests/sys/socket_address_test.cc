#include <libp/os.h>
#include <libp/socket_address.h>

#include <gtest/gtest.h>

#include <net/if.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <cstring>
#include <vector>

namespace libp {
namespace {

constexpr bool abstract_paths = std::string_view(os_name) == "linux";

reason parse_error(std::string_view text) {
    return socket_address::parse(text).error().why;
}

// The loopback interface, whatever this system calls it.
std::string loopback_name() {
    for (const char* name : {"lo", "lo0"})
        if (if_nametoindex(name) != 0) return name;
    return "";
}

TEST(SocketAddress, TextGoesBothWays) {
    for (const char* text :
         {"127.0.0.1:80", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:80", "[::]:0",
          "[2001:db8::1]:443", "[::ffff:1.2.3.4]:5", "/run/x.sock", "./x.sock", "../x.sock"}) {
        const auto a = socket_address::parse(text);
        ASSERT_TRUE(a) << text;
        EXPECT_EQ(a->to_string(), text);
        EXPECT_EQ(*socket_address::parse(a->to_string()), *a);
    }
}

TEST(SocketAddress, Refuses) {
    for (const char* text : {"",
                             "localhost:80",
                             "127.0.0.1",
                             "127.1:80",
                             "127.0.0.256:80",
                             "127.0.0.1:http",
                             "127.0.0.1:65536",
                             "127.0.0.1:-1",
                             "::1:80",
                             "[::1]",
                             "[::1:80",
                             "[127.0.0.1]:80",
                             "[::1%]:80",
                             "[::1%no-such-if]:80",
                             "[::1%0]:80",
                             "127.0.0.1%1:80",
                             ":80",
                             "80",
                             "@",
                             "1.2.3.4:5 "})
        EXPECT_EQ(parse_error(text), reason::invalid) << '"' << text << '"';
    EXPECT_EQ(parse_error(std::string_view("127.0.0.1\0:80", 13)), reason::invalid);
    EXPECT_EQ(parse_error(std::string_view("/run\0x", 6)), reason::invalid);
}

TEST(SocketAddress, Families) {
    const auto v4 = *socket_address::parse("10.0.0.1:80");
    EXPECT_EQ(v4.family(), address_family::ipv4);
    EXPECT_TRUE(v4.is_ip());
    EXPECT_EQ(v4.port(), 80);
    EXPECT_EQ(v4.path(), "");
    EXPECT_EQ(v4.raw_size(), sizeof(sockaddr_in));

    const auto v6 = *socket_address::from_ip("2001:db8::1", 443);
    EXPECT_EQ(v6.family(), address_family::ipv6);
    EXPECT_EQ(v6.to_string(), "[2001:db8::1]:443");

    const auto local = *socket_address::parse("/run/x.sock");
    EXPECT_EQ(local.family(), address_family::unix_path);
    EXPECT_FALSE(local.is_ip());
    EXPECT_EQ(local.port(), 0);
    EXPECT_EQ(local.path(), "/run/x.sock");

    const socket_address none;
    EXPECT_EQ(none.family(), address_family::none);
    EXPECT_EQ(none.to_string(), "?");
    EXPECT_EQ(none, socket_address{});
    EXPECT_FALSE(none == v4);
}

TEST(SocketAddress, BytesOfTheIpAlone) {
    const auto bytes = [](std::string_view text) {
        const auto b = socket_address::parse(text)->ip_bytes();
        return std::vector<int>(b.begin(), b.end());
    };
    const std::vector<int> v4{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 1, 2, 200};
    EXPECT_EQ(bytes("10.1.2.200:80"), v4);
    EXPECT_EQ(bytes("[::ffff:10.1.2.200]:80"), v4);
    EXPECT_EQ(bytes("[2001:db8::102]:1"),
              (std::vector<int>{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2}));
    EXPECT_EQ(bytes("/run/x.sock"), std::vector<int>(16, 0));
}

TEST(SocketAddress, SetPort) {
    for (const char* text : {"10.0.0.1:80", "[2001:db8::1]:80"}) {
        auto a = *socket_address::parse(text);
        const auto before = a;
        a.set_port(65000);
        EXPECT_EQ(a.port(), 65000);
        EXPECT_FALSE(a == before);
        a.set_port(80);
        EXPECT_EQ(a, before);
    }
    auto path = *socket_address::parse("/x");
    path.set_port(1);
    EXPECT_EQ(path.to_string(), "/x");
}

TEST(SocketAddress, ZonesByNameAndNumber) {
    const std::string name = loopback_name();
    ASSERT_NE(name, "");
    const auto by_name = socket_address::from_ip("fe80::1%" + name, 80);
    const auto by_number =
        socket_address::from_ip("fe80::1%" + std::to_string(if_nametoindex(name.c_str())), 80);
    ASSERT_TRUE(by_name);
    ASSERT_TRUE(by_number);
    EXPECT_EQ(*by_name, *by_number);
    EXPECT_EQ(by_name->to_string(), "[fe80::1%" + name + "]:80");
    EXPECT_EQ(*socket_address::parse(by_name->to_string()), *by_name);
    EXPECT_FALSE(*by_name == *socket_address::parse("[fe80::1]:80"));

    // An interface that is not there (any more) has no name, only a number.
    EXPECT_EQ(socket_address::from_ip("fe80::1%4000000000", 80)->to_string(),
              "[fe80::1%4000000000]:80");
}

TEST(SocketAddress, LoopbackAndWildcard) {
    const auto is = [](const char* text) {
        const auto a = *socket_address::parse(text);
        return std::string(a.is_loopback() ? "L" : "-") + (a.is_wildcard() ? "W" : "-");
    };
    EXPECT_EQ(is("127.0.0.1:1"), "L-");
    EXPECT_EQ(is("127.255.0.9:1"), "L-");
    EXPECT_EQ(is("128.0.0.1:1"), "--");
    EXPECT_EQ(is("0.0.0.0:1"), "-W");
    EXPECT_EQ(is("[::1]:1"), "L-");
    EXPECT_EQ(is("[::2]:1"), "--");
    EXPECT_EQ(is("[::]:1"), "-W");
    EXPECT_EQ(is("[::ffff:127.1.2.3]:1"), "L-");
    EXPECT_EQ(is("[::ffff:10.0.0.1]:1"), "--");
    EXPECT_EQ(is("[::ffff:0.0.0.0]:1"), "-W");
    EXPECT_EQ(is("/x"), "L-");
    EXPECT_FALSE(socket_address{}.is_loopback());
}

TEST(SocketAddress, PathLength) {
    const std::string longest = "/" + std::string(sizeof(sockaddr_un::sun_path) - 2, 'x');
    const auto a = socket_address::from_path(longest);
    ASSERT_TRUE(a);
    EXPECT_EQ(a->path(), longest);
    EXPECT_EQ(socket_address::from_path(longest + "x").error().why, reason::invalid);
    EXPECT_EQ(socket_address::from_path("").error().why, reason::invalid);
    // from_path() takes any relative path; what it prints can be parsed again.
    EXPECT_EQ(socket_address::from_path("x.sock")->path(), "x.sock");
    EXPECT_EQ(socket_address::from_path("x.sock")->to_string(), "./x.sock");
}

TEST(SocketAddress, AbstractPathsWhereThereAreAny) {
    const auto a = socket_address::parse("@name");
    if (!abstract_paths) {
        EXPECT_EQ(a.error().why, reason::unsupported);
        return;
    }
    ASSERT_TRUE(a);
    EXPECT_EQ(a->path(), "@name");
    EXPECT_EQ(a->to_string(), "@name");
    EXPECT_EQ(a->raw_size(), offsetof(sockaddr_un, sun_path) + 5);
    EXPECT_EQ(*a, *socket_address::from_path("@name"));
    EXPECT_FALSE(*a == *socket_address::from_path("@name2"));
}

TEST(SocketAddress, FromRawIsCanonical) {
    sockaddr_un un{};
    un.sun_family = AF_UNIX;
    std::strcpy(un.sun_path, "/x");
    const auto* raw = reinterpret_cast<const sockaddr*>(&un);
    const auto path = *socket_address::from_path("/x");
    // Systems disagree on whether the size counts the final zero, or the whole structure.
    EXPECT_EQ(socket_address::from_raw(raw, offsetof(sockaddr_un, sun_path) + 2), path);
    EXPECT_EQ(socket_address::from_raw(raw, offsetof(sockaddr_un, sun_path) + 3), path);
    EXPECT_EQ(socket_address::from_raw(raw, sizeof un), path);

    const auto unnamed = socket_address::from_raw(raw, offsetof(sockaddr_un, sun_path));
    EXPECT_EQ(unnamed.family(), address_family::unix_path);
    EXPECT_EQ(unnamed.path(), "");
    EXPECT_EQ(unnamed.to_string(), "(unnamed)");

    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(7);
    in.sin_addr.s_addr = htonl(0x01020304);
    std::memset(in.sin_zero, 0x5a, sizeof in.sin_zero);
    EXPECT_EQ(socket_address::from_raw(reinterpret_cast<const sockaddr*>(&in), sizeof in),
              *socket_address::parse("1.2.3.4:7"));
    EXPECT_EQ(socket_address::from_raw(reinterpret_cast<const sockaddr*>(&in), sizeof in - 1),
              socket_address{});
    EXPECT_EQ(socket_address::from_raw(nullptr, 0), socket_address{});
    in.sin_family = AF_UNSPEC;
    EXPECT_EQ(socket_address::from_raw(reinterpret_cast<const sockaddr*>(&in), sizeof in),
              socket_address{});
}

TEST(SocketAddress, NamesCannotForgeLogLines) {
    sockaddr_un un{};
    un.sun_family = AF_UNIX;
    std::strcpy(un.sun_path, "/a\nb");
    const auto a = socket_address::from_raw(reinterpret_cast<const sockaddr*>(&un), sizeof un);
    EXPECT_EQ(a.path(), "/a\nb");
    EXPECT_EQ(a.to_string(), "/a?b");
}

}  // namespace
}  // namespace libp
