#include <libp/target_rules.h>

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <vector>

namespace libp {
namespace {

socket_address at(std::string_view text) {
    const auto a = socket_address::parse(text);
    EXPECT_TRUE(a) << text;
    return a ? *a : socket_address{};
}

target_rules rules(std::initializer_list<const char*> all) {
    target_rules r;
    for (const char* one : all)
        EXPECT_EQ(r.add(one), "") << one;
    return r;
}

// -- targets --------------------------------------------------------------------------------------

TEST(target_name, reads_what_a_peer_may_ask_for) {
    struct {
        std::string_view text, host;
        int port;
        std::string_view again;
    } const lines[] = {
        {"example.com:22", "example.com", 22, "example.com:22"},
        {"Example.COM.:65535", "example.com", 65535, "example.com:65535"},
        {"10.0.0.1:1", "10.0.0.1", 1, "10.0.0.1:1"},
        {"[2001:DB8::1]:443", "2001:db8::1", 443, "[2001:db8::1]:443"},
        {"_srv.a-b.example:80", "_srv.a-b.example", 80, "_srv.a-b.example:80"},
        {"localhost:080", "localhost", 80, "localhost:80"},
    };
    for (const auto& line : lines) {
        const auto t = target_name::parse(line.text);
        ASSERT_TRUE(t) << line.text;
        EXPECT_EQ(t->host, line.host);
        EXPECT_EQ(t->port, line.port);
        EXPECT_EQ(t->to_string(), line.again);
    }
}

TEST(target_name, refuses_all_else) {
    const std::string label(64, 'a'), name = label.substr(1) + ".";
    for (const std::string& text : {std::string(),
                                    std::string("host"),
                                    std::string("22"),
                                    std::string(":22"),
                                    std::string("host:"),
                                    std::string("host:0"),
                                    std::string("host:65536"),
                                    std::string("host:ssh"),
                                    std::string("host:-1"),
                                    std::string("host:+1"),
                                    std::string("host: 1"),
                                    std::string("host:1:2"),
                                    std::string("::1:22"),
                                    std::string("[::1]"),
                                    std::string("[fe80::1%1]:22"),
                                    std::string("[fe80::1%lo]:22"),
                                    std::string("[1.2.3.4]:22"),
                                    std::string("[host]:22"),
                                    std::string("/run/x.sock"),
                                    std::string("@x:1"),
                                    std::string("user@host:1"),
                                    std::string("a/b:1"),
                                    std::string(".host:1"),
                                    std::string("a..b:1"),
                                    std::string(".:1"),
                                    std::string("..:1"),
                                    std::string("a b:1"),
                                    std::string("a\nb:1"),
                                    std::string("h\xc3\xb6st:1"),
                                    std::string("host\0:1", 7),
                                    std::string("host:1\0", 7),
                                    label + ":1",
                                    name + name + name + name + "a:1",
                                    std::string("*:22"),
                                    std::string(1020, 'x')})
        EXPECT_FALSE(target_name::parse(text)) << text;
}

// -- what is public -------------------------------------------------------------------------------

TEST(target_rules, without_a_rule_only_what_is_out_there_is_allowed) {
    const target_rules none;
    EXPECT_TRUE(none.empty());
    EXPECT_EQ(none.to_string(), "public");
    for (const char* ok :
         {"1.1.1.1:53", "9.255.255.255:1", "11.0.0.0:1", "100.63.255.255:1", "100.128.0.0:1",
          "126.255.255.255:1", "128.0.0.1:1", "169.253.255.255:1", "169.255.0.0:1",
          "172.15.255.255:1", "172.32.0.0:1", "192.167.255.255:1", "192.169.0.0:1",
          "223.255.255.255:1", "[2a00:1450::1]:443", "[2620:fe::fe]:1", "[::ffff:1.1.1.1]:1",
          "[64:ff9b::101:101]:1", "[2002:101:101::1]:1"}) {
        EXPECT_TRUE(none.allow("name", at(ok))) << ok;
        EXPECT_TRUE(rules({"public"}).allow("name", at(ok))) << ok;
    }
    for (const char* no : {
             "0.0.0.0:22",
             "0.1.2.3:22",
             "10.0.0.1:22",
             "10.255.255.255:22",
             "100.64.0.1:22",
             "100.127.255.255:22",
             "127.0.0.1:22",
             "127.255.255.254:22",
             "169.254.169.254:80",
             "172.16.0.1:22",
             "172.31.255.255:22",
             "192.0.0.1:22",
             "192.0.2.1:22",
             "192.168.0.1:22",
             "198.18.0.1:22",
             "198.19.255.255:22",
             "198.51.100.1:22",
             "203.0.113.1:22",
             "224.0.0.1:22",
             "239.255.255.255:22",
             "240.0.0.1:22",
             "255.255.255.255:22",
             "[::]:22",
             "[::1]:22",
             "[::7f00:1]:22",                   // the old way to carry IPv4
             "[::ffff:0.0.0.0]:22",             // IPv4 in IPv6
             "[::ffff:127.0.0.1]:22",           //
             "[::ffff:10.0.0.1]:22",            //
             "[::ffff:169.254.169.254]:80",     //
             "[::ffff:0:127.0.0.1]:22",         // translated (SIIT)
             "[64:ff9b::7f00:1]:22",            // NAT64
             "[64:ff9b::a9fe:a9fe]:80",         //
             "[64:ff9b::a00:1]:22",             //
             "[64:ff9b::c0a8:1]:22",            //
             "[64:ff9b:1::101:101]:22",         // of a network's own
             "[2002:7f00:1::1]:22",             // 6to4
             "[2002:a00:1::1]:22",              //
             "[2001:0:101:101::fefe:fefe]:22",  // Teredo
             "[2001:db8::1]:22",
             "[3fff::1]:22",
             "[100::1]:22",
             "[5f00::1]:22",
             "[fc00::1]:22",
             "[fd00:ec2::254]:80",
             "[fe80::1]:22",
             "[fec0::1]:22",
             "[ff02::1]:22",
         }) {
        EXPECT_FALSE(none.allow("name", at(no))) << no;
        EXPECT_FALSE(rules({"public"}).allow("name", at(no))) << no;
    }
    EXPECT_FALSE(none.allow("", socket_address{}));
    EXPECT_FALSE(none.allow("", at("/run/x.sock")));
}

// -- rules ----------------------------------------------------------------------------------------

struct decision {
    const char* host;
    const char* address;
    bool allowed;
};

void expect_decisions(const target_rules& r, std::initializer_list<decision> all) {
    for (const decision& d : all)
        EXPECT_EQ(r.allow(d.host, at(d.address)), d.allowed) << d.host << " at " << d.address;
}

TEST(target_rules, networks_of_ipv4) {
    expect_decisions(rules({"10.0.0.0/8:22,80-90"}), {{"a", "10.0.0.0:22", true},
                                                      {"a", "10.255.255.255:80", true},
                                                      {"a", "10.1.2.3:90", true},
                                                      {"a", "10.1.2.3:91", false},
                                                      {"a", "10.1.2.3:79", false},
                                                      {"a", "11.0.0.0:22", false},
                                                      {"a", "1.1.1.1:22", false},
                                                      {"a", "[::ffff:10.1.2.3]:22", true},
                                                      {"a", "[64:ff9b::a00:1]:22", false},
                                                      {"a", "[a00::]:22", false}});
    expect_decisions(rules({"192.0.2.7:1-65535"}),
                     {{"a", "192.0.2.7:65535", true}, {"a", "192.0.2.6:1", false}});
    expect_decisions(rules({"172.16.0.0/12"}), {{"a", "172.31.255.255:9", true},
                                                {"a", "172.32.0.0:9", false},
                                                {"a", "172.15.255.255:9", false}});
    expect_decisions(
        rules({"0.0.0.0/0"}),
        {{"a", "127.0.0.1:9", true}, {"a", "[::1]:9", false}, {"a", "[2a00::1]:9", false}});
}

TEST(target_rules, networks_of_ipv6) {
    for (const char* text : {"2001:db8::/33:443", "[2001:db8::]/33:443"})
        expect_decisions(rules({text}), {{"a", "[2001:db8:7fff::1]:443", true},
                                         {"a", "[2001:db8:8000::1]:443", false},
                                         {"a", "[2001:db8::1]:444", false}});
    expect_decisions(rules({"[2001:db8::7]:22"}),
                     {{"a", "[2001:db8::7]:22", true}, {"a", "[2001:db8::7]:23", false}});
    expect_decisions(rules({"::1"}), {{"a", "[::1]:5", true}, {"a", "[::]:5", false}});
    // Everything there is of IPv6 is still nothing of IPv4.
    expect_decisions(rules({"::/0"}), {{"a", "[::1]:5", true},
                                       {"a", "[fd00::1]:5", true},
                                       {"a", "127.0.0.1:5", false},
                                       {"a", "[::ffff:127.0.0.1]:5", false}});
    expect_decisions(rules({"::ffff:10.0.0.0/104"}),
                     {{"a", "10.1.2.3:5", true}, {"a", "11.1.2.3:5", false}});
    expect_decisions(rules({"::/80"}), {{"a", "[::1]:5", true}, {"a", "10.1.2.3:5", false}});
}

TEST(target_rules, domains) {
    const target_rules r = rules({".example.com:443", ".Corp.Example."});
    expect_decisions(r, {{"example.com", "1.1.1.1:443", true},
                         {"a.example.com", "1.1.1.1:443", true},
                         {"a.b.example.com", "10.0.0.1:443", true},
                         {"a.example.com", "1.1.1.1:80", false},
                         {"badexample.com", "1.1.1.1:443", false},
                         {"example.com.evil", "1.1.1.1:443", false},
                         {"com", "1.1.1.1:443", false},
                         {"1.1.1.1", "1.1.1.1:443", false},
                         {"db.corp.example", "10.0.0.1:5432", true},
                         {"db.corp.example", "[fd00::1]:5432", true},
                         {"db.corp.example", "[2a00::1]:5432", true}});
    // Whatever a name is made to stand for, it is not this host, nor what only this host reaches.
    for (const char* here :
         {"127.0.0.1:443", "0.0.0.0:443", "169.254.169.254:443", "224.0.0.1:443", "[::1]:443",
          "[::]:443", "[fe80::1]:443", "[ff02::1]:443", "[::ffff:127.0.0.1]:443",
          "[64:ff9b::7f00:1]:443", "[2002:7f00:1::]:443", "[2001:0:1::1]:443"})
        EXPECT_FALSE(r.allow("db.corp.example", at(here))) << here;
}

TEST(target_rules, one_that_matches_is_enough_and_rules_take_the_place_of_the_default) {
    const target_rules r = rules({"127.0.0.0/8:5432", ".example.com", "public:80"});
    EXPECT_FALSE(r.empty());
    EXPECT_EQ(r.to_string(), "127.0.0.0/8:5432 .example.com public:80");
    expect_decisions(r, {{"localhost", "127.0.0.1:5432", true},
                         {"localhost", "127.0.0.1:80", false},
                         {"www.example.com", "1.1.1.1:22", true},
                         {"www.example.org", "1.1.1.1:80", true},
                         {"www.example.org", "1.1.1.1:22", false},
                         {"www.example.org", "10.0.0.1:80", false}});
}

TEST(target_rules, a_rule_that_is_none_is_told_as_such) {
    struct {
        const char *text, *wrong;
    } const lines[] = {
        {"", "'' is not a network (10.0.0.0/8), a domain (.example.com) or 'public'"},
        {"example.com",
         "'example.com' is not a network (10.0.0.0/8), a domain (.example.com) or 'public'"},
        {"10.0.0.0/33", "'10.0.0.0/33' has no prefix of 0 to 32 bits"},
        {"10.0.0.0/", "'10.0.0.0/' has no prefix of 0 to 32 bits"},
        {"10.0.0.0/255.0.0.0", "'10.0.0.0/255.0.0.0' has no prefix of 0 to 32 bits"},
        {"::/129", "'::/129' has no prefix of 0 to 128 bits"},
        {"10.0.0.1/8", "'10.0.0.1/8' says more of the address than its 8 bits"},
        {"2001:db8::1/64", "'2001:db8::1/64' says more of the address than its 64 bits"},
        {"10.0.0.0/8:", "'' is not a port (22) or a range (80-90)"},
        {"10.0.0.0/8:0", "'0' is not a port (22) or a range (80-90)"},
        {"10.0.0.0/8:ssh", "'ssh' is not a port (22) or a range (80-90)"},
        {"10.0.0.0/8:90-80", "'90-80' is not a port (22) or a range (80-90)"},
        {"10.0.0.0/8:22,,80", "'' is not a port (22) or a range (80-90)"},
        {"10.0.0.0/8:65536", "'65536' is not a port (22) or a range (80-90)"},
        {".", "'.' is not a domain, such as .example.com"},
        {"..a", "'..a' is not a domain, such as .example.com"},
        {".4", "'.4' is not a domain, such as .example.com"},
        {".a.4:80", "'.a.4' is not a domain, such as .example.com"},
        {"fe80::1%lo",
         "'fe80::1%lo' is not a network (10.0.0.0/8), a domain (.example.com) or "
         "'public'"},
        {"Public", "'Public' is not a network (10.0.0.0/8), a domain (.example.com) or 'public'"},
    };
    for (const auto& line : lines) {
        target_rules r;
        EXPECT_EQ(r.add(line.text), line.wrong);
        EXPECT_TRUE(r.empty()) << line.text;
    }
}

}  // namespace
}  // namespace libp
