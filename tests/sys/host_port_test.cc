#include <libp/socket_address.h>

#include <gtest/gtest.h>

namespace libp {
namespace {

std::string split(std::string_view text, bool bare_is_port = false) {
    const auto r = split_host_port(text, bare_is_port);
    if (!r) return std::string("<") + name_of(r.error().why) + ">";
    return r->host + "|" + r->port;
}

TEST(HostPort, Splits) {
    EXPECT_EQ(split("example.org:80"), "example.org|80");
    EXPECT_EQ(split("example.org:http"), "example.org|http");
    EXPECT_EQ(split(":80"), "|80");
    EXPECT_EQ(split("example.org"), "example.org|");
    EXPECT_EQ(split("127.0.0.1:0"), "127.0.0.1|0");
    EXPECT_EQ(split("h:65535"), "h|65535");
}

TEST(HostPort, BracketsKeepColonsApart) {
    EXPECT_EQ(split("[::1]:80"), "::1|80");
    EXPECT_EQ(split("[::1]"), "::1|");
    EXPECT_EQ(split("[fe80::1%eth0]:http"), "fe80::1%eth0|http");
}

TEST(HostPort, BareNumberIsWhatTheCallerSays) {
    EXPECT_EQ(split("80", true), "|80");
    EXPECT_EQ(split("80", false), "80|");
    EXPECT_EQ(split("http", true), "http|");
    EXPECT_EQ(split("65536", true), "<invalid>");
    EXPECT_EQ(split("[::1]", true), "::1|");
}

TEST(HostPort, Refuses) {
    for (const char* text : {"",           ":",
                             "h:",         "::1",
                             "a:b:c",      "[::1",
                             "[::1]80",    "[::1]:",
                             "[]:80",      "[]",
                             "h:65536",    "h:99999999999999999999",
                             "h:80x",      "h:80 ",
                             "h:80/tcp",   "h:-1",
                             "h:+1",       " h:80",
                             "a b:80",     "a]:80",
                             "[a[::1]:80", "[127.0.0.1]:80",
                             "[name]:80",  "h\n:80"})
        EXPECT_EQ(split(text), "<invalid>") << '"' << text << '"';
}

TEST(HostPort, PrintsWhatItSplits) {
    for (const char* text : {"[::1]:80", "h:http", ":80", "h", "[fe80::1%eth0]"})
        EXPECT_EQ(split_host_port(text, false)->to_string(), text);
}

}  // namespace
}  // namespace libp
