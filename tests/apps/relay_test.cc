#include <apps/joined_ends.h>
#include <apps/spawned_program.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <csignal>
#include <memory>

// tcp-proxy as a process between real sockets.

namespace libp::app {
namespace {

using words = std::vector<std::string>;

spawn_options proxy_with(words arguments) {
    return {.program = "tcp-proxy", .arguments = std::move(arguments), .announce = true};
}

// How often its loop has waited.
std::uint64_t turns_of(spawned_program& proxy) {
    proxy.signal(SIGUSR1);
    std::string turns = field_of(proxy.wait_error_line(" status "), "turns");
    return turns.empty() ? 0 : std::stoull(turns);
}

// One way to get from a client to a target: a raw relay, or the datagram pair.
class relay_test : public testing::TestWithParam<const char*>, protected joined_ends {
  protected:
    relay_test() {
        if (std::string(GetParam()) == "raw") {
            first_ = std::make_unique<spawned_program>(
                proxy_with({"-r", "127.0.0.1:0", target_.address()}));
        } else {
            second_ = std::make_unique<spawned_program>(
                proxy_with({"-s", "127.0.0.1:0", target_.address()}));
            first_ = std::make_unique<spawned_program>(
                proxy_with({"-c", "127.0.0.1:0", second_->wait_announced()}));
        }
        address_ = first_->wait_announced();
    }

