#include <libp/pipe_memory.h>
#include <libp/stack.h>

#include <gtest/gtest.h>

#include <algorithm>

#include "support/seed.h"
#include "support/sim_poller.h"

namespace libp {
namespace {

using base = stack_spec::base_kind;

stack_spec parsed(std::string_view text, std::string_view default_port = {}) {
    auto got = parse_stack(text, default_port);
    if (const auto* e = std::get_if<spec_error>(&got)) {
        ADD_FAILURE() << e->to_string(text);
        return {};
    }
    return std::get<stack_spec>(std::move(got));
}

spec_error fault(std::string_view text, std::string_view default_port = {}) {
    auto got = parse_stack(text, default_port);
    if (auto* e = std::get_if<spec_error>(&got)) return *e;
    ADD_FAILURE() << text << " was taken for " << std::get<stack_spec>(got).to_string();
    return {};
}

TEST(stack, shorthands_stand_for_bases) {
    struct {
        const char* text;
        base kind;
        const char* canonical;
    } const forms[] = {
        {"-", base::stdio, "stdio://"},
        {"443", base::tcp, "tcp://:443"},
        {":443", base::tcp, "tcp://:443"},
        {"*:443", base::tcp, "tcp://:443"},
        {"host:443", base::tcp, "tcp://host:443"},
        {"host", base::tcp, "tcp://host:22"},
        {"[::1]:443", base::tcp, "tcp://[::1]:443"},
        {"[fe80::1%25eth0]:443", base::tcp, "tcp://[fe80::1%25eth0]:443"},
        {"[fe80::1%eth0]:443", base::tcp, "tcp://[fe80::1%25eth0]:443"},
        {"/run/x", base::unix_socket, "unix:///run/x"},
        {"./x", base::unix_socket, "unix://./x"},
        {"/run/a+b,c%d://e", base::unix_socket, "unix:///run/a%2Bb%2Cc%25d://e"},
    };
    for (const auto& f : forms) {
        SCOPED_TRACE(f.text);
        stack_spec s = parsed(f.text, "22");
        EXPECT_EQ(s.base, f.kind);
        EXPECT_TRUE(s.filters.empty());
        EXPECT_EQ(s.to_string(), f.canonical);
    }
}

TEST(stack, reads_layers_options_and_direction) {
    stack_spec s = parsed("dgm,max=64k+tcp-l://relay:8443,bind=192.0.2.10,name=a%2Cb,backup");
    ASSERT_EQ(s.filters.size(), 1u);
    EXPECT_EQ(s.filters[0].name, "dgm");
    ASSERT_TRUE(s.filters[0].find("max"));
    EXPECT_EQ(*s.filters[0].find("max"), "64k");
    EXPECT_FALSE(s.filters[0].find("min"));
    EXPECT_EQ(s.base, base::tcp);
    EXPECT_EQ(s.address.where.host, "relay");
    EXPECT_TRUE(s.listens);
    EXPECT_FALSE(s.connects);
    ASSERT_EQ(s.base_options.size(), 3u);
    EXPECT_EQ(s.base_options[1].value, "a,b");
    EXPECT_EQ(s.base_options[2].value, "yes");
    EXPECT_EQ(*s.find("name"), "a,b");
    EXPECT_FALSE(s.find("n"));
    EXPECT_TRUE(parsed("unix-c:///run/x").connects);
}

TEST(stack, the_last_of_equal_options_counts) {
    stack_spec s = parsed("dgm,max=1k,max=2k+stdio://");
    EXPECT_EQ(*s.filters[0].find("max"), "2k");
}

TEST(stack, knows_the_columns_of_what_it_reads) {
    const std::string_view text = "tls,ca=a%2Cb,name=c+dgm+tcp-c://n:1,cc=x,n=3";
    const stack_spec s = parsed(text);
    const auto at = [&](std::size_t column) { return text.substr(column); };
    EXPECT_TRUE(at(s.filters[0].column).starts_with("tls,"));
    EXPECT_TRUE(at(s.filters[0].options[1].column).starts_with("name=c"));
    EXPECT_TRUE(at(s.filters[1].column).starts_with("dgm+"));
    EXPECT_TRUE(at(s.base_column).starts_with("tcp-c:"));
    EXPECT_EQ(at(s.base_options[1].column), "n=3");
}

TEST(stack, prints_what_it_reads) {
    for (const char* text :
         {"dgm+tcp://relay:443", "dgm,max=64k+unix:///run/x", "stdio://", "tcp-l://:443",
          "tcp-c://[::1]:443,bind=::1,name=a%2Cb%3D,backup", "unix://./a%20b%2B,backup=no"}) {
        stack_spec s = parsed(text);
        EXPECT_EQ(parsed(s.to_string()).to_string(), s.to_string()) << text;
    }
    EXPECT_EQ(parsed("dgm,max=64k+unix:///run/x").to_string(), "dgm,max=64k+unix:///run/x");
    const char* tls =
        "dgm+tls,name=a.b,pin=sha256:47DEQpj8HBSa%2B/TImW%2B5JCeuQeRkm5NMpJWZG3hSuFU=,insecure+"
        "tcp://a:1";
    EXPECT_EQ(parsed(tls).to_string(), tls);
    EXPECT_NE(parsed(tls).filter("tls"), nullptr);
    EXPECT_EQ(parsed("dgm+tcp://a:1").filter("tls"), nullptr);
    EXPECT_EQ(parsed("tls+dgm+tcp://a:1").to_string(), "tls+dgm+tcp://a:1");
}

TEST(stack, a_fault_is_shown_under_the_text) {
    const char* text = "dgm+tsl+tcp://relay:443";
    EXPECT_EQ(fault("tpc://relay:443").to_string("tpc://relay:443"),
              "unknown layer 'tpc' (did you mean 'tcp'?)\n"
              "  tpc://relay:443\n"
              "  ^^^");
    EXPECT_EQ(fault(text).to_string(text),
              "unknown layer 'tsl' (did you mean 'tls'?)\n"
              "  dgm+tsl+tcp://relay:443\n"
              "      ^^^");
}

TEST(stack, says_what_is_wrong_and_where) {
    struct {
        const char* text;
        std::size_t column, width;
        const char* says;
    } const faults[] = {
        {"", 0, 1, "empty"},
        {"dgm", 0, 3, "needs a base"},
        {"tcp", 0, 3, "needs an address"},
        {"relay", 0, 5, "no port in 'relay'"},
        {"a:99999", 0, 7, "'99999' is no port: the last is 65535"},
        {"::1:22", 0, 6, "'::1:22' is no address; IPv6 stands in brackets: [::1]:22"},
        {"a b:80", 0, 6, "no address"},
        {"dmg+tcp://a:1", 0, 3, "did you mean 'dgm'?"},
        {"tcp+dgm+tcp://a:1", 0, 3, "'tcp' is a base"},
        {"+tcp://a:1", 0, 1, "without a name"},
        {"dgm+", 4, 1, "ends in a base"},
        {"dgm+a:443", 4, 5, "ends in a base"},
        {"dgm+dgm", 4, 3, "ends in a base"},
        {"tcp://a:1+dgm", 0, 9, "the base comes last"},
        {"tcp://a:1^tcp://b:2", 9, 1, "'^'"},
        {"dgm://a:1", 0, 3, "is no base"},
        {"://a:1", 0, 1, "without a name"},
        {"tcp://", 6, 1, "missing"},
        {"tcp://a", 6, 1, "no port in 'a'"},
        {"tcp:///run/x", 6, 6, "unix:///run/x"},
        {"tcp://::1:80", 6, 6, "no address"},
        {"unix://run/x", 7, 5, "begins with"},
        {"unix://run", 7, 3, "begins with"},
        {"stdio://x", 8, 1, "takes no address"},
        {"stdio://,name=x", 9, 4, "'stdio' has no option 'name'"},
        {"dgm,mx=1+tcp://a:1", 4, 2, "did you mean 'max'?"},
        {"dgm,+tcp://a:1", 4, 1, "without a name"},
        {"dgm,=1+tcp://a:1", 4, 2, "without a name"},
        {"dgm,max=+tcp://a:1", 8, 1, "takes a size"},
        {"dgm,max+tcp://a:1", 4, 3, "takes a size"},
        {"dgm,max=64q+tcp://a:1", 8, 3, "not '64q'"},
        {"dgm,max=0+tcp://a:1", 8, 1, "takes a size"},
        {"dgm,max=2G+tcp://a:1", 8, 2, "takes a size"},
        {"dgm,max=99999999999999999999+tcp://a:1", 8, 20, "takes a size"},
        {"dgm,max=18014398509481984k+tcp://a:1", 8, 18, "takes a size"},
        {"tcp://a:1,bind=eth0", 15, 4, "an IP address"},
        {"tcp://a:1,backup=maybe", 17, 5, "yes or no"},
        {"tcp://a:1,nmae=x", 10, 4, "did you mean 'name'?"},
        {"tcp://a%zz:1", 7, 3, "%25"},
        {"tcp://a:1,name=%", 15, 1, "%25"},
        {"tcp://a:1,name=%00", 15, 3, "%25"},
        {"tcp://a:1,name=x y", 16, 1, "%20"},
        {"dgm+dgm+tcp://a:1", 0, 3, "needs a stream below"},
        {"tls,insecure+tls,ca=x.pem+tcp://a:1", 13, 12, "'tls' is in this stack already"},
        {"tls+dgm+tls+tcp://a:1", 8, 3, "'tls' is in this stack already"},
    };
    for (const auto& f : faults) {
        SCOPED_TRACE(f.text);
        spec_error e = fault(f.text);
        EXPECT_EQ(e.column, f.column) << e.to_string(f.text);
        EXPECT_EQ(e.width, f.width) << e.to_string(f.text);
        EXPECT_NE(e.message.find(f.says), std::string::npos) << e.message;
    }
}

TEST(stack, says_how_long_a_path_may_be) {
    const std::size_t most = socket_address::longest_path();
    const std::string longest = "/" + std::string(most - 1, 'a');
    EXPECT_EQ(parsed(longest).address.unix_path, longest);
    for (const std::string& path : {longest + "a", "@" + longest})
        for (const std::string& text : {path, "dgm+unix://" + path}) {
            const std::string said = fault(text).message;
            EXPECT_TRUE(said.ends_with("...' is too long for a UNIX path: the limit is " +
                                       std::to_string(most) + " bytes, and it has " +
                                       std::to_string(most + 1)))
                << said;
        }
}

TEST(stack, a_source_has_brackets_and_a_port_or_not) {
    const std::pair<const char*, const char*> sources[] = {
        {"192.0.2.1", "192.0.2.1:0"}, {"192.0.2.1:7", "192.0.2.1:7"}, {"::1", "[::1]:0"},
        {"[::1]", "[::1]:0"},         {"[::1]:7", "[::1]:7"},
    };
    for (const auto& [text, address] : sources) {
        ASSERT_TRUE(parse_source(text)) << text;
        EXPECT_EQ(parse_source(text)->to_string(), address);
        EXPECT_EQ(parsed(std::string("tcp://a:1,bind=") + text).base_options[0].value, text);
    }
    for (const char* text : {"", "[]", "[::1", "::1]", "[[::1]]", "a", "a:1", "/run/x", "[::1]:"})
        EXPECT_FALSE(parse_source(text)) << text;
}

// What a peer or a file says must not forge lines or colours on a terminal.
TEST(stack, faults_are_fit_to_print) {
    std::string text = "d\x1bm\n+tcp://h\xc3\xb6st:1";
    std::string shown = fault(text).to_string(text);
    EXPECT_EQ(shown,
              "unknown layer 'd?m?'\n"
              "  d?m?+tcp://h\xc3\xb6st:1\n"
              "  ^^^^");
    std::string late = "tcp://h\xc3\xb6st:1,x";
    EXPECT_EQ(fault(late).to_string(late),
              "'tcp' has no option 'x'\n"
              "  tcp://h\xc3\xb6st:1,x\n"
              "               ^");
}

// Any input is either refused with a fault inside the text, or printed and read again to the same
// end.
TEST(stack, survives_any_text) {
    const char* const parts[] = {"dgm",  "tcp",   "unix", "stdio", "://", "+",  ",", "=",
                                 "max",  "64k",   "^",    "%",     "%2C", "-l", "-", "host:80",
                                 "/run", "[::1]", ":",    "name",  " ",   "\n", "@", "\xff"};
    for (std::uint64_t seed : test_seeds(20'000)) {
        test_random random(seed);
        std::string text;
        if (random.one_in(4)) {
            text = random.text(random.below(40));
        } else {
            for (std::uint64_t n = random.below(12); n > 0; --n)
                text += parts[random.below(std::size(parts))];
        }
        SCOPED_TRACE(seed_note(seed));
        auto got = parse_stack(text, random.one_in(2) ? "22" : "");
        if (auto* e = std::get_if<spec_error>(&got)) {
            ASSERT_FALSE(e->message.empty());
            ASSERT_LE(e->column, text.size());
            ASSERT_LE(e->column + e->width, text.size() + 1);
            std::string shown = e->to_string(text);
            ASSERT_EQ(std::count(shown.begin(), shown.end(), '\n'), 2);
        } else {
            std::string once = std::get<stack_spec>(got).to_string();
            ASSERT_EQ(parsed(once).to_string(), once) << text;
        }
    }
}

TEST(stack, wraps_the_filters_over_a_base) {
    event_loop loop(std::make_unique<sim_poller>());
    auto [near, far] = make_memory_pair(loop);
    auto pipe = wrap_in_filters(loop, std::move(near), parsed("dgm,max=1500+tcp://a:1"));
    EXPECT_EQ(pipe->kind(), io_kind::datagram);
    EXPECT_EQ(pipe->max_datagram(), 1500u);
    EXPECT_EQ(describe(*pipe), "dgm < memory");

    auto plain = wrap_in_filters(loop, std::move(far), parsed("tcp://a:1"));
    EXPECT_EQ(describe(*plain), "memory");
}

}  // namespace
}  // namespace libp
