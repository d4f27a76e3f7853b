#include <apps/striper_pair.h>

// tcp-striper as processes between real sockets.

namespace libp::app {
namespace {

using words = std::vector<std::string>;

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

// Whatever its spec says goes over stdin too.
TEST(tcp_striper, stdin_may_be_datagrams) {
    test_listener target;
    spawned_program far(striper_with({"-s", "127.0.0.1:0", target.address()}));
    spawned_program near({.program = "tcp-striper",
                          .arguments = {"-q", "-c", "dgm+stdio://", far.wait_announced()}});
    test_socket server = target.accept();
    ASSERT_TRUE(near.write_input("\5hello\1!"));
    EXPECT_EQ(server.receive_all(), "hello!");
    ASSERT_TRUE(server.send("bye"));
    server.close();
    EXPECT_EQ(near.read_output(), "\3bye");
    EXPECT_EQ(near.wait_exit(), 0);
}

// At once: whoever waits for it, such as ssh, has been told all there is to tell.
TEST(tcp_striper, stdin_to_nowhere_is_69) {
    refusing_port nobody;
    const std::string missing = "/nonexistent/for/this";
    for (const auto& [path, why] : {std::pair(nobody.address(), "connection refused"),
                                    std::pair(missing, "no such file or directory")}) {
        const run_result r =
            run_program("tcp-striper", {"--connect-timeout=1h", "-c", "-", path, path});
        EXPECT_EQ(r.status, 69);
        EXPECT_TRUE(r.errors.ends_with("\ntcp-striper: error: connect: " + path + ", " + path +
                                       ": " + why + "\n"))
            << r.errors;
    }
}

TEST(tcp_striper, a_path_is_named_with_what_it_goes_from) {
    refusing_port nobody;
    const run_result r = run_program(
        "tcp-striper", {"-c", "-", "tcp://" + nobody.address() + ",bind=127.0.0.1,name=dsl"});
    EXPECT_EQ(r.status, 69);
    EXPECT_TRUE(r.errors.ends_with("\ntcp-striper: error: connect: " + nobody.address() +
                                   " from 127.0.0.1: connection refused\n"))
        << r.errors;
}

TEST(tcp_striper, stdin_to_a_name_that_is_none_is_68) {
    const std::string unknown = no_such_name;
    const run_result r = run_program("tcp-striper", {"--connect-timeout=1h", "-c", "-", unknown});
    EXPECT_EQ(r.status, 68);
    EXPECT_TRUE(r.errors.ends_with("\ntcp-striper: error: connect: " + unknown +
                                   ": name cannot be resolved: no such name\n"))
        << r.errors;
}

// Its connections are taken, by the kernel, and nobody speaks.
TEST(tcp_striper, stdin_to_a_server_that_is_silent_times_out) {
    test_listener silent;
    const run_result r =
        run_program("tcp-striper", {"--connect-timeout=300ms", "-c", "-", silent.address()});
    EXPECT_EQ(r.status, 69);
    EXPECT_NE(r.errors.find(" end=connect_timeout "), std::string::npos) << r.errors;
    EXPECT_NE(r.errors.find("tcp-striper: error: connect: " + silent.address() + ": timed out\n"),
              std::string::npos)
        << r.errors;
    EXPECT_EQ(r.errors.find("state=refused"), std::string::npos) << "nobody was: " << r.errors;
}

TEST(tcp_striper, stdin_to_another_program_says_what_should_be_there) {
    test_listener sshd;
    spawned_program near(
        {.program = "tcp-striper", .arguments = {"-c", "-", "-n", "1", sshd.address()}});
    test_socket there = sshd.accept();
    ASSERT_TRUE(there.send("SSH-2.0-OpenSSH_9.2\r\n"));
    EXPECT_EQ(near.wait_exit(), 76);
    EXPECT_TRUE(near.errors().ends_with("\ntcp-striper: error: connect: " + sshd.address() +
                                        ": protocol violated by peer\n"
                                        "  hint: is it a tcp-striper -s that listens there?\n"))
        << near.errors();
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
    // The far end has answered: bytes may be there before that.
    ASSERT_TRUE(served.send("w"));
    EXPECT_EQ(first.receive(1), "w");
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

// A server that listens twice is one server: what comes in at either belongs to one session. Both
// ends' tables call a path by the name that the client gave it.
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

}  // namespace
}  // namespace libp::app
