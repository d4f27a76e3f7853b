// TLS on the command line: what is refused at start-up, and what the other end learns.

#include <apps/spawned_program.h>
#include <apps/test_socket.h>
#include <gtest/gtest.h>
#include <kit/tls_setup.h>
#include <libp/tls_library.h>

#include <csignal>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>

#include "support/as_nobody.h"
#include "support/log_lines.h"

namespace libp::app {
namespace {

namespace fs = std::filesystem;

struct tls_options_test : testing::Test {
    tls_options_test() {
        std::string pattern = fs::temp_directory_path() / "libp-apps-tls-XXXXXX";
        folder = mkdtemp(pattern.data());
    }
    ~tls_options_test() override {
        std::error_code gone_already;
        fs::remove_all(folder, gone_already);
    }
    std::string key_file(const std::string& name, const std::string& text) {
        const std::string path = folder + "/" + name;
        std::ofstream(path) << text;
        fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
        return path;
    }
    stack_spec spec(std::string_view text) { return std::get<stack_spec>(parse_stack(text)); }
    bool have_library() {
        const tls_library library;
        return bool(library);
    }

    std::string folder;
    const tls_settings defaults;
    event_loop loop;
    log_lines lines;
    log out{lines, log_level::info};
};

TEST_F(tls_options_test, a_missing_library_is_a_start_up_error_of_tls_alone) {
    tls_setup setup(loop, out, defaults, 5s, {"libssl-of-nowhere.so.1"});
    stack_tls to;
    EXPECT_FALSE(setup.prepare(spec("tcp://a:1"), false, {}, to));
    EXPECT_EQ(to.credentials, nullptr);
    const startup_result e = setup.prepare(spec("tls+tcp://a:1"), false, {}, to);
    ASSERT_TRUE(e);
    EXPECT_EQ(e->code, exit_code::config);
    EXPECT_NE(e->what.find("libssl-of-nowhere.so.1"), std::string::npos) << e->what;
    EXPECT_NE(e->hint, "");
}

TEST_F(tls_options_test, a_layers_options_go_before_the_programs) {
    if (!have_library()) GTEST_SKIP() << "no TLS library";
    tls_settings settings;
    settings.psk_file = key_file("one", std::string(64, '1'));
    tls_setup setup(loop, out, settings, 3s);
    const std::string other = key_file("two", std::string(64, '2'));
    stack_tls to;
    EXPECT_FALSE(setup.prepare(spec("tls+tcp://a:1"), false, "stripe/1", to));
    EXPECT_EQ(to.credentials->options().shared_keys, settings.psk_file);
    EXPECT_EQ(to.credentials->options().protocol, "stripe/1");
    EXPECT_EQ(to.options.name, "a");
    EXPECT_EQ(to.options.handshake_timeout, duration(3s));
    EXPECT_FALSE(setup.prepare(spec("tls,name=b,psk=" + other + "+tcp://a:1"), false, {}, to));
    EXPECT_EQ(to.credentials->options().shared_keys, other);
    EXPECT_EQ(to.options.name, "b");
    // A name is needed where only a name tells the right server.
    const startup_result e =
        tls_setup(loop, out, defaults, 3s).prepare(spec("tls+unix:///run/x"), false, {}, to);
    ASSERT_TRUE(e);
    EXPECT_NE(e->hint.find("--server-name"), std::string::npos);
    tls_settings insecure;
    insecure.insecure = true;
    tls_setup trusting(loop, out, insecure, 3s);
    EXPECT_FALSE(trusting.prepare(spec("tls+unix:///run/x"), false, {}, to));
    ASSERT_EQ(lines.lines.size(), 1u);
    EXPECT_NE(lines.lines[0].find("insecure"), std::string::npos);
}

TEST_F(tls_options_test, refusals_are_told_with_a_hint) {
    tls_refusal last;
    last.pin.emplace();
    const startup_result e = auth_error("relay:443", {reason::bad_certificate, 18}, last);
    ASSERT_TRUE(e);
    EXPECT_EQ(e->code, exit_code::no_permission);
    EXPECT_EQ(e->what, "auth: certificate of relay:443 does not verify: self-signed certificate");
    EXPECT_EQ(e->hint, "if " + last.pin->to_string() + " is the server you expect, add --pin " +
                           last.pin->to_string());
    EXPECT_FALSE(auth_error("x", {reason::refused}, last));
    EXPECT_NE(auth_error("x", {reason::wrong_key}, last)->hint.find("--psk-file"),
              std::string::npos);
}

TEST_F(tls_options_test, mistakes_have_their_status) {
    const std::string exposed = key_file("exposed", std::string(64, '7'));
    fs::permissions(exposed, fs::perms::others_read, fs::perm_options::add);
    const std::string shared = key_file("shared", std::string(64, '7'));
    fs::permissions(shared, fs::perms::group_read, fs::perm_options::add);
    const std::string bad = key_file("bad", "laptop:12345678\n");
    const std::string huge = key_file("huge", std::string(2 * mib, '\n'));
    struct mistake {
        std::vector<std::string> arguments;
        int status;
        std::string says;
    };
    const mistake mistakes[] = {
        {{"-r", "127.0.0.1:0", "--tls"}, 2, "side"},
        {{"-c", "127.0.0.1:0", "--cert=x"}, 2, "add --tls"},
        {{"-c", "127.0.0.1:0", "--tls", "--pin=sha1:x"}, 2, "--pin: 'sha1:x' is not"},
        {{"-s", "127.0.0.1:0", "--psk-file", exposed}, 77, "hint: chmod 600 " + exposed},
        {{"-s", "127.0.0.1:0", "--psk-file", shared}, 77, "hint: chmod 600 " + shared},
        {{"-s", "127.0.0.1:0", "--psk-file", bad}, 78, bad + ": line 1: "},
        {{"-s", "127.0.0.1:0", "--psk-file", folder + "/none"}, 78, "no such file"},
        {{"-s", "127.0.0.1:0", "--psk-file", folder}, 78, folder + ": is a directory\n"},
        {{"-s", "127.0.0.1:0", "--psk-file", "/"}, 78, "tls: /: is a directory\n"},
        {{"-s", "127.0.0.1:0", "--psk-file", huge}, 78, "too large"},
        {{"-c", "127.0.0.1:0", "tls,ca=x+tcp://a:1", "--psk-file", bad},
         2,
         "--psk-file says nothing where"},
        {{"-c", "127.0.0.1:0", "tls,tls12+tcp://a:1", "--psk-file", bad},
         78,
         "spec: 'tls12' of 'tls' over a:1 says nothing beside a shared key\n"},
        {{"-c", "127.0.0.1:0", "tls,psk=k,ca=x+tcp://a:1"},
         78,
         "spec: 'ca' of 'tls' over a:1 says nothing beside a shared key\n"},
        {{"-r", "tls,cert=x,ca=y+tcp://127.0.0.1:0", "a:1"},
         78,
         "spec: 'ca' of 'tls' over 127.0.0.1:0 is for the end that connects\n"},
        {{"-r", "127.0.0.1:0", "tls,client-ca=x+tcp://a:1"}, 78, " is for the end that listens\n"},
        {{"-s", "127.0.0.1:0", "--tls"}, 78, "needs a certificate"},
        {{"-c", "127.0.0.1:0", "--tls", "--key=absent"}, 2, "--key needs --cert: "},
        {{"-r", "127.0.0.1:0", "tls,key=x+tcp://a:1"}, 78, "over a:1 needs a 'cert' that "},
        {{"-s", "127.0.0.1:0", "--tls", "--cert", bad}, 78, "no certificate"},
        {{"-s", "127.0.0.1:0", "--tls", "--cert", folder}, 78, folder + ": is a directory\n"},
    };
    if (!have_library()) GTEST_SKIP() << "no TLS library";
    for (const mistake& m : mistakes) {
        const run_result r = run_program("tcp-proxy", m.arguments);
        EXPECT_EQ(r.status, m.status) << r.errors;
        EXPECT_NE(r.errors.find(m.says), std::string::npos) << r.errors;
        EXPECT_EQ(r.errors.find("7777"), std::string::npos) << r.errors;
        EXPECT_EQ(r.errors.find("12345678"), std::string::npos) << r.errors;
    }
}

TEST_F(tls_options_test, a_file_that_may_not_be_read_is_a_matter_of_permission) {
    if (!have_library()) GTEST_SKIP() << "no TLS library";
    const std::string file = key_file("key", std::string(64, '7'));
    fs::permissions(file, fs::perms::none);
    const as_nobody anybody;
    for (std::string tls_settings::*given :
         {&tls_settings::psk_file, &tls_settings::certificate, &tls_settings::authorities}) {
        tls_settings settings;
        settings.*given = file;
        stack_tls to;
        const startup_result e =
            tls_setup(loop, out, settings, 5s).prepare(spec("tls+tcp://a:1"), false, {}, to);
        ASSERT_TRUE(e);
        EXPECT_EQ(e->code, exit_code::no_permission);
        EXPECT_EQ(e->what, "tls: " + file + ": permission denied");
    }
}

TEST_F(tls_options_test, explains_who_is_trusted) {
    if (!have_library()) GTEST_SKIP() << "no TLS library";
    const std::string key = key_file("key", std::string(64, '1'));
    const std::string pin = tls_pin{}.to_string();
    const std::pair<std::vector<std::string>, std::string> cases[] = {
        {{"-c", ":9", "a:1", "--psk-file", key}, "over tls (keys of " + key + ") over tcp a:1,"},
        {{"-s", ":9", "a:1", "--psk-file", key},
         "over tls (keys of " + key + ") over tcp 0.0.0.0:9\n"},
        {{"-c", ":9", "a:1", "--tls"}, "tls (server certified by the system's authorities) over"},
        {{"-c", ":9", "a:1", "--tls", "--pin", pin}, "tls (the server that is pinned) over"},
        {{"-c", ":9", "a:1", "--tls", "--insecure"}, "tls (insecure: any server) over"},
    };
    for (const auto& [arguments, says] : cases) {
        std::vector<std::string> line = arguments;
        line.push_back("--explain");
        const run_result r = run_program("tcp-proxy", line);
        EXPECT_EQ(r.status, 0) << r.errors;
        EXPECT_NE(r.output.find(says), std::string::npos) << r.output;
        EXPECT_EQ(r.errors, "");
    }
    const run_result r = run_program(
        "tcp-striper", {"-c", ":9", "a:1", "--psk-file", folder + "/none", "--explain"});
    EXPECT_EQ(r.status, 78);
    EXPECT_NE(r.errors.find("no such file"), std::string::npos) << r.errors;
}

// Keys for the pair, authorities for whoever is behind it: what a stack says of whom it trusts goes
// before --psk-file.
TEST_F(tls_options_test, a_stack_that_says_whom_it_trusts_takes_no_part_in_the_keys) {
    if (!have_library()) GTEST_SKIP() << "no TLS library";
    const std::string key = key_file("key", std::string(64, '1'));
    const std::string pin = tls_pin{}.to_string();
    for (const auto& [said, trusted] :
         {std::pair(std::string("insecure"), "tls (insecure: any server) over tcp a:1,"),
          std::pair("pin=" + pin, "tls (the server that is pinned) over tcp a:1,")}) {
        const run_result r =
            run_program("tcp-striper",
                        {"-s", ":9", "--psk-file", key, "tls," + said + "+tcp://a:1", "--explain"});
        EXPECT_EQ(r.status, 0) << r.errors;
        EXPECT_NE(r.output.find("listens   tls (keys of " + key + ") over"), std::string::npos)
            << r.output;
        EXPECT_NE(r.output.find(trusted), std::string::npos) << r.output;
    }
}

TEST_F(tls_options_test, keygen_makes_a_line_for_a_key_file) {
    const run_result one = run_program("tcp-striper", {"keygen"});
    const run_result two = run_program("tcp-striper", {"keygen"});
    EXPECT_EQ(one.status, 0);
    EXPECT_NE(one.output, two.output);
    std::vector<tls_key> keys;
    EXPECT_EQ(parse_tls_keys(one.output, keys), "");
    EXPECT_EQ(keys.at(0).secret.size(), 32u);
}

TEST_F(tls_options_test, a_wrong_key_ends_a_one_shot_session_with_77) {
    if (!have_library()) GTEST_SKIP() << "no TLS library";
    const std::string right = key_file("right", std::string(64, '1'));
    const std::string wrong = key_file("wrong", std::string(64, '2'));
    test_listener target;
    spawned_program far({.program = "tcp-proxy",
                         .arguments = {"-s", "127.0.0.1:0", target.address(), "--psk-file", right},
                         .announce = true});
    const std::string far_at = far.wait_announced();
    spawned_program near({.program = "tcp-proxy",
                          .arguments = {"-1", "-c", "127.0.0.1:0", far_at, "--psk-file", wrong},
                          .announce = true});
    test_socket client = test_socket::connect(near.wait_announced());
    EXPECT_EQ(near.wait_exit(), 77);
    EXPECT_NE(near.errors().find("end=auth_failed"), std::string::npos) << near.errors();
    EXPECT_NE(near.errors().find("tcp-proxy: error: auth: "), std::string::npos) << near.errors();
    const std::string refused = far.wait_error_line("end=auth_failed");
    EXPECT_TRUE(field_of(refused, "src").starts_with("127.0.0.1:")) << far.errors();
    // HUP reads the file again: the same key at both ends from now on.
    fs::copy_file(wrong, right, fs::copy_options::overwrite_existing);
    far.signal(SIGHUP);
    EXPECT_NE(far.wait_error_line("reload=done"), "") << far.errors();
    spawned_program again({.program = "tcp-proxy",
                           .arguments = {"-1", "-c", "127.0.0.1:0", far_at, "--psk-file", wrong},
                           .announce = true});
    test_socket second = test_socket::connect(again.wait_announced());
    EXPECT_TRUE(second.send("hello"));
    second.send_fin();
    test_socket served = target.accept();
    EXPECT_EQ(served.receive_all(), "hello");
    served.send("bye");
    served.send_fin();
    EXPECT_EQ(second.receive_all(), "bye");
    EXPECT_EQ(again.wait_exit(), 0);
    EXPECT_EQ(far.errors().find("2222222"), std::string::npos);
    // What cannot be read changes nothing, and is not called done.
    const std::string log = far.errors();
    key_file("right", "laptop:12345678\n");
    far.signal(SIGHUP);
    EXPECT_NE(far.wait_error_line("reload=failed"), "") << far.errors();
    far.signal(SIGTERM);
    EXPECT_EQ(far.wait_exit(), 0);
    EXPECT_EQ(far.errors().find("reload=done", log.size()), std::string::npos) << far.errors();
}

// ... of a striped client, too, at once, and without a word of the paths that are not to blame.
TEST_F(tls_options_test, only_the_path_with_the_wrong_key_is_named) {
    if (!have_library()) GTEST_SKIP() << "no TLS library";
    const std::string right = key_file("right", std::string(64, '1'));
    const std::string wrong = key_file("wrong", std::string(64, '2'));
    refusing_port nobody;
    test_listener target;
    spawned_program far({.program = "tcp-striper",
                         .arguments = {"-s", "127.0.0.1:0", target.address(), "--psk-file", right},
                         .announce = true});
    const std::string at = far.wait_announced();
    const run_result r = run_program("tcp-striper", {"-c", "-", "--connect-timeout=1h",
                                                     "--psk-file", wrong, nobody.address(), at});
    EXPECT_EQ(r.status, 77);
    EXPECT_NE(
        r.errors.find("\ntcp-striper: error: auth: " + at + ": the keys of the two ends differ\n"),
        std::string::npos)
        << r.errors;
}

// One end with TLS and one without: both programs say which, with a way out.
TEST_F(tls_options_test, an_end_without_tls_and_one_with_say_so) {
    if (!have_library()) GTEST_SKIP() << "no TLS library";
    using words = std::vector<std::string>;
    const words none, keys{"--psk-file", key_file("key", std::string(64, '1'))};
    struct pair {
        words far, near;
        int status;
        std::string says, hint;
    };
    const pair pairs[] = {
        {keys, none, 77, ": the other end wants TLS\n", "  hint: add --psk-file "},
        {none, keys, 76, ": the other end speaks no TLS\n", "  hint: give it the same --psk-file"},
        {keys,
         {"--tls", "--insecure"},
         77,
         "authentication failed: ",
         "  hint: if it goes by keys, add --psk-file "},
    };
    for (const std::string program : {"tcp-proxy", "tcp-striper"}) {
        for (const pair& p : pairs) {
            // To datagrams a greeting is a few of them and then nonsense: all that this end sees is
            // a reset.
            if (p.far.empty() && program == "tcp-proxy") continue;
            test_listener target;
            words s{"-s", "127.0.0.1:0", target.address()};
            s.insert(s.end(), p.far.begin(), p.far.end());
            spawned_program far({.program = program, .arguments = s, .announce = true});
            const std::string far_at = far.wait_announced();
            words c{"-1", "-c", "127.0.0.1:0", far_at, "--connect-timeout=500ms"};
            c.insert(c.end(), p.near.begin(), p.near.end());
            spawned_program near({.program = program, .arguments = c, .announce = true});
            test_socket client = test_socket::connect(near.wait_announced());
            client.send("hello");  // if it is still there: it may have been refused by now
            EXPECT_EQ(near.wait_exit(), p.status) << program << near.errors();
            const std::string said = near.errors();
            EXPECT_NE(said.find(program + ": error: "), std::string::npos) << said;
            EXPECT_NE(said.find(p.says), std::string::npos) << said;
            EXPECT_NE(said.find(p.hint), std::string::npos) << said;
        }
    }
}

TEST_F(tls_options_test, datagrams_that_are_a_tls_greeting_are_called_that) {
    if (!have_library()) GTEST_SKIP() << "no TLS library";
    test_listener target;
    spawned_program far({.program = "tcp-proxy",
                         .arguments = {"-1", "-s", "127.0.0.1:0", target.address()},
                         .announce = true});
    spawned_program near({.program = "tcp-proxy",
                          .arguments = {"-1", "-c", "127.0.0.1:0", far.wait_announced(), "--tls",
                                        "--insecure", "--handshake-timeout=300ms"},
                          .announce = true});
    test_socket client = test_socket::connect(near.wait_announced());
    EXPECT_EQ(far.wait_exit(), 77);
    EXPECT_NE(far.errors().find("end=auth_failed"), std::string::npos) << far.errors();
    EXPECT_NE(far.errors().find(": the other end wants TLS\n  hint: "), std::string::npos)
        << far.errors();
    EXPECT_EQ(far.errors().find("auth: " + target.address()), std::string::npos) << far.errors();
}

// Of a stranger who never shakes hands nothing else would tell.
TEST_F(tls_options_test, who_is_cut_for_saying_nothing_is_in_the_log) {
    if (!have_library()) GTEST_SKIP() << "no TLS library";
    const std::string key = key_file("key", std::string(64, '1'));
    test_listener target;
    for (const std::string program : {"tcp-proxy", "tcp-striper"}) {
        spawned_program far({.program = program,
                             .arguments = {"-s", "127.0.0.1:0", target.address(), "--psk-file", key,
                                           "--handshake-timeout=100ms"},
                             .announce = true});
        test_socket stranger = test_socket::connect(far.wait_announced());
        EXPECT_EQ(stranger.wait_end(), "reset");
        const std::string line = far.wait_error_line(" end=handshake_timeout ");
        EXPECT_TRUE(field_of(line, "src").starts_with("127.0.0.1:")) << far.errors();
        EXPECT_NE(line.find(" info tls "), std::string::npos) << line;
        far.signal(SIGTERM);
        EXPECT_EQ(far.wait_exit(), 0);
        const std::string all = far.errors();
        EXPECT_EQ(all.find("end=handshake_timeout"), all.rfind("end=handshake_timeout")) << all;
    }
}

// A flood of strangers who say nothing of use: most are turned away unheard, and the log says so in
// a line or two.
TEST_F(tls_options_test, strangers_who_fail_are_turned_away) {
    if (!have_library()) GTEST_SKIP() << "no TLS library";
    test_listener target;
    spawned_program far({.program = "tcp-proxy",
                         .arguments = {"-s", "127.0.0.1:0", target.address(), "--psk-file",
                                       key_file("key", std::string(64, '1'))},
                         .announce = true});
    const std::string far_at = far.wait_announced();
    // As long as it takes: where the machine is slow a few hundred may be no more than are answered
    // in that time.
    const auto seen = [&] { return far.errors().find("listen turned_away=") != std::string::npos; };
    std::deque<test_socket> strangers;
    for (int i = 0; i < 20'000 && !seen(); ++i) {
        strangers.push_back(test_socket::connect(far_at));
        strangers.back().send("let me in");
        if (strangers.size() < 200) continue;
        strangers.front().receive_all();
        strangers.pop_front();
    }
    const std::string line = far.wait_error_line("turned_away=");
    EXPECT_NE(line.find("listen turned_away="), std::string::npos) << far.errors();
    for (test_socket& s : strangers)
        s.receive_all();
}

}  // namespace
}  // namespace libp::app
