#include "sockets.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

namespace libp::testing {
namespace {

bool close_on_exec(fd_type fd) {
    return (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}

int option(fd_type fd, int level, int name) {
    int value = -1;
    socklen_t size = sizeof value;
    EXPECT_EQ(getsockopt(fd, level, name, &value, &size), 0);
    return value;
}

// Whether an IPv6 socket can be bound here at all.
bool has_ipv6() {
    return bool(listen_on(address("[::1]:0")));
}

TEST(Socket, EveryDescriptorIsNonblockingAndCloseOnExec) {
    const auto listener = listen_on(address("127.0.0.1:0"));
    ASSERT_TRUE(listener);
    const linked l = link_through(listener->get());
    const linked u = unix_pair();
    for (fd_type fd :
         {listener->get(), l.client.get(), l.server.get(), u.client.get(), u.server.get()}) {
        EXPECT_TRUE(is_nonblocking(fd));
        EXPECT_TRUE(close_on_exec(fd));
    }
}

TEST(Socket, Addresses) {
    const auto listener = listen_on(address("127.0.0.1:0"));
    ASSERT_TRUE(listener);
    EXPECT_NE(local_address(listener->get()).port(), 0);
    const linked l = link_through(listener->get());
    ASSERT_TRUE(l.server);
    EXPECT_EQ(peer_address(l.client.get()), local_address(listener->get()));
    EXPECT_EQ(l.seen, local_address(l.client.get()));
    EXPECT_EQ(peer_address(l.server.get()), l.seen);
    EXPECT_EQ(peer_address(listener->get()).family(), address_family::none);
    EXPECT_EQ(local_address(no_fd).family(), address_family::none);
}

TEST(Socket, NobodyToAccept) {
    const auto listener = listen_on(address("127.0.0.1:0"));
    EXPECT_EQ(accept_from(listener->get()).status, io_status::again);
}

TEST(Socket, AcceptFromWhatDoesNotListenIsBroken) {
    const linked u = unix_pair();
    const accept_result got = accept_from(u.client.get());
    EXPECT_EQ(got.status, io_status::broken);
    EXPECT_TRUE(got.why);
}

TEST(Socket, AcceptOutOfDescriptorsIsALimit) {
    const auto listener = listen_on(address("127.0.0.1:0"));
    auto client = start_connect(local_address(listener->get()));
    ASSERT_TRUE(client);
    ASSERT_TRUE(readable(listener->get()));
    rlimit old{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
    rlimit none = old;
    none.rlim_cur = 3;
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    const accept_result refused = accept_from(listener->get());
    const auto no_socket = start_connect(local_address(listener->get()));
    const auto no_pair = socket_pair();
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
    EXPECT_EQ(refused.status, io_status::broken);
    EXPECT_EQ(refused.why, (error{reason::limit, EMFILE}));
    EXPECT_FALSE(refused.fd);
    EXPECT_EQ(no_socket.error().why, reason::limit);
    EXPECT_EQ(no_pair.error().why, reason::limit);

    EXPECT_EQ(accept_from(listener->get()).status, io_status::ok);
}

TEST(Socket, PortInUse) {
    const auto first = listen_on(address("127.0.0.1:0"));
    const auto second = listen_on(local_address(first->get()));
    EXPECT_EQ(second.error().why, reason::address_in_use);
}

TEST(Socket, ListenSoonAgain) {
    socket_address at;
    {
        const auto listener = listen_on(address("127.0.0.1:0"));
        at = local_address(listener->get());
        linked l = link_through(listener->get());
        l.server.reset();  // the one who closes first is left in TIME_WAIT
        ASSERT_TRUE(readable(l.client.get()));
    }
    EXPECT_TRUE(listen_on(at));
}

TEST(Socket, ConnectRefused) {
    auto listener = listen_on(address("127.0.0.1:0"));
    const socket_address at = local_address(listener->get());
    listener->reset();
    const auto fd = start_connect(at);
    if (!fd) {
        EXPECT_EQ(fd.error().why, reason::refused);
        return;
    }
    ASSERT_TRUE(writable(fd->get()));
    EXPECT_EQ(take_error(fd->get()).why, reason::refused);
    EXPECT_FALSE(take_error(fd->get()));  // taking it cleared it
}

TEST(Socket, NoAddressIsInvalid) {
    EXPECT_EQ(listen_on({}).error().why, reason::invalid);
    EXPECT_EQ(start_connect({}).error().why, reason::invalid);
}

TEST(Socket, SourceAddress) {
    const auto listener = listen_on(address("127.0.0.1:0"));
    const auto fd = start_connect(local_address(listener->get()),
                                  {.source = address("127.0.0.1:0"), .device = ""});
    ASSERT_TRUE(fd) << to_string(fd.error());
    EXPECT_TRUE(local_address(fd->get()).to_string().starts_with("127.0.0.1:"));
    EXPECT_NE(local_address(fd->get()).port(), 0);
    // 192.0.2.1 is for documentation: nobody has it.
    EXPECT_FALSE(start_connect(local_address(listener->get()),
                               {.source = address("192.0.2.1:0"), .device = ""}));
}

TEST(Socket, DeviceIsBoundOrRefused) {
    const auto listener = listen_on(address("127.0.0.1:0"));
    const auto none =
        start_connect(local_address(listener->get()), {.source = {}, .device = "no-such-device"});
    ASSERT_FALSE(none);
    if (std::string_view(os_name) == "posix") {
        EXPECT_EQ(none.error().why, reason::unsupported);
        return;
    }
    EXPECT_TRUE(none.error().why == reason::invalid || none.error().why == reason::permission);
    const auto lo = start_connect(local_address(listener->get()), {.source = {}, .device = "lo"});
    EXPECT_TRUE(lo || lo.error().why == reason::permission) << to_string(lo.error());
}

TEST(Socket, V6Only) {
    if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
    const auto both = listen_on(address("[::]:0"));
    const auto only = listen_on(address("[::]:0"), {.v6_only = true});
    ASSERT_TRUE(both && only);
    EXPECT_EQ(option(both->get(), IPPROTO_IPV6, IPV6_V6ONLY), 0);
    EXPECT_EQ(option(only->get(), IPPROTO_IPV6, IPV6_V6ONLY), 1);
    EXPECT_TRUE(link_through(only->get()).server);
}

TEST(Socket, TcpOptions) {
    const linked l = tcp_pair();
    EXPECT_FALSE(set_tcp_options(l.client.get(), {.no_delay = true,
                                                  .keepalive_idle = 1500ms,
                                                  .keepalive_interval = 7s,
                                                  .keepalive_count = 4,
                                                  .user_timeout = 9s}));
    EXPECT_NE(option(l.client.get(), IPPROTO_TCP, TCP_NODELAY), 0);
    EXPECT_NE(option(l.client.get(), SOL_SOCKET, SO_KEEPALIVE), 0);
#ifdef TCP_KEEPIDLE
    EXPECT_EQ(option(l.client.get(), IPPROTO_TCP, TCP_KEEPIDLE), 2);
    EXPECT_EQ(option(l.client.get(), IPPROTO_TCP, TCP_KEEPINTVL), 7);
    EXPECT_EQ(option(l.client.get(), IPPROTO_TCP, TCP_KEEPCNT), 4);
#endif
#ifdef TCP_USER_TIMEOUT
    if (std::string_view(os_name) == "linux") {
        EXPECT_EQ(option(l.client.get(), IPPROTO_TCP, TCP_USER_TIMEOUT), 9000);
    }
#endif
    EXPECT_FALSE(set_tcp_options(l.client.get(), {.no_delay = false, .keepalive_idle = 0s}));
    EXPECT_EQ(option(l.client.get(), IPPROTO_TCP, TCP_NODELAY), 0);
    EXPECT_FALSE(set_tcp_options(l.server.get(), {.keepalive_idle = 0s}));
    EXPECT_EQ(option(l.server.get(), SOL_SOCKET, SO_KEEPALIVE), 0);

    const linked u = unix_pair();
    EXPECT_FALSE(set_tcp_options(u.client.get(), {}));
}

// What a listening socket is set to, those accepted from it are, where os_accepted_inherit_options
// says so.
TEST(Socket, TheWaitBetweenRetransmissionsIsBounded) {
    constexpr int tcp_rto_max_ms = 44;  // Linux 6.15
    const auto listener = listen_on(address("127.0.0.1:0"));
    ASSERT_TRUE(listener);
    EXPECT_FALSE(set_tcp_options(listener->get(), {.rto_max = 1s}));
    int value = 0;
    socklen_t size = sizeof value;
    if (std::string_view(os_name) != "linux" ||
        getsockopt(listener->get(), IPPROTO_TCP, tcp_rto_max_ms, &value, &size) != 0)
        GTEST_SKIP() << "this system has no such option";
    EXPECT_EQ(value, 1000);
    const linked l = link_through(listener->get());
    EXPECT_EQ(option(l.server.get(), IPPROTO_TCP, tcp_rto_max_ms), 1000);
    EXPECT_EQ(option(l.client.get(), IPPROTO_TCP, tcp_rto_max_ms), 120'000);
}

TEST(Socket, CongestionControlByName) {
    const linked l = tcp_pair();
    if (std::string_view(os_name) != "linux") {
        EXPECT_EQ(check_congestion_control("reno").why, reason::unsupported);
        return;
    }
#ifdef TCP_CONGESTION
    EXPECT_EQ(check_congestion_control("no-such-thing").why, reason::invalid);
    EXPECT_FALSE(check_congestion_control("reno"));
    EXPECT_FALSE(set_tcp_options(l.client.get(), {.congestion_control = "reno"}));
    char name[16] = {};
    socklen_t size = sizeof name;
    ASSERT_EQ(getsockopt(l.client.get(), IPPROTO_TCP, TCP_CONGESTION, name, &size), 0);
    EXPECT_STREQ(name, "reno");
#endif
}

TEST(Socket, LimitsWhatIsNotSentYet) {
    const linked u = unix_pair();
    EXPECT_FALSE(limit_unsent(u.client.get(), 16 * kib));
    const linked l = tcp_pair();
    ASSERT_FALSE(limit_unsent(l.client.get(), 16 * kib));
#ifdef TCP_NOTSENT_LOWAT
    if (std::string_view(os_name) != "linux") return;
    EXPECT_EQ(option(l.client.get(), IPPROTO_TCP, TCP_NOTSENT_LOWAT), 16 * kib);
    ASSERT_FALSE(limit_unsent(l.client.get(), ~std::size_t{0}));
    EXPECT_GT(option(l.client.get(), IPPROTO_TCP, TCP_NOTSENT_LOWAT), 1 << 30);
#endif
}

TEST(Socket, TellsWhatTcpKnowsOfItsWay) {
    const linked u = unix_pair();
    tcp_state state;
    EXPECT_FALSE(get_tcp_state(u.client.get(), state));
    const linked l = tcp_pair();
    if (std::string_view(os_name) != "linux") {
        EXPECT_FALSE(get_tcp_state(l.client.get(), state));
        return;
    }
    ASSERT_TRUE(get_tcp_state(l.client.get(), state));
    EXPECT_GT(state.rtt_min, 0s);
    EXPECT_GE(state.rtt, state.rtt_min);
    EXPECT_EQ(state.unsent, 0u);
    // Nobody reads, so that what does not fit into the peer's buffer waits here.
    const std::string much(64 * kib, 'x');
    for (int i = 0; i < 1000; ++i)
        if (::send(l.client.get(), much.data(), much.size(), MSG_DONTWAIT) < 0) break;
    ASSERT_TRUE(get_tcp_state(l.client.get(), state));
    EXPECT_GT(state.unsent, 0u);
}

}  // namespace
}  // namespace libp::testing
