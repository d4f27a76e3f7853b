// Targets that the client chooses: asked for with --target, let through or refused by the server's
// rules.

#include <apps/spawned_program.h>
#include <apps/test_socket.h>
#include <gtest/gtest.h>
#include <libp/event_loop.h>
#include <libp/io_connector.h>
#include <libp/stripe/node.h>
#include <libp/stripe/wire.h>
#include <libp/tls_library.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>

namespace libp::app {
namespace {

using words = std::vector<std::string>;

std::string port_of(const std::string& address) {
    return address.substr(address.rfind(':') + 1);
}

// client -> tcp-striper -c --target T ==> tcp-striper -s -> T
struct chosen {
    chosen(words for_server, words for_client)
        : far(with({"-s", "127.0.0.1:0"}, std::move(for_server))),
          far_address(far.wait_announced()),
          near(with({"-c", "127.0.0.1:0", far_address}, std::move(for_client))),
          address(near.wait_announced()) {}

    static spawn_options with(words first, words more) {
        first.insert(first.end(), more.begin(), more.end());
        return {.program = "tcp-striper", .arguments = std::move(first), .announce = true};
    }

    spawned_program far;
    std::string far_address;
    spawned_program near;
    std::string address;
};

void expect_refused(chosen& pair, const std::string& near_says, const std::string& far_says) {
    test_socket client = test_socket::connect(pair.address);
    ASSERT_TRUE(client.is_open());
    EXPECT_EQ(client.wait_end(), "reset");
    const std::string there = pair.far.wait_error_line(" conn "),
                      here = pair.near.wait_error_line(" conn ");
    EXPECT_NE(there.find(far_says), std::string::npos) << there;
    EXPECT_NE(here.find(near_says), std::string::npos) << here;
}

TEST(target, a_stream_goes_where_the_client_asks) {
    test_listener one, other;
    chosen pair(
        {"--allow", "127.0.0.0/8:" + port_of(one.address()) + "," + port_of(other.address())},
        {"--target", one.address()});
    test_socket client = test_socket::connect(pair.address);
    test_socket server = one.accept();
    ASSERT_TRUE(server.is_open()) << pair.far.errors();
    ASSERT_TRUE(client.send("to one"));
    EXPECT_EQ(server.receive(6), "to one");
    ASSERT_TRUE(server.send("and back"));
    server.send_fin();
    EXPECT_EQ(client.receive_all(), "and back");
    client.send_fin();
    EXPECT_EQ(server.receive_all(), "");
    const std::string line = pair.far.wait_error_line(" conn ");
    EXPECT_NE(line.find(" end=ok src=127.0.0.1:"), std::string::npos) << line;
    EXPECT_NE(line.find(" listener=main dst=" + one.address() + " "), std::string::npos) << line;
    EXPECT_NE(pair.near.wait_error_line(" conn ").find(" dst=" + one.address() + " "),
              std::string::npos)
        << pair.near.errors();

    // Another client, another target, the same server.
    spawned_program next(
        chosen::with({"-c", "127.0.0.1:0", pair.far_address}, {"--target=" + other.address()}));
    test_socket second = test_socket::connect(next.wait_announced());
    test_socket there = other.accept();
    ASSERT_TRUE(there.is_open()) << pair.far.errors();
    ASSERT_TRUE(second.send("x"));
    EXPECT_EQ(there.receive(1), "x");
}

TEST(target, what_is_not_public_is_refused_where_nothing_else_is_said) {
    test_listener inside;
    chosen pair({}, {"--target", inside.address()});
    expect_refused(pair, " end=acl_denied src=", " listener=main dst=" + inside.address() + " ");
    EXPECT_NE(pair.far.errors().find(" why=\"" + inside.address() +
                                     " is not public, and there is no --allow\""),
              std::string::npos)
        << pair.far.errors();
    EXPECT_NE(pair.near.errors().find(" why=\"target not allowed by the server\""),
              std::string::npos)
        << pair.near.errors();
}

// A name is what it resolves to, however it is written, and the rest of its session is untouched.
TEST(target, names_are_judged_by_their_addresses) {
    test_listener inside;
    const std::string port = port_of(inside.address());
    {
        chosen pair({"--allow", "127.0.0.1:" + port}, {"--target", "localhost:" + port});
        test_socket client = test_socket::connect(pair.address);
        test_socket server = inside.accept();
        ASSERT_TRUE(server.is_open()) << pair.far.errors();
        ASSERT_TRUE(client.send("x"));
        EXPECT_EQ(server.receive(1), "x");
    }
    chosen pair({"--allow", ".localhost", "--allow=10.0.0.0/8", "--allow", "::/0:1"},
                {"--target", "localhost:" + port});
    expect_refused(pair, " dst=localhost:" + port + " ", " dst=localhost:" + port + " ");
    EXPECT_NE(pair.far.errors().find(" why=\"no --allow covers "), std::string::npos);
    for (const char* disguise : {"127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"}) {
        SCOPED_TRACE(disguise);
        spawned_program near(chosen::with({"-c", "127.0.0.1:0", pair.far_address},
                                          {"--target", disguise + (":" + port)}));
        test_socket client = test_socket::connect(near.wait_announced());
        EXPECT_EQ(client.wait_end(), "reset");
        const std::string line = near.wait_error_line(" conn ");
        EXPECT_NE(line.find(" end=acl_denied "), std::string::npos) << line;
    }
}

TEST(target, a_port_that_no_rule_has_is_refused) {
    test_listener inside;
    chosen pair({"--allow", "127.0.0.0/8:1-2"}, {"--target", inside.address()});
    expect_refused(pair, " end=acl_denied ", "no --allow covers " + inside.address());
}

TEST(target, an_allowed_target_that_cannot_be_had_is_told_as_usual) {
    refusing_port nobody;
    chosen refused({"--allow", "0.0.0.0/0"}, {"--target", nobody.address()});
    expect_refused(refused, " end=connect_refused ",
                   " listener=main dst=" + nobody.address() + " ");
    const std::string nowhere = "no-such-name." + std::string(60, 'a') + ".invalid:1";
    chosen unknown({}, {"--target", nowhere});
    expect_refused(unknown, " end=resolve_failed ", " dst=" + nowhere + " ");
}

TEST(target, a_server_with_a_target_of_its_own_refuses_to_go_elsewhere) {
    test_listener own, wanted;
    chosen pair({own.address()}, {"--target", wanted.address()});
    expect_refused(pair, " end=acl_denied ",
                   " why=\"a target was asked for, but there is one here\"");
    EXPECT_NE(pair.far.errors().find(" dst=" + wanted.address() + " "), std::string::npos)
        << pair.far.errors();
}

TEST(target, a_client_that_asks_for_none_is_refused_by_a_server_that_has_none) {
    chosen pair({"--allow", "0.0.0.0/0"}, {});
    expect_refused(pair, " end=acl_denied ",
                   " why=\"no target was asked for, and there is none here\"");
}

TEST(target, a_one_shot_session_exits_with_77_or_why_there_is_no_connection) {
    test_listener inside;
    refusing_port nobody;
    spawned_program far(chosen::with({"-s", "127.0.0.1:0"}, {"--allow", nobody.address()}));
    const std::string path = far.wait_announced();
    run_result r =
        run_program("tcp-striper", {"-q", "-c", "-", path, "--target", inside.address()});
    EXPECT_EQ(r.status, 77);
    EXPECT_EQ(r.errors, "tcp-striper: error: target: " + inside.address() +
                            ": target not allowed by the server\n");
    r = run_program("tcp-striper", {"-q", "-c", "-", path});
    EXPECT_EQ(r.status, 77);
    EXPECT_EQ(r.errors,
              "tcp-striper: error: target: none named: target not allowed by the server\n"
              "  hint: name one: --target HOST:PORT\n");
    r = run_program("tcp-striper", {"-q", "-c", "-", path, "--target", nobody.address()});
    EXPECT_EQ(r.status, 69);
    EXPECT_EQ(r.errors, "tcp-striper: error: target: " + nobody.address() + ", by way of " + path +
                            ": connection refused\n");
    spawned_program once(chosen::with({"-s", "127.0.0.1:0", "--once"}, {}));
    r = run_program("tcp-striper",
                    {"-q", "-c", "-", once.wait_announced(), "--target", inside.address()});
    EXPECT_EQ(once.wait_exit(), 77);
}

// A peer that is not our client may say anything: the stream is refused, the session lives, the log
// stays one line a connection.
TEST(target, text_that_is_no_target_costs_that_stream_alone) {
    test_listener inside;
    spawned_program far(chosen::with({"-s", "127.0.0.1:0"}, {"--allow", inside.address()}));
    event_loop loop;
    const log quiet;
    stripe::node node(loop, quiet, {});
    std::unique_ptr<io_pipe> path;
    const auto joined = [&](result<std::unique_ptr<io_pipe>> pipe) {
        if (pipe) path = *std::move(pipe);
    };
    const io_connector connecting(loop, {*socket_address::parse(far.wait_announced())}, {},
                                  io_connector::done::of(joined));
    const auto run = [&](auto&& done) {
        const auto give_up = std::chrono::steady_clock::now() + test_patience;
        while (!done() && std::chrono::steady_clock::now() < give_up)
            loop.turn(loop.now() + 20ms);
        return done();
    };
    ASSERT_TRUE(run([&] { return path != nullptr; }));
    node.adopt(std::move(path), "path");
    for (const std::string& text :
         {std::string("x"), std::string("a:0"), std::string("/etc/passwd"),
          std::string("a:1\n2026 info conn end=ok"), std::string("\0\xff:1", 4),
          std::string(stripe::wire::target_max, 'x')}) {
        auto stream = node.open_stream({.target = text}, 10s);
        EXPECT_TRUE(run([&] { return stream->has(io_flag::broken); }));
        EXPECT_EQ(stream->why().why, reason::protocol_error);
        loop.retire(std::move(stream));
        const std::string line = far.wait_error_line(" conn ");
        EXPECT_NE(line.find(" end=protocol_error src="), std::string::npos) << line;
        EXPECT_NE(line.find(" listener=main dst=- "), std::string::npos) << line;
        EXPECT_NE(line.find(" why=\"not a target: "), std::string::npos) << line;
    }
    EXPECT_EQ(far.errors().find("\n2026 info"), std::string::npos) << "a line was forged";
    auto stream = node.open_stream({.target = inside.address()}, 10s);
    EXPECT_TRUE(run([&] { return stream->has(io_flag::ready); })) << "the session did not survive";
    EXPECT_TRUE(inside.accept().is_open());
    EXPECT_EQ(node.sessions(), 1u);
    loop.retire(std::move(stream));
}

// -- who may choose -------------------------------------------------------------------------------

struct start_up : testing::Test {
    start_up() {
        std::string pattern = std::filesystem::temp_directory_path() / "libp-target-XXXXXX";
        folder = mkdtemp(pattern.data());
        key = folder + "/key";
        std::ofstream(key) << std::string(64, '1');
        std::filesystem::permissions(key, std::filesystem::perms::owner_read);
    }
    ~start_up() override {
        std::error_code gone_already;
        std::filesystem::remove_all(folder, gone_already);
    }
    // Whether it comes up and listens.
    static bool starts(words arguments) {
        spawned_program server(chosen::with({}, std::move(arguments)));
        const bool up = !server.wait_announced().empty();
        server.signal(SIGTERM);
        EXPECT_EQ(server.wait_exit(), up ? 0 : 78) << server.errors();
        return up;
    }
    std::string folder, key;
};

TEST_F(start_up, strangers_choose_targets_only_where_that_is_said) {
    const run_result r = run_program("tcp-striper", {"-s", "0.0.0.0:0"});
    EXPECT_EQ(r.status, 78);
    EXPECT_EQ(
        r.errors,
        "tcp-striper: error: listen: 0.0.0.0:0: whoever gets there could choose where streams "
        "go, and need not prove who it is\n"
        "  hint: let in those you know with --psk-file F or --client-ca F, or give a TARGET, "
        "or say --open\n");
    EXPECT_FALSE(starts({"-s", "0.0.0.0:0", "--allow", "10.0.0.0/8"})) << "rules are no proof";
    EXPECT_FALSE(starts({"-s", "127.0.0.1:0", "-s", "0.0.0.0:0"}));
    EXPECT_TRUE(starts({"-s", "0.0.0.0:0", "--open"}));
    EXPECT_TRUE(starts({"-s", "127.0.0.1:0"}));
    EXPECT_TRUE(starts({"-s", "localhost:0"}));
    EXPECT_TRUE(starts({"-s", folder + "/socket"}));
    EXPECT_TRUE(starts({"-s", "0.0.0.0:0", "127.0.0.1:22"})) << "it has a target";
}

TEST_F(start_up, proof_is_a_key_or_a_certificate_of_the_clients) {
    if (!tls_library()) GTEST_SKIP() << "no TLS library";
    EXPECT_TRUE(starts({"-s", "0.0.0.0:0", "--psk-file", key}));
    EXPECT_TRUE(starts({"-s", "tls,psk=" + key + "+tcp://0.0.0.0:0"}));
    EXPECT_FALSE(starts({"-s", "tls,psk=" + key + "+tcp://0.0.0.0:0", "-s", "0.0.0.0:0"}))
        << "one door without a lock";
}

TEST_F(start_up, mistakes_are_told) {
    struct {
        words arguments;
        int status;
        std::string errors;
    } const lines[] = {
        {{"-c", ":9", "a:1", "--target", "db"}, 2, "--target: 'db' is not HOST:PORT\n"},
        {{"-c", ":9", "a:1", "--target", "db:ssh"}, 2, "--target: 'db:ssh' is not HOST:PORT\n"},
        {{"-c", ":9", "a:1", "--target", "/run/x"}, 2, "--target: '/run/x' is not HOST:PORT\n"},
        {{"-s", ":9", "--target", "db:1"}, 2, "--target is for -c\n"},
        {{"--target", "db:1"}, 2, "--target is for -c\n"},
        {{"-c", ":9", "a:1", "--allow", "public"}, 2, "--allow and --open are for -s\n"},
        {{"--open"}, 2, "--allow and --open are for -s\n"},
        {{"-s", ":9", "--allow", "10.0.0.1/8"},
         2,
         "--allow: '10.0.0.1/8' says more of the address than its 8 bits\n"},
        {{"-s", ":9", "--allow", "example.com"},
         2,
         "--allow: 'example.com' is not a network (10.0.0.0/8), a domain (.example.com) or "
         "'public'\n"},
        {{"-s", ":9", "--open", "a:1"},
         2,
         "--allow and --open are for a server without a TARGET of its own\n"},
    };
    for (const auto& line : lines) {
        const run_result r = run_program("tcp-striper", line.arguments);
        EXPECT_EQ(r.status, line.status) << r.errors;
        const std::string start = "tcp-striper: error: " + line.errors;
        EXPECT_EQ(r.errors.substr(0, start.size()), start);
        EXPECT_TRUE(r.errors.ends_with("Try 'tcp-striper --help'.\n")) << r.errors;
    }
}

TEST_F(start_up, explains_where_streams_go) {
    run_result r = run_program("tcp-striper", {"-s", "127.0.0.1:9", "--explain"});
    EXPECT_EQ(r.status, 0);
    EXPECT_NE(r.output.find("  connects  to what each stream asks for, within 10s\n"
                            "  allows    public\n"),
              std::string::npos)
        << r.output;
    r = run_program("tcp-striper", {"-s", "127.0.0.1:9", "--allow", "10.0.0.0/8:22",
                                    "--allow=.a.example", "--explain"});
    EXPECT_NE(r.output.find("  allows    10.0.0.0/8:22 .a.example\n"), std::string::npos)
        << r.output;
    r = run_program("tcp-striper",
                    {"-c", ":9", "a:1", "--target", "DB.example.:5432", "--explain"});
    EXPECT_NE(r.output.find("  asks for  db.example:5432\n"), std::string::npos) << r.output;
    // What would not start is not explained away.
    r = run_program("tcp-striper", {"-s", ":9", "--explain"});
    EXPECT_EQ(r.status, 78);
    EXPECT_NE(r.errors.find("could choose where streams go"), std::string::npos) << r.errors;
    EXPECT_EQ(r.output, "");
}

}  // namespace
}  // namespace libp::app
