#include <apps/spawned_program.h>
#include <apps/test_socket.h>
#include <gtest/gtest.h>
#include <libp/tls_library.h>

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <tuple>

// The command lines of tcp-proxy and tcp-striper as people type them: what is printed, and the
// status.

namespace libp::app {
namespace {

using words = std::vector<std::string>;

struct wrong_line {
    const char* program;
    words arguments;
    int status;
    std::string errors;  // all of stderr
};

TEST(command_line, mistakes_get_one_line_a_pointer_and_their_status) {
    const wrong_line lines[] = {
        {"tcp-proxy",
         {"--conect-timeout=5"},
         2,
         "tcp-proxy: error: unknown option '--conect-timeout' (did you mean '--connect-timeout'?)\n"
         "Try 'tcp-proxy --help'.\n"},
        {"tcp-proxy",
         {"--drain", "soon"},
         2,
         "tcp-proxy: error: --drain: 'soon' is not a duration (250ms, 10s, 5m)\n"
         "Try 'tcp-proxy --help'.\n"},
        {"tcp-proxy",
         {"-c", "1", "-s", "2"},
         2,
         "tcp-proxy: error: -s: excludes -c\nTry 'tcp-proxy --help'.\n"},
        {"tcp-proxy",
         {"-c", "0", "-c", ":0"},
         2,
         "tcp-proxy: error: -c: there is one already, '0'\nTry 'tcp-proxy --help'.\n"},
        {"tcp-proxy",
         {"a", "1", "b\x1b[2J"},
         2,
         "tcp-proxy: error: too many operands: 'b?[2J'\nTry 'tcp-proxy --help'.\n"},
        {"tcp-proxy",
         {"-r", ":0", "/run/x", "22"},
         78,
         "tcp-proxy: error: spec: '/run/x' is a UNIX socket's path: it has no port\n"},
        {"tcp-proxy",
         {"-r", ":0", "dgn+tcp://a:1"},
         78,
         "tcp-proxy: error: spec: unknown layer 'dgn' (did you mean 'dgm'?)\n"
         "  dgn+tcp://a:1\n"
         "  ^^^\n"},
        {"tcp-proxy",
         {"-r", ":0", "--max-datagram=1k", "a:1"},
         2,
         "tcp-proxy: error: --max-datagram is for -c and -s\n"
         "  hint: in a relay: dgm,max=SIZE+tcp://HOST:PORT as LISTEN or as TARGET\n"
         "Try 'tcp-proxy --help'.\n"},
        {"tcp-proxy",
         {"-c", ":0", "--max-datagram=1k", "dgm+tcp://a:1"},
         2,
         "tcp-proxy: error: --max-datagram is for a spec without dgm of its own\n"
         "  hint: in the spec: dgm,max=SIZE\n"
         "Try 'tcp-proxy --help'.\n"},
        {"tcp-proxy",
         {"--handshake-timeout", "0"},
         2,
         "tcp-proxy: error: --handshake-timeout: '0' is less than 1ms\n"
         "Try 'tcp-proxy --help'.\n"},
        {"tcp-proxy",
         {"--log-format", "xml"},
         2,
         "tcp-proxy: error: --log-format: 'xml' is neither text nor json\n"
         "Try 'tcp-proxy --help'.\n"},
    };
    for (const wrong_line& line : lines) {
        run_result r = run_program(line.program, line.arguments);
        EXPECT_EQ(r.status, line.status) << line.errors;
        EXPECT_EQ(r.errors, line.errors);
        EXPECT_EQ(r.output, "");
    }
}

TEST(command_line, options_of_later_versions_are_unknown) {
    for (const char* option : {"--status=1", "--tui", "--progress"}) {
        run_result r = run_program("tcp-proxy", {option});
        EXPECT_EQ(r.status, 2) << option;
        EXPECT_NE(r.errors.find("unknown option"), std::string::npos) << r.errors;
    }
}

TEST(command_line, help_and_version_go_to_stdout) {
    run_result help = run_program("tcp-proxy", {"--help"});
    EXPECT_EQ(help.status, 0);
    EXPECT_EQ(help.errors, "");
    EXPECT_TRUE(help.output.starts_with("Usage: tcp-proxy ")) << help.output;
    for (const char* option : {"-c LISTEN",
                               "-s LISTEN",
                               "-r LISTEN",
                               "--max-datagram",
                               "-1, --once",
                               "--max-conns",
                               "--max-memory",
                               "--connect-timeout",
                               "--handshake-timeout",
                               "--idle-timeout",
                               "--linger",
                               "--keepalive",
                               "--drain",
                               "-v ",
                               "-q ",
                               "--log-format",
                               "--announce",
                               "--explain",
                               "--help",
                               "--version"})
        EXPECT_NE(help.output.find(option), std::string::npos) << option;
    std::size_t widest = 0;
    for (std::size_t start = 0, end; (end = help.output.find('\n', start)) != std::string::npos;
         start = end + 1)
        widest = std::max(widest, end - start);
    EXPECT_LE(widest, 100u);

    EXPECT_EQ(run_program("tcp-proxy", {"-h"}).output, help.output);

    run_result version = run_program("tcp-proxy", {"--version"});
    EXPECT_EQ(run_program("tcp-proxy", {"-V"}).output, version.output);
    EXPECT_EQ(version.status, 0);
    EXPECT_TRUE(version.output.starts_with("tcp-proxy ")) << version.output;
    EXPECT_EQ(version.output.find("tls: "), std::string::npos) << version.output;

    run_result verbose = run_program("tcp-proxy", {"--version", "-v"});
    EXPECT_EQ(verbose.status, 0);
    const tls_library tls;
    EXPECT_NE(verbose.output.find("\ntls: " + (tls ? tls.version() : tls.why()) + "\n"),
              std::string::npos)
        << verbose.output;
}

TEST(command_line, every_option_is_in_the_manual_page) {
    for (const char* program : {"tcp-proxy", "tcp-striper"}) {
        const run_result help = run_program(program, {"--help"});
        const run_result man = run_program(program, {"--man"});
        EXPECT_EQ(man.status, 0);
        EXPECT_EQ(man.errors, "");
        EXPECT_TRUE(man.output.starts_with(".TH TCP-")) << man.output;
        const std::regex option("(^|\\n|, )(  )?(--?[a-z0-9][a-z0-9-]*)");
        std::size_t found = 0;
        for (std::sregex_iterator i(help.output.begin(), help.output.end(), option), end; i != end;
             ++i) {
            const std::string entry =
                "\\fB" + std::regex_replace((*i)[3].str(), std::regex("-"), "\\-") + "\\fR";
            EXPECT_NE(man.output.find(entry), std::string::npos) << program << ": " << entry;
            ++found;
        }
        EXPECT_GT(found, 25u) << program;
    }
}

TEST(command_line, explains_the_ancestors_commands_without_running_them) {
    run_result bare = run_program("tcp-proxy", {"--explain"});
    EXPECT_EQ(bare.status, 0);
    EXPECT_NE(bare.output.find("listens   tcp 0.0.0.0:55555\n"), std::string::npos) << bare.output;
    EXPECT_NE(bare.output.find("connects  dgm,max=512k over tcp 127.0.0.1:22,"), std::string::npos)
        << bare.output;

    run_result client =
        run_program("tcp-proxy", {"-c", "0.0.0.0:11111", "127.0.0.1", "22222", "--explain"});
    EXPECT_NE(client.output.find("listens   tcp 0.0.0.0:11111\n"), std::string::npos);
    EXPECT_NE(client.output.find("connects  dgm,max=512k over tcp 127.0.0.1:22222,"),
              std::string::npos);

    run_result server =
        run_program("tcp-proxy", {"-s", "0.0.0.0:22222", "127.0.0.1:22", "--explain"});
    EXPECT_NE(server.output.find("listens   dgm,max=512k over tcp 0.0.0.0:22222\n"),
              std::string::npos);
    EXPECT_NE(server.output.find("connects  tcp 127.0.0.1:22,"), std::string::npos);
}

TEST(command_line, a_taken_port_is_said_with_a_way_out) {
    test_listener there;
    std::string port = there.address().substr(there.address().rfind(':') + 1);
    run_result r = run_program("tcp-proxy", {"-c", there.address()});
    EXPECT_EQ(r.status, 73);
    EXPECT_EQ(r.errors,
              "tcp-proxy: error: listen: " + there.address() +
                  ": address already in use\n  hint: choose another port, e.g. -c 127.0.0.1:" +
                  std::to_string(std::stoi(port) + 1) + "\n");
    r = run_program("tcp-proxy", {"-c", port});
    EXPECT_NE(r.errors.find("e.g. -c :" + std::to_string(std::stoi(port) + 1) + "\n"),
              std::string::npos)
        << r.errors;
}

TEST(command_line, a_listen_name_that_does_not_resolve_is_68_and_is_not_explained_away) {
    const std::pair<std::string, words> lines[] = {
        {"tcp-proxy", {"-c", no_such_name}},
        {"tcp-striper", {"-c", no_such_name, "127.0.0.1:1"}},
        {"tcp-striper", {"-s", no_such_name, "127.0.0.1:1"}},
    };
    for (const auto& [program, start] : lines)
        for (bool explained : {false, true}) {
            words line = start;
            if (explained) line.push_back("--explain");
            const run_result r = run_program(program, line);
            EXPECT_EQ(r.status, 68) << program << r.output;
            EXPECT_TRUE(r.errors.starts_with(program + ": error: listen: " + no_such_name + ": "))
                << r.errors;
            EXPECT_EQ(r.output, "");
        }
}

// That is the system's doing, and nothing to report as a bug.
TEST(command_line, too_few_descriptors_are_71_and_enough_are_enough) {
    for (std::size_t limit : {5u, 8u, 14u})
        for (const char* program : {"tcp-proxy", "tcp-striper"})
            for (const words& line : {words{"-r", "127.0.0.1:0"}, words{"--explain"}}) {
                const run_result r =
                    run_program({.program = program, .arguments = line, .fd_limit = limit});
                EXPECT_EQ(r.status, 71) << limit;
                EXPECT_EQ(r.errors,
                          std::string(program) +
                              ": error: descriptors: 13 are needed to begin with, and the "
                              "limit is " +
                              std::to_string(limit) +
                              ": too many open files\n  hint: ulimit -n 1024\n");
            }
    test_listener target;
    spawned_program relay({.program = "tcp-proxy",
                           .arguments = {"-r", "127.0.0.1:0", target.address()},
                           .announce = true,
                           .fd_limit = 24});
    test_socket client = test_socket::connect(relay.wait_announced());
    test_socket server = target.accept();
    ASSERT_TRUE(client.send("x"));
    EXPECT_EQ(server.receive(1), "x");
}

TEST(command_line, what_cannot_be_printed_is_71_and_said) {
    for (const std::string line :
         {"tcp-proxy --help > /dev/full", "tcp-proxy --version >&-", "tcp-proxy --explain >&-",
          "tcp-striper keygen > /dev/full", "tcp-striper keygen >&-"}) {
        const run_result r =
            run_program("/bin/sh", {"-c", "exec \"$0\"/" + line, program_folder()});
        EXPECT_EQ(r.status, 71) << line;
        EXPECT_EQ(r.errors,
                  line.substr(0, line.find(' ')) + ": error: stdout: cannot be written\n");
    }
}

// The number is soon one of the program's own: its signals' pipe, for one.
TEST(command_line, announces_to_no_descriptor_that_was_not_handed_over) {
    for (int number = 4; number < 9; ++number) {
        const std::string n = std::to_string(number);
        const run_result r =
            run_program("tcp-proxy", {"-r", "127.0.0.1:0", "--drain=0", "--announce", n});
        EXPECT_EQ(r.status, 71) << number << r.errors;
        EXPECT_TRUE(r.errors.starts_with("tcp-proxy: error: announce: " + n + ": no such"))
            << r.errors;
    }
}

TEST(command_line, what_cannot_be_announced_says_why) {
    for (const auto& [where, redirected, why] :
         {std::tuple("3", "3</dev/null", "bad file descriptor"),
          std::tuple("3", "3>/dev/full", "no space left on device"),
          std::tuple("/dev/full", "", "no space left on device"),
          std::tuple("/nonexistent/x", "", "no such file or directory")}) {
        const std::string command =
            std::string("exec \"$0\" -q -r 127.0.0.1:0 --announce ") + where + " " + redirected;
        const run_result r =
            run_program("/bin/sh", {"-c", command, program_folder() + "/tcp-proxy"});
        EXPECT_EQ(r.status, 71) << command;
        EXPECT_EQ(r.errors,
                  std::string("tcp-proxy: error: announce: ") + where + ": " + why + "\n");
    }
    // Nobody reads it.
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    ::close(ends[0]);
    const std::string number = std::to_string(ends[1]);
    const run_result r =
        run_program("tcp-proxy", {"-q", "-r", "127.0.0.1:0", "--announce", number});
    ::close(ends[1]);
    EXPECT_EQ(r.status, 71);
    EXPECT_EQ(r.errors, "tcp-proxy: error: announce: " + number + ": broken pipe\n");
}

TEST(command_line, announces_to_a_file_in_one_piece) {
    std::string file = testing::TempDir() + "announced." + std::to_string(::getpid());
    spawned_program proxy(
        {.program = "tcp-proxy", .arguments = {"-r", "127.0.0.1:0", "--announce", file}});
    ASSERT_NE(proxy.wait_error_line(" listen "), "");
    proxy.signal(SIGTERM);
    EXPECT_EQ(proxy.wait_exit(), 0);
    std::ifstream in(file);
    std::string line, more;
    std::getline(in, line);
    EXPECT_TRUE(line.starts_with("listen tcp 127.0.0.1:")) << line;
    EXPECT_FALSE(std::getline(in, more));
    std::filesystem::remove(file);
}

TEST(command_line, announces_through_a_link) {
    const std::string file = testing::TempDir() + "announced." + std::to_string(::getpid());
    const std::string link = file + ".link";
    std::filesystem::create_symlink(file, link);
    spawned_program proxy(
        {.program = "tcp-proxy", .arguments = {"-r", "127.0.0.1:0", "--announce", link}});
    ASSERT_NE(proxy.wait_error_line(" listen "), "");
    proxy.signal(SIGTERM);
    EXPECT_EQ(proxy.wait_exit(), 0);
    EXPECT_TRUE(std::filesystem::is_symlink(link));
    std::ifstream in(file);
    std::string line;
    std::getline(in, line);
    EXPECT_TRUE(line.starts_with("listen tcp 127.0.0.1:")) << line;
    std::filesystem::remove(link);
    std::filesystem::remove(file);
}

}  // namespace
}  // namespace libp::app
