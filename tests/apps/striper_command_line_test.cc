// tcp-striper's command lines: what is explained, and what is refused.

#include <apps/spawned_program.h>
#include <gtest/gtest.h>
#include <kit/stack_argument.h>
#include <kit/stripe_program.h>

#include <filesystem>

namespace libp::app {
namespace {

using words = std::vector<std::string>;

TEST(tcp_striper, explains_how_subflows_are_dealt) {
    run_result r =
        run_program("tcp-striper", {"-c", ":1", "-n", "5", "a:1", "/run/b", "--explain"});
    EXPECT_EQ(r.status, 0);
    EXPECT_NE(r.output.find("striped over 5 subflows"), std::string::npos) << r.output;
    EXPECT_NE(r.output.find("path      tcp a:1, 3 subflows\n"), std::string::npos) << r.output;
    EXPECT_NE(r.output.find("path      unix /run/b, 2 subflows\n"), std::string::npos) << r.output;
}

TEST(tcp_striper, explains_that_stdin_is_one_stream) {
    const run_result r = run_program("tcp-striper", {"-c", "-", "a:1", "--explain"});
    EXPECT_EQ(r.status, 0) << r.errors;
    EXPECT_TRUE(r.output.starts_with(
        "tcp-striper: client side, stdin and stdout are one stream, striped over 4 subflows\n"
        "  carries   stdin and stdout\n"))
        << r.output;
    EXPECT_NE(r.output.find("  serves    one connection, "), std::string::npos) << r.output;
    EXPECT_NE(r.output.find("  exits     with its status\n"), std::string::npos) << r.output;
    EXPECT_EQ(r.output.find("connections"), std::string::npos) << r.output;
}

TEST(tcp_striper, explains_what_paths_ask_for) {
    run_result r =
        run_program("tcp-striper", {"-c", ":1", "-n", "12", "--scheduler=backup", "--explain",
                                    "tcp://a:1,n=3,backup", "tcp://b:2,weight=3,name=lte",
                                    "tcp://c:3,bind=192.0.2.1,crc=no"});
    EXPECT_EQ(r.status, 0) << r.errors;
    for (const char* line :
         {"striped over 12 subflows", "tcp a:1, 3 subflows, choice 3\n",
          "tcp b:2 as lte, 7 subflows, choice 1\n",
          "tcp c:3 from 192.0.2.1, 2 subflows, choice 2, without payload checksums\n",
          "by the scheduler 'backup'\n"})
        EXPECT_NE(r.output.find(line), std::string::npos) << line << "\n" << r.output;
    r = run_program("tcp-striper", {"-c", ":1", "--explain", "tcp://a:1", "tcp://b:2,backup"});
    EXPECT_NE(r.output.find("tcp b:2, 2 subflows, backup\n"), std::string::npos) << r.output;
    // What it prints may be typed.
    for (const char* source : {"::1", "[::1]"}) {
        r = run_program("tcp-striper",
                        {"--explain", std::string("tcp://a:1,dev=lo,bind=") + source});
        EXPECT_NE(r.output.find("connects  tcp a:1 from [::1] through lo, within"),
                  std::string::npos)
            << r.output << r.errors;
    }
    r = run_program("tcp-striper", {"--explain", "--connect-timeout=0", "a:1"});
    EXPECT_NE(r.output.find("connects  tcp a:1, however long it takes\n"), std::string::npos)
        << r.output;
}

// What stands in a spec as an escape is no line end of ours, and no command to a terminal.
TEST(tcp_striper, explains_control_characters_away) {
    run_result r =
        run_program("tcp-striper", {"-c", "/run/c%41\n", "--explain", "tcp://a:22,name=a%0Ab",
                                    "unix:///run/%1B[2J%7F,name=d"});
    EXPECT_EQ(r.status, 0) << r.errors;
    for (const char* line : {"  listens   unix /run/c%41?\n", "tcp a:22 as a?b, 2 subflows\n",
                             "unix /run/?[2J? as d, 2 subflows\n"})
        EXPECT_NE(r.output.find(line), std::string::npos) << line << r.output;
    r = run_program("tcp-striper", {"--explain", "tcp://a:1,dev=x%0Ay"});
    EXPECT_NE(r.output.find(" tcp a:1 through x?y, within"), std::string::npos) << r.output;
}

TEST(server_node_id, follows_the_machine_and_the_addresses) {
    const auto at = [](const std::string& text) {
        stack_spec spec;
        EXPECT_FALSE(parse_listen(text, {}, false, spec));
        return spec;
    };
    const auto id = server_node_id("m", {at(":1")});
    EXPECT_EQ(server_node_id("m", {at("0.0.0.0:1")}), id);
    EXPECT_NE(server_node_id("m", {at(":2")}), id);
    EXPECT_NE(server_node_id("m", {at(":1"), at(":2")}), id);
    EXPECT_NE(server_node_id("n", {at(":1")}), id);
    EXPECT_NE(server_node_id("m", {at("/run/x")}), id);
    EXPECT_EQ(server_node_id("m", {at("./x")}),
              server_node_id("m", {at((std::filesystem::current_path() / "x").string())}));
    const decltype(id) random{};
    EXPECT_EQ(server_node_id("", {at(":1")}), random) << "nobody knows the machine";
    EXPECT_EQ(server_node_id("m", {at(":1"), at(":0")}), random) << "another one every time";
}

TEST(tcp_striper, a_current_folder_that_is_gone_is_no_bug) {
    const run_result r = run_program(
        "/bin/sh",
        {"-c", "d=$(mktemp -d) && cd \"$d\" && rmdir \"$d\" && exec \"$0\" -s ./x 127.0.0.1:22",
         std::filesystem::absolute(program_folder()).string() + "/tcp-striper"});
    EXPECT_EQ(r.status, 73) << r.errors;
    EXPECT_TRUE(r.errors.starts_with("tcp-striper: error: listen: ./x: ")) << r.errors;
}

TEST(tcp_striper, mistakes_get_one_line_a_pointer_and_their_status) {
    struct {
        words arguments;
        int status;
        std::string errors;
    } lines[] = {
        {{"-c", ":9"},
         2,
         "tcp-striper: error: -c needs a PATH: where the server listens\n"
         "  hint: tcp-striper -c :9 relay.example:8443\n"
         "Try 'tcp-striper --help'.\n"},
        {{"-c", ":9", "-c", ":8", "a:1"},
         2,
         "tcp-striper: error: -c: there is one already, ':9'; -s alone may be repeated\n"},
        {{"-c", "-", "--announce", "x", "a:1"},
         2,
         "tcp-striper: error: --announce has nothing to say: stdin has no address\n"},
        {{"--scheduler", "random"},
         2,
         "tcp-striper: error: --scheduler: 'random' is not a scheduler (auto, rr, congestion, "
         "redundant, backup)\n"
         "Try 'tcp-striper --help'.\n"},
        {{"-n", "65"},
         2,
         "tcp-striper: error: -n: '65' is not a number from 1 to 64\n"
         "Try 'tcp-striper --help'.\n"},
        {{"-c", ":9", "relay"}, 78, ""},
        {{"-c", ":9", "relay:0"},
         78,
         "tcp-striper: error: spec: port 0 is for those who listen\n"
         "  relay:0\n"
         "  ^^^^^^^\n"},
        {{"-s", ":9", "--tls", "a:1"},
         78,
         "tcp-striper: error: tls: a server needs a certificate or a shared key\n"
         "  hint: --cert FILE, or --psk-file FILE at both ends\n"},
        {{"-c", ":9", "dgm+tcp://relay:1"},
         78,
         "tcp-striper: error: spec: no layer but one tls goes under a path\n"
         "  dgm+tcp://relay:1\n"
         "  ^^^\n"},
        {{"-c", ":9", "tls+tcp-l://relay:1"},
         78,
         "tcp-striper: error: spec: this listens, but is to connect\n"
         "  tls+tcp-l://relay:1\n"
         "      ^^^^^\n"},
        {{"tls+tcp://relay:0,name=a"},
         78,
         "tcp-striper: error: spec: port 0 is for those who listen\n"
         "  tls+tcp://relay:0,name=a\n"
         "      ^^^^^^^^^^^^^^^^^^^^\n"},
        {{"-r", "dgm,max=1k+tls+tcp-c://:9", "a:1"},
         78,
         "tcp-striper: error: spec: this connects, but is to listen\n"
         "  dgm,max=1k+tls+tcp-c://:9\n"
         "                 ^^^^^\n"},
        {{"-c", ":9", "tls+dgm,max=1k+tcp://relay:1"},
         78,
         "tcp-striper: error: spec: no layer but one tls goes under a path\n"
         "  tls+dgm,max=1k+tcp://relay:1\n"
         "      ^^^\n"},
        {{"tls,ca=n+tcp://n:1,name=n,n=2,weight=3,n=4"},
         78,
         "tcp-striper: error: spec: option 'n' does not apply to a target\n"
         "  tls,ca=n+tcp://n:1,name=n,n=2,weight=3,n=4\n"
         "                                         ^\n"},
        {{"-r", "-"},
         78,
         "tcp-striper: error: spec: there is nothing to listen on\n"
         "  -\n"
         "  ^\n"},
        {{"-c", ":9", "tcp://a:1,weight=0"},
         78,
         "tcp-striper: error: spec: 'weight' takes a number from 1 to 100, not '0'\n"},
        {{"-c", ":9", "tcp://a:1,n=33", "tcp://a:1,n=32"},
         2,
         "tcp-striper: error: the paths have more than 64 subflows\n"},
        {{"-c", ":9", "tcp://a:1,cc=no-such-thing"}, 71, "tcp-striper: error: cc=no-such-thing: "},
        {{"-s", "tcp://127.0.0.1:0,cc=no-such-thing", "a:1"},
         71,
         "tcp-striper: error: cc=no-such-thing: "},
        {{"-s", "tcp://:9,weight=2", "a:1"},
         78,
         "tcp-striper: error: spec: option 'weight' does not apply to a listener for subflows\n"
         "  tcp://:9,weight=2\n"
         "           ^^^^^^\n"},
        {{"keygen", "--explain"}, 2, "tcp-striper: error: keygen takes no options\n"},
        {{"--psk-file", "absent", "keygen"}, 2, "tcp-striper: error: keygen takes no options\n"},
        {{"--allow", "0.0.0.0/0"}, 2, ""},
        {{"--target", "a:1"}, 2, ""},
        {{"-n", "4", "a:1"},
         2,
         "tcp-striper: error: -n is for -c: how many subflows there are the client says\n"},
        {{"--scheduler", "rr", "-r", ":9"},
         2,
         "tcp-striper: error: --scheduler is for -c and -s: "},
        {{"-s", ":9", "-n", "4", "a:1"},
         2,
         "tcp-striper: error: -n is for -c: how many subflows there are the client says\n"},
        {{"-c", ":9", "a:1", "--tls", "--client-ca", "x"},
         2,
         "tcp-striper: error: --client-ca is for the end that listens\n"},
        {{"-s", ":9", "a:1", "--tls", "--cert", "x", "--insecure"},
         2,
         "tcp-striper: error: --insecure is for the end that connects\n"},
        {{"-s", ":9", "a:1", "--psk-file", "x", "--cert", "y"},
         2,
         "tcp-striper: error: --psk-file leaves nothing for --cert to say: "},
        {{"-c", ":9", "a:1", "--psk-file", "x", "--insecure"},
         2,
         "tcp-striper: error: --psk-file leaves nothing for --insecure to say: "},
    };
    for (const auto& line : lines) {
        run_result r = run_program("tcp-striper", line.arguments);
        EXPECT_EQ(r.status, line.status) << r.errors;
        EXPECT_EQ(r.errors.substr(0, line.errors.size()), line.errors);
        EXPECT_EQ(r.output, "");
    }
}

}  // namespace
}  // namespace libp::app
