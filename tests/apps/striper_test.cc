#include <apps/joined_ends.h>
#include <apps/spawned_program.h>
#include <gtest/gtest.h>
#include <kit/stack_argument.h>
#include <kit/stripe_program.h>

#include <csignal>
#include <filesystem>
#include <memory>

// tcp-striper as processes between real sockets.

namespace libp::app {
namespace {

using words = std::vector<std::string>;

spawn_options striper_with(words arguments) {
    return {.program = "tcp-striper", .arguments = std::move(arguments), .announce = true};
}

std::string end_of(spawned_program& program) {
    std::string line = program.wait_error_line(" conn ");
    std::size_t at = line.find(" end=");
    return at == std::string::npos ? line : line.substr(at + 5, line.find(' ', at + 1) - at - 5);
}

// client -> tcp-striper -c ==> tcp-striper -s -> target
class striper_test : public testing::Test, protected joined_ends {
  protected:
    explicit striper_test(words more_for_client = {}, words more_for_server = {}) {
        words s = {"-s", "127.0.0.1:0", target_.address()};
        s.insert(s.end(), more_for_server.begin(), more_for_server.end());
        far_ = std::make_unique<spawned_program>(striper_with(s));
        far_address_ = far_->wait_announced();
        words c = {"-c", "127.0.0.1:0", far_address_};
        c.insert(c.end(), more_for_client.begin(), more_for_client.end());
        near_ = std::make_unique<spawned_program>(striper_with(c));
        address_ = near_->wait_announced();
    }