    std::unique_ptr<spawned_program> first_, second_;
};

TEST_P(relay_test, bytes_arrive_exactly_both_ways_at_once) {
    exchange_exactly(1);
    std::string line = first_->wait_error_line(" conn ");
    EXPECT_EQ(field_of(line, "end"), "ok") << line;
    EXPECT_EQ(field_of(line, "up"), "3000000") << line;
    EXPECT_EQ(field_of(line, "down"), "2500000") << line;
}

TEST_P(relay_test, a_request_that_ends_gets_its_answer) {
    answer_after_the_request_ended();
}

TEST_P(relay_test, a_reset_of_the_client_reaches_the_target_as_one) {
    join();
    ASSERT_TRUE(client_.send("x"));
    EXPECT_EQ(server_.receive(1), "x");
    client_.reset();
    EXPECT_EQ(server_.wait_end(), "reset");
    EXPECT_EQ(field_of(first_->wait_error_line(" conn "), "end"), "client_rst");
}

TEST_P(relay_test, a_reset_of_the_target_reaches_the_client_as_one) {
    join();
    ASSERT_TRUE(client_.send("x"));
    EXPECT_EQ(server_.receive(1), "x");
    server_.reset();
    EXPECT_EQ(client_.wait_end(), "reset");
    EXPECT_EQ(field_of(first_->wait_error_line(" conn "), "end"), "upstream_rst");
}

TEST_P(relay_test, serves_many_one_after_the_other_and_at_once) {
    std::vector<test_socket> clients, servers;
    for (int i = 0; i < 50; ++i) {
        join();
        clients.push_back(std::move(client_));
        servers.push_back(std::move(server_));
    }
    for (std::size_t i = 0; i < clients.size(); ++i)
        ASSERT_TRUE(clients[i].send(std::to_string(1000 + i)));
    for (std::size_t i = 0; i < clients.size(); ++i)
        EXPECT_EQ(servers[i].receive(4), std::to_string(1000 + i));
}

INSTANTIATE_TEST_SUITE_P(kinds, relay_test, testing::Values("raw", "dgm"),
                         [](const auto& of) { return std::string(of.param); });

// -- the life of a connection, and of the program -------------------------------------------------

TEST(tcp_proxy, logs_a_line_for_each_connection) {
    test_listener target;
    spawned_program proxy(proxy_with({"-r", "tcp://127.0.0.1:0,name=front", target.address()}));
    std::string listening = proxy.wait_error_line(" listen ");
    std::string address = proxy.wait_announced();
    EXPECT_NE(listening.find(" info listen listener=front addr=" + address), std::string::npos)
        << listening;
    test_socket client = test_socket::connect(address);
    test_socket server = target.accept();
    ASSERT_TRUE(client.send("1234567"));
    client.send_fin();
    EXPECT_EQ(server.receive_all(), "1234567");
    server.close();
    EXPECT_EQ(client.wait_end(), "fin");
    std::string line = proxy.wait_error_line(" conn ");
    EXPECT_NE(line.find("Z info conn id="), std::string::npos) << line;
    EXPECT_EQ(field_of(line, "id").substr(4), "-1") << line;
    EXPECT_EQ(field_of(line, "end"), "ok");
    EXPECT_TRUE(field_of(line, "src").starts_with("127.0.0.1:"));
    EXPECT_EQ(field_of(line, "listener"), "front");
    EXPECT_EQ(field_of(line, "dst"), target.address());
    EXPECT_EQ(field_of(line, "up"), "7");
    EXPECT_EQ(field_of(line, "down"), "0");
    for (const char* key : {"dur", "connect"}) {
        std::string seconds = field_of(line, key);
        ASSERT_EQ(seconds.find('.') + 4, seconds.size()) << line;
    }
}

// Their lines are more than a pipe holds.
TEST(tcp_proxy, a_log_that_nobody_reads_holds_nobody_up) {
    constexpr std::size_t clients = 800;
    test_listener target;
    spawned_program proxy(proxy_with({"-r", "127.0.0.1:0", target.address()}));
    const std::string address = proxy.wait_announced();
    for (std::size_t i = 0; i < clients; ++i) {
        test_socket client = test_socket::connect(address);
        test_socket server = target.accept();
        ASSERT_TRUE(server.is_open()) << i;
        client.send_fin();
        ASSERT_EQ(server.wait_end(), "fin") << i;
        server.close();
        ASSERT_EQ(client.wait_end(), "fin") << i;
    }
    proxy.errors();
    proxy.signal(SIGHUP);  // the next line there is
    const std::string missing = proxy.wait_error_line(" warn log left_out=");
    EXPECT_NE(missing.find(" why=\"nobody read them\""), std::string::npos) << missing;
    EXPECT_NE(proxy.wait_error_line(" signal "), "");
    proxy.signal(SIGTERM);
    EXPECT_EQ(proxy.wait_exit(), 0);
    std::size_t conns = std::stoul(field_of(missing, "left_out"));
    const std::string lines = proxy.errors();
    for (std::size_t at = 0; (at = lines.find(" conn ", at)) != lines.npos; ++at)
        ++conns;
    EXPECT_EQ(conns, clients);
}

TEST(tcp_proxy, resets_a_client_whose_target_refuses) {
    refusing_port nobody;
    spawned_program proxy(proxy_with({"-r", "127.0.0.1:0", nobody.address()}));
    std::string address = proxy.wait_announced();
    for (int i = 0; i < 3; ++i) {
        test_socket client = test_socket::connect(address);
        EXPECT_EQ(client.wait_end(), "reset");
        std::string line = proxy.wait_error_line(" conn ");
        EXPECT_EQ(field_of(line, "end"), "connect_refused") << line;
        EXPECT_NE(line.find("why=\"connection refused\""), std::string::npos) << line;
    }
}

TEST(tcp_proxy, once_exits_with_the_status_of_its_connection) {
    test_listener target;
    {
        spawned_program proxy(proxy_with({"--once", "-r", "127.0.0.1:0", target.address()}));
        std::string address = proxy.wait_announced();
        test_socket client = test_socket::connect(address);
        test_socket server = target.accept();
        ASSERT_TRUE(client.send("x"));
        EXPECT_EQ(server.receive(1), "x");
        EXPECT_FALSE(test_socket::connect(address).is_open()) << "one means one";
        client.close();
        server.close();
        EXPECT_EQ(proxy.wait_exit(), 0);
    }
    {
        spawned_program proxy(proxy_with({"-1", "-r", "127.0.0.1:0", target.address()}));
        test_socket client = test_socket::connect(proxy.wait_announced());
        test_socket server = target.accept();
        client.reset();
        EXPECT_EQ(proxy.wait_exit(), 1);
    }
    {
        refusing_port nobody;
        spawned_program proxy(proxy_with({"-1", "-r", "127.0.0.1:0", nobody.address()}));
        test_socket client = test_socket::connect(proxy.wait_announced());
        EXPECT_EQ(proxy.wait_exit(), 69);
        EXPECT_NE(proxy.errors().find("tcp-proxy: error: connect: " + nobody.address() +
                                      ": connection refused\n"),
                  std::string::npos)
            << proxy.errors();
    }
    {
        spawned_program proxy(proxy_with({"-1", "-r", "127.0.0.1:0", no_such_name}));
        test_socket client = test_socket::connect(proxy.wait_announced());
        EXPECT_EQ(proxy.wait_exit(), 68);
    }
}

TEST(tcp_proxy, ends_what_is_idle) {
    test_listener target;
    spawned_program proxy(
        proxy_with({"--idle-timeout=150ms", "-r", "127.0.0.1:0", target.address()}));
    test_socket client = test_socket::connect(proxy.wait_announced());
    test_socket server = target.accept();
    EXPECT_EQ(client.wait_end(), "reset");
    EXPECT_EQ(field_of(proxy.wait_error_line(" conn "), "end"), "idle_timeout");
}

TEST(tcp_proxy, ends_what_lingers_half_closed) {
    test_listener target;
    spawned_program proxy(proxy_with({"--linger=150ms", "-r", "127.0.0.1:0", target.address()}));
    test_socket client = test_socket::connect(proxy.wait_announced());
    test_socket server = target.accept();
    client.send_fin();
    EXPECT_EQ(server.wait_end(), "fin");
    EXPECT_EQ(client.wait_end(), "reset");
    EXPECT_EQ(field_of(proxy.wait_error_line(" conn "), "end"), "linger_timeout");
}

TEST(tcp_proxy, drains_and_exits_0) {
    test_listener target;
    spawned_program proxy(proxy_with({"-r", "127.0.0.1:0", target.address()}));
    std::string address = proxy.wait_announced();
    test_socket client = test_socket::connect(address);
    test_socket server = target.accept();
    proxy.signal(SIGTERM);
    ASSERT_NE(proxy.wait_error_line(" drain conns=1"), "");
    turns_of(proxy);  // by the next turn its listener is closed
    EXPECT_FALSE(test_socket::connect(address).is_open()) << "nobody new while it drains";
    ASSERT_TRUE(client.send("still here"));
    EXPECT_EQ(server.receive(10), "still here");
    client.close();
    server.close();
    EXPECT_EQ(proxy.wait_exit(), 0);
}

TEST(tcp_proxy, with_nothing_to_drain_ends_at_once) {
    for (int number : {SIGTERM, SIGINT}) {
        spawned_program proxy(proxy_with({"-r", "127.0.0.1:0"}));
        proxy.wait_announced();
        proxy.signal(number);
        EXPECT_EQ(proxy.wait_exit(), 0);
    }
}

TEST(tcp_proxy, cuts_what_outlives_the_drain_and_says_75) {
    test_listener target;
    spawned_program proxy(proxy_with({"--drain=100ms", "-r", "127.0.0.1:0", target.address()}));
    test_socket client = test_socket::connect(proxy.wait_announced());
    test_socket server = target.accept();
    proxy.signal(SIGINT);
    EXPECT_EQ(client.wait_end(), "reset");
    EXPECT_EQ(server.wait_end(), "reset");
    EXPECT_EQ(field_of(proxy.wait_error_line(" conn "), "end"), "drain_cut");
    EXPECT_EQ(proxy.wait_exit(), 75);
}

TEST(tcp_proxy, a_second_signal_does_not_wait) {
    test_listener target;
    spawned_program proxy(proxy_with({"--drain=1h", "-r", "127.0.0.1:0", target.address()}));
    test_socket client = test_socket::connect(proxy.wait_announced());
    test_socket server = target.accept();
    proxy.signal(SIGTERM);
    ASSERT_NE(proxy.wait_error_line(" drain conns=1"), "");
    proxy.signal(SIGTERM);
    EXPECT_EQ(proxy.wait_exit(), 75);
}

TEST(tcp_proxy, says_how_it_is_on_usr1_and_survives_hup) {
    test_listener target;
    spawned_program proxy(proxy_with({"-r", "127.0.0.1:0", target.address()}));
    test_socket client = test_socket::connect(proxy.wait_announced());
    test_socket server = target.accept();
    ASSERT_TRUE(client.send("abc"));
    EXPECT_EQ(server.receive(3), "abc");
    proxy.signal(SIGHUP);
    ASSERT_NE(proxy.wait_error_line("HUP"), "");
    proxy.signal(SIGUSR1);
    std::string line = proxy.wait_error_line(" status ");
    EXPECT_EQ(field_of(line, "conns"), "1") << line;
    EXPECT_EQ(field_of(line, "total"), "1") << line;
    EXPECT_EQ(field_of(line, "up"), "3") << line;
}

// Or a connection would get the log's lines.
TEST(tcp_proxy, lives_without_stdin_stdout_and_stderr) {
    test_listener target;
    spawned_program proxy(
        {.program = "/bin/sh",
         .arguments = {"-c", "exec \"$0\" \"$@\" <&- >&- 2>&-", program_folder() + "/tcp-proxy",
                       "-vv", "-r", "127.0.0.1:0", target.address()},
         .announce = true});
    std::string address = proxy.wait_announced();
    for (int i = 0; i < 3; ++i) {
        test_socket client = test_socket::connect(address);
        test_socket server = target.accept();
        ASSERT_TRUE(client.send("up"));
        client.send_fin();
        EXPECT_EQ(server.receive_all(), "up");
        ASSERT_TRUE(server.send("down"));
        server.close();
        EXPECT_EQ(client.receive_all(), "down");
    }
}

TEST(tcp_proxy, logs_json_when_asked) {
    spawned_program proxy(proxy_with({"--log-format=json", "-r", "127.0.0.1:0"}));
    std::string line = proxy.wait_error_line("listen");
    EXPECT_TRUE(line.starts_with("{\"time\":\"")) << line;
    EXPECT_NE(line.find("\"topic\":\"listen\""), std::string::npos) << line;
    EXPECT_TRUE(line.ends_with("}")) << line;
}

// -- limits ---------------------------------------------------------------------------------------

// More clients than there are descriptors: those that fit are served, the rest wait without costing
// anything, and each is served in its turn.
TEST(tcp_proxy, a_hundred_clients_on_64_descriptors) {
    test_listener target;
    spawn_options options = proxy_with({"-r", "127.0.0.1:0", target.address()});
    options.fd_limit = 64;
    spawned_program proxy(options);
    std::string address = proxy.wait_announced();
    std::vector<test_socket> clients;
    for (int i = 0; i < 100; ++i) {
        clients.push_back(test_socket::connect(address));
        ASSERT_TRUE(clients.back().is_open()) << i;
        ASSERT_TRUE(clients.back().send(std::to_string(100 + i)));
    }
    std::vector<test_socket> servers;
    for (int i = 0; i < 15; ++i) {
        servers.push_back(target.accept());
        ASSERT_TRUE(servers.back().is_open()) << i;
    }
    // Twenty questions wake the loop twenty times; a loop that spins on what it cannot accept turns
    // all the time.
    std::uint64_t first = turns_of(proxy), last = first;
    for (int i = 0; i < 20; ++i)
        last = turns_of(proxy);
    EXPECT_LE(last - first, 40u);

    for (int i = 0; i < 100; ++i) {
        if (i >= static_cast<int>(servers.size())) servers.push_back(target.accept());
        test_socket& server = servers[static_cast<std::size_t>(i)];
        ASSERT_TRUE(server.is_open()) << i;
        std::string who = server.receive(3);
        ASSERT_EQ(who.size(), 3u);
        ASSERT_TRUE(server.send(who));
        server.close();
        std::size_t client = static_cast<std::size_t>(std::stoi(who) - 100);
        EXPECT_EQ(clients[client].receive_all(), who);
        clients[client].close();
    }
}

TEST(tcp_proxy, max_conns_makes_the_rest_wait) {
    test_listener target;
    spawned_program proxy(proxy_with({"--max-conns=2", "-r", "127.0.0.1:0", target.address()}));
    std::string address = proxy.wait_announced();
    std::vector<test_socket> clients, servers;
    for (int i = 0; i < 5; ++i)
        clients.push_back(test_socket::connect(address));
    for (int i = 0; i < 2; ++i)
        servers.push_back(target.accept());
    proxy.signal(SIGUSR1);
    EXPECT_EQ(field_of(proxy.wait_error_line(" status "), "conns"), "2");
    for (std::size_t i = 0; i < 5; ++i) {
        if (i >= servers.size()) servers.push_back(target.accept());
        ASSERT_TRUE(servers[i].is_open());
        servers[i].reset();
    }
}

}  // namespace
}  // namespace libp::app
