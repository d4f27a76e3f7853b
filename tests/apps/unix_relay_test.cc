// tcp-proxy at a UNIX socket: the path is its own, as long as it is.

#include <apps/spawned_program.h>
#include <apps/test_socket.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>

namespace libp::app {
namespace {

spawn_options proxy_with(std::vector<std::string> arguments) {
    return {.program = "tcp-proxy", .arguments = std::move(arguments), .announce = true};
}

// Whoever is started on a path in use looks whether somebody listens there: that is not the one
// connection.
TEST(unix_relay, once_is_not_used_up_by_who_finds_the_path_taken) {
    const std::string here = testing::TempDir() + "libp-once-" + std::to_string(getpid());
    test_listener target;
    spawned_program first(proxy_with({"-r", here, target.address(), "--once"}));
    EXPECT_EQ(first.wait_announced(), here);
    const run_result second = run_program("tcp-proxy", {"-r", here, target.address()});
    EXPECT_EQ(second.status, 73) << second.errors;
    test_socket client = test_socket::connect(here);
    test_socket server = target.accept();
    ASSERT_TRUE(client.send("the one"));
    client.send_fin();
    EXPECT_EQ(server.receive_all(), "the one");
    server.close();
    EXPECT_EQ(first.wait_exit(), 0);
}

TEST(unix_relay, leaves_the_socket_of_who_came_after) {
    const std::string here = testing::TempDir() + "libp-after-" + std::to_string(getpid());
    spawned_program first(proxy_with({"-r", here, "1"}));
    EXPECT_EQ(first.wait_announced(), here);
    ASSERT_EQ(unlink(here.c_str()), 0);
    spawned_program second(proxy_with({"-r", here, "1"}));
    EXPECT_EQ(second.wait_announced(), here);
    first.signal(SIGTERM);
    EXPECT_EQ(first.wait_exit(), 0);
    EXPECT_EQ(access(here.c_str(), F_OK), 0);
    second.signal(SIGTERM);
    EXPECT_EQ(second.wait_exit(), 0);
    EXPECT_NE(access(here.c_str(), F_OK), 0);
}

TEST(unix_relay, relays_between_unix_sockets_and_removes_its_own) {
    std::string folder = testing::TempDir() + "libp-relay-" + std::to_string(getpid());
    std::string here = folder + ".in", there = folder + ".out";
    test_listener target(there);
    spawned_program proxy(proxy_with({"-r", here, there}));
    EXPECT_EQ(proxy.wait_announced(), here);
    test_socket client = test_socket::connect(here);
    test_socket server = target.accept();
    ASSERT_TRUE(client.send("over unix"));
    client.send_fin();
    EXPECT_EQ(server.receive_all(), "over unix");
    server.close();
    EXPECT_EQ(field_of(proxy.wait_error_line(" conn "), "dst"), there);
    proxy.signal(SIGTERM);
    EXPECT_EQ(proxy.wait_exit(), 0);
    EXPECT_NE(access(here.c_str(), F_OK), 0);
}

}  // namespace
}  // namespace libp::app