    std::unique_ptr<spawned_program> far_, near_;
    std::string far_address_;
};

TEST_F(striper_test, bytes_arrive_exactly_both_ways_at_once) {
    exchange_exactly(2);
    for (spawned_program* end : {near_.get(), far_.get()}) {
        std::string line = end->wait_error_line(" conn ");
        EXPECT_NE(line.find(" end=ok "), std::string::npos) << line;
        EXPECT_NE(line.find(" up=3000000 down=2500000 "), std::string::npos) << line;
    }
}

TEST_F(striper_test, a_request_that_ends_gets_its_answer) {
    answer_after_the_request_ended();
}

TEST_F(striper_test, resets_cross_in_both_directions) {
    join();
    client_.reset();
    EXPECT_EQ(server_.wait_end(), "reset");
    EXPECT_EQ(end_of(*near_), "client_rst");
    EXPECT_EQ(end_of(*far_), "client_rst");
    join();
    ASSERT_TRUE(client_.send("x"));
    EXPECT_EQ(server_.receive(1), "x");
    server_.reset();
    EXPECT_EQ(client_.wait_end(), "reset");
    EXPECT_EQ(end_of(*near_), "upstream_rst");
    EXPECT_EQ(end_of(*far_), "upstream_rst");
}

TEST_F(striper_test, the_server_drains_while_its_stream_goes_on) {
    join();
    far_->signal(SIGTERM);
    ASSERT_NE(far_->wait_error_line(" drain conns=1"), "");
    test_socket late = test_socket::connect(address_);
    EXPECT_EQ(late.wait_end(), "reset");
    EXPECT_EQ(end_of(*near_), "connect_refused");
    ASSERT_TRUE(client_.send("still here"));
    EXPECT_EQ(server_.receive(10), "still here");
    client_.close();
    server_.close();
    EXPECT_EQ(far_->wait_exit(), 0);
    EXPECT_EQ(end_of(*near_), "ok");
}

// What follows `key` in a line of the log.
std::string field_of(const std::string& line, const std::string& key) {
    const std::size_t at = line.find(" " + key + "=");
    if (at == line.npos) return {};
    const std::size_t begin = at + key.size() + 2;
    return line.substr(begin, line.find_first_of(" \n", begin) - begin);
}

// With many clients, that is how one knows whose connection it was.
TEST_F(striper_test, the_server_says_whose_stream_it_was) {
    join();
    client_.close();
    server_.close();
    const std::string line = far_->wait_error_line(" conn ");
    const std::string up = far_->errors();
    EXPECT_NE(field_of(line, "session"), "");
    EXPECT_NE(up.find(" info session id=" + field_of(line, "session") + " state=up"), up.npos)
        << up;
    // Of its first subflow.
    EXPECT_EQ(field_of(line, "src").substr(0, 10), "127.0.0.1:");
    EXPECT_NE(up.find(" path=" + field_of(line, "src") + " state=up"), up.npos) << up;
    // At the client it is the application that came.
    EXPECT_EQ(field_of(near_->wait_error_line(" conn "), "session"), "");
}

TEST_F(striper_test, the_client_says_goodbye) {
    join();
    client_.close();
    server_.close();
    EXPECT_EQ(end_of(*near_), "ok");
    near_->signal(SIGTERM);
    EXPECT_EQ(near_->wait_exit(), 0);
    EXPECT_EQ(near_->errors().find(" warn "), std::string::npos) << near_->errors();
    // The server has heard of it: its session is over, not waiting for subflows to come back.
    const std::string up = far_->wait_error_line(" info session ");
    EXPECT_NE(up.find(" state=up"), up.npos) << up;
    const std::string down = far_->wait_error_line(" info session ");
    EXPECT_NE(down.find(" state=down "), down.npos) << down;
    EXPECT_NE(down.find(" streams=0 "), down.npos) << down;
    EXPECT_EQ(far_->errors().find(" why="), std::string::npos) << far_->errors();
}

TEST_F(striper_test, a_second_signal_waits_for_nobody) {
    join();
    far_->signal(SIGSTOP);
    near_->signal(SIGTERM);
    ASSERT_NE(near_->wait_error_line(" drain conns=1"), "");
    near_->signal(SIGTERM);
    EXPECT_EQ(near_->wait_exit(1500ms), 75);
    EXPECT_NE(near_->errors().find(" conn "), std::string::npos) << "it says what it has cut";
}

TEST_F(striper_test, a_peer_that_stands_still_is_not_waited_for_long) {
    join();
    client_.close();
    server_.close();
    EXPECT_EQ(end_of(*near_), "ok");
    far_->signal(SIGSTOP);
    near_->signal(SIGTERM);
    EXPECT_EQ(near_->wait_exit(4s), 0);
}

TEST_F(striper_test, what_a_second_signal_cuts_looks_cut_at_the_other_end) {
    join();
    near_->signal(SIGTERM);
    ASSERT_NE(near_->wait_error_line(" drain conns=1"), "");
    near_->signal(SIGTERM);
    EXPECT_EQ(server_.wait_end(), "reset");
    EXPECT_EQ(near_->wait_exit(), 75);
    ASSERT_NE(far_->wait_error_line(" session "), "");
    const std::string down = far_->wait_error_line(" session ");
    EXPECT_NE(down.find(" state=down "), down.npos) << down;
}

// Of a closed list, whatever line it is in.
TEST_F(striper_test, every_end_is_one_of_the_words_that_scripts_know) {
    join();
    near_->signal(SIGTERM);
    ASSERT_NE(near_->wait_error_line(" drain conns=1"), "");
    near_->signal(SIGTERM);
    EXPECT_EQ(near_->wait_exit(), 75);
    EXPECT_EQ(server_.wait_end(), "reset");
    near_ = std::make_unique<spawned_program>(striper_with({"-c", "127.0.0.1:0", far_address_}));
    address_ = near_->wait_announced();
    join();
    client_.close();
    server_.close();
    EXPECT_EQ(end_of(*near_), "ok");
    near_->signal(SIGTERM);
    EXPECT_EQ(near_->wait_exit(), 0);
    EXPECT_NE(near_->errors().find(" state=down end=ok "), std::string::npos) << near_->errors();
    far_->signal(SIGTERM);
    EXPECT_EQ(far_->wait_exit(), 0);
    const std::string known =
        " ok client_rst upstream_rst idle_timeout linger_timeout connect_refused connect_timeout"
        " resolve_failed handshake_timeout auth_failed protocol_error checksum_error acl_denied"
        " limit drain_cut session_lost internal ";
    for (const std::string& log : {near_->errors(), far_->errors()})
        for (std::size_t at = 0; (at = log.find(" end=", at)) != std::string::npos; ++at) {
            const std::size_t from = at + 5, to = log.find_first_of(" \n", from);
            const std::string word = log.substr(from, to - from);
            EXPECT_NE(known.find(" " + word + " "), std::string::npos) << log;
        }
}

TEST_F(striper_test, a_status_block_shows_every_subflow) {
    join();
    ASSERT_TRUE(client_.send("x"));
    EXPECT_EQ(server_.receive(1), "x");
    near_->signal(SIGHUP);
    ASSERT_NE(near_->wait_error_line("HUP"), "");
    near_->signal(SIGUSR1);
    EXPECT_NE(near_->wait_error_line(" status conns=1 "), "");
    std::string line = near_->wait_error_line(" status subflow=");
    EXPECT_NE(line.find(" path=" + far_address_ + " up=yes state=up "), std::string::npos) << line;
    EXPECT_NE(line.find(" rate="), std::string::npos) << line;
    EXPECT_NE(line.find(" rtt="), std::string::npos) << line;
}

class striper_that_is_quiet : public striper_test {
  protected:
    striper_that_is_quiet() : striper_test({"-q"}, {"-q"}) {}
};

TEST_F(striper_that_is_quiet, who_asks_for_the_status_gets_it) {
    join();
    for (spawned_program* end : {near_.get(), far_.get()}) {
        end->signal(SIGUSR1);
        EXPECT_NE(end->wait_error_line(" status conns=1 "), "");
        EXPECT_NE(end->wait_error_line(" status subflow="), "");
        EXPECT_EQ(end->errors().find(" conn "), std::string::npos) << end->errors();
    }
}

class striper_that_talks : public striper_test {
  protected:
    striper_that_talks() : striper_test({"-v"}, {"-v"}) {}
};

TEST_F(striper_that_talks, every_step_has_a_line) {
    join();
    for (const char* step : {" debug path name=", " debug conn id=", " debug stream id="})
        EXPECT_NE(near_->wait_error_line(step), "") << step << near_->errors();
    for (const char* step : {" state=\"opened by the peer\" target=-",
                             " state=accepted src=", " state=connected dst="})
        EXPECT_NE(far_->wait_error_line(step), "") << step << far_->errors();
}

class striper_of_two : public striper_test {
  protected:
    striper_of_two() : striper_test({"--scheduler=congestion", "-n", "2"}) {}
};

TEST_F(striper_of_two, two_subflows_are_enough) {
    join();
    ASSERT_TRUE(client_.send("abc"));
    EXPECT_EQ(server_.receive(3), "abc");
}

TEST(tcp_striper, stdin_and_stdout_are_one_stream) {
    test_listener target;
    spawned_program far(striper_with({"-s", "127.0.0.1:0", target.address()}));
    std::string path = far.wait_announced();
    spawned_program near({.program = "tcp-striper", .arguments = {"-q", "-c", "-", path}});
    test_socket server = target.accept();
    ASSERT_TRUE(server.is_open());
    std::string question(300'000, 'q'), answer(400'000, 'a');
    ASSERT_TRUE(near.write_input(question));
    EXPECT_TRUE(server.receive_all() == question);
    ASSERT_TRUE(server.send(answer));
    server.close();
    EXPECT_TRUE(near.read_output() == answer);
    EXPECT_EQ(near.wait_exit(), 0);
    EXPECT_EQ(near.errors(), "");
    EXPECT_EQ(end_of(far), "ok") << "the server saw it end";
}

TEST(tcp_striper, stdin_to_nowhere_is_69) {
    refusing_port nobody;
    run_result r =
        run_program("tcp-striper", {"-q", "--connect-timeout=300ms", "-c", "-", nobody.address()});
    EXPECT_EQ(r.status, 69);
    EXPECT_NE(r.errors.find("tcp-striper: error: connect: " + nobody.address() +
                            ": connection refused\n"),
              std::string::npos)
        << r.errors;
}

// Not the path is to blame: it led to the server.
TEST(tcp_striper, stdin_to_a_target_that_cannot_be_reached_says_so) {
    refusing_port nobody;
    for (const auto& [target, status, why] :
         {std::tuple(nobody.address(), 69, ": connection refused\n"),
          std::tuple(std::string(no_such_name), 68, ": name cannot be resolved\n")}) {
        spawned_program far(striper_with({"-s", "127.0.0.1:0", target}));
        const std::string path = far.wait_announced();
        run_result r = run_program("tcp-striper", {"-q", "-c", "-", path});
        EXPECT_EQ(r.status, status) << r.errors;
        EXPECT_EQ(r.errors, "tcp-striper: error: target: the server's, by way of " + path + why);
    }
}

TEST(tcp_striper, a_target_that_refuses_resets_the_client_and_ends_a_one_shot_server) {
    refusing_port nobody;
    spawned_program far(striper_with({"--once", "-s", "127.0.0.1:0", nobody.address()}));
    spawned_program near(striper_with({"-c", "127.0.0.1:0", far.wait_announced()}));
    test_socket client = test_socket::connect(near.wait_announced());
    EXPECT_EQ(client.wait_end(), "reset");
    EXPECT_EQ(end_of(near), "connect_refused");
    EXPECT_EQ(far.wait_exit(), 69);
}

TEST(tcp_striper, without_a_server_connections_are_reset_after_the_timeout) {
    refusing_port nobody;
    spawned_program near(
        striper_with({"--connect-timeout=200ms", "-c", "127.0.0.1:0", nobody.address()}));
    test_socket client = test_socket::connect(near.wait_announced());
    EXPECT_EQ(client.wait_end(), "reset");
    EXPECT_EQ(end_of(near), "connect_refused");
}

TEST(tcp_striper, a_server_that_does_not_answer_is_not_waited_for) {
    test_listener target;
    spawned_program far(striper_with({"-s", "127.0.0.1:0", target.address()}));
    spawned_program near(
        striper_with({"--connect-timeout=300ms", "-c", "127.0.0.1:0", far.wait_announced()}));
    const std::string address = near.wait_announced();
    test_socket first = test_socket::connect(address);
    test_socket served = target.accept();
    ASSERT_TRUE(first.send("x"));
    EXPECT_EQ(served.receive(1), "x");
    far.signal(SIGSTOP);
    test_socket client = test_socket::connect(address);
    EXPECT_EQ(client.wait_end(), "reset");
    EXPECT_EQ(end_of(near), "connect_timeout");
    far.signal(SIGCONT);
    ASSERT_TRUE(served.send("y"));
    EXPECT_EQ(first.receive(1), "y");
}

TEST(tcp_striper, crc_can_be_left_out_of_paths) {
    test_listener target;
    spawned_program far(striper_with({"-s", "127.0.0.1:0", target.address()}));
    std::string path = "tcp://" + far.wait_announced() + ",crc=no,name=first";
    spawned_program near(striper_with({"-c", "127.0.0.1:0", path}));
    test_socket client = test_socket::connect(near.wait_announced());
    test_socket server = target.accept();
    ASSERT_TRUE(client.send("no sums"));
    EXPECT_EQ(server.receive(7), "no sums");
}

TEST(tcp_striper, relays_when_nothing_else_is_said) {
    test_listener target;
    spawned_program relay(striper_with({"-r", "127.0.0.1:0", target.address()}));
    test_socket client = test_socket::connect(relay.wait_announced());
    test_socket server = target.accept();
    ASSERT_TRUE(client.send("plain"));
    EXPECT_EQ(server.receive(5), "plain");
    run_result bare = run_program("tcp-striper", {"--explain"});
    EXPECT_EQ(bare.status, 0);
    EXPECT_NE(bare.output.find("listens   tcp 0.0.0.0:55555\n"), std::string::npos);
    EXPECT_NE(bare.output.find("connects  tcp 127.0.0.1:22,"), std::string::npos);
}

TEST(tcp_striper, explains_how_subflows_are_dealt) {
    run_result r =
        run_program("tcp-striper", {"-c", ":1", "-n", "5", "a:1", "/run/b", "--explain"});
    EXPECT_EQ(r.status, 0);
    EXPECT_NE(r.output.find("striped over 5 subflows"), std::string::npos) << r.output;
    EXPECT_NE(r.output.find("path      tcp a:1, 3 subflows\n"), std::string::npos) << r.output;
    EXPECT_NE(r.output.find("path      unix /run/b, 2 subflows\n"), std::string::npos) << r.output;
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
    r = run_program("tcp-striper", {"--explain", "tcp://a:1,bind=::1,dev=lo"});
    EXPECT_NE(r.output.find("connects  tcp a:1 from [::1] through lo, within"), std::string::npos)
        << r.output;
}

// A server that listens twice is one server: what comes in at either belongs to one session. Both ends' tables
// call a path by the name that the client gave it.
TEST(tcp_striper, several_paths_lead_to_one_session) {
    test_listener target;
    spawned_program far(striper_with({"-s", "127.0.0.1:0", "-s", "127.0.0.1:0", target.address()}));
    std::string addresses[2];
    for (std::string& a : addresses) {
        const std::string line = far.wait_error_line(" addr=");
        ASSERT_NE(line, "");
        a = line.substr(line.find(" addr=") + 6);
        a = a.substr(0, a.find_first_of(" \n"));
    }
    const auto& [first, second] = addresses;
    ASSERT_NE(first, second);
    spawned_program near(
        striper_with({"-c", "127.0.0.1:0", "-n", "4", "tcp://" + first + ",name=dsl,n=1",
                      "tcp://" + second + ",name=lte,backup"}));
    test_socket client = test_socket::connect(near.wait_announced());
    test_socket server = target.accept();
    ASSERT_TRUE(client.send("once"));
    EXPECT_EQ(server.receive(4), "once");
    for (spawned_program* end : {&near, &far}) {
        // Until all four are there.
        const auto count = [&](const std::string& what) {
            std::size_t n = 0;
            const std::string all = end->errors();
            for (std::size_t at = 0; (at = all.find(what, at)) != all.npos; ++at)
                ++n;
            return n;
        };
        while (count(" state=up") < 5 && end->wait_error_line(" state=up") != "") {
        }
        EXPECT_EQ(count(" info session "), 1u) << end->errors();
        EXPECT_EQ(count(" path=dsl"), 1u) << end->errors();
        EXPECT_EQ(count(" path=lte"), 3u) << end->errors();
    }
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
        {{"--allow", "0.0.0.0/0"}, 2, ""},
        {{"--target", "a:1"}, 2, ""},
        {{"-n", "4", "a:1"}, 2, "tcp-striper: error: -n is for -c and -s: "},
        {{"--scheduler", "rr", "-r", ":9"},
         2,
         "tcp-striper: error: --scheduler is for -c and -s: "},
        {{"-s", ":9", "-n", "4", "a:1"}, 2, "tcp-striper: error: -n is for -c: "},
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
