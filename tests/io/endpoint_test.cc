#include <libp/endpoint.h>

#include <gtest/gtest.h>

namespace libp {
namespace {

endpoint parsed(std::string_view text, std::string_view default_port = {}) {
    result<endpoint> e = endpoint::parse(text, default_port);
    EXPECT_TRUE(e) << text;
    return e ? *e : endpoint{};
}

TEST(endpoint, reads_every_form) {
    struct {
        const char *text, *host, *port;
    } const forms[] = {
        {"22", "", "22"},
        {":22", "", "22"},
        {"*:22", "", "22"},
        {"127.0.0.1:80", "127.0.0.1", "80"},
        {"relay.example:https", "relay.example", "https"},
        {"[::1]:80", "::1", "80"},
        {"[fe80::1%eth0]:80", "fe80::1%eth0", "80"},
    };
    for (const auto& f : forms) {
        SCOPED_TRACE(f.text);
        endpoint e = parsed(f.text);
        EXPECT_FALSE(e.is_unix());
        EXPECT_EQ(e.where.host, f.host);
        EXPECT_EQ(e.where.port, f.port);
        endpoint again = parsed(e.to_string());
        EXPECT_EQ(again.where.host, f.host);
        EXPECT_EQ(again.where.port, f.port);
    }
}

TEST(endpoint, fills_a_missing_port_or_asks_for_it) {
    EXPECT_EQ(parsed("relay.example", "22").where.port, "22");
    EXPECT_EQ(parsed("[::1]", "22").to_string(), "[::1]:22");
    EXPECT_EQ(parsed("relay.example:80", "22").where.port, "80");
    EXPECT_FALSE(endpoint::parse("relay.example"));
    EXPECT_FALSE(endpoint::parse("[::1]"));
}

TEST(endpoint, knows_unix_paths_by_their_beginning) {
    for (const char* path : {"/run/x.sock", "./x", "/a:80", "/"}) {
        SCOPED_TRACE(path);
        endpoint e = parsed(path);
        EXPECT_TRUE(e.is_unix());
        EXPECT_EQ(e.unix_path, path);
        EXPECT_EQ(e.to_string(), path);
    }
    EXPECT_FALSE(endpoint::parse("/" + std::string(200, 'x'))) << "longer than a socket's address";
}

TEST(endpoint, refuses_what_is_none) {
    for (const char* text : {"", ":", "host:", "host:70000", "::1:80", "[::1", "[::1]80", "a b:80",
                             "host:80:80", "70000", "host:-1"}) {
        result<endpoint> e = endpoint::parse(text);
        EXPECT_FALSE(e) << text;
        EXPECT_EQ(e.error().why, reason::invalid) << text;
    }
}

}  // namespace
}  // namespace libp
