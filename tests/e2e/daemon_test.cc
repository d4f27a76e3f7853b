// Goal: the programs behave as daemons should: they drain, they can serve just one connection, and
// what goes wrong at start or at the target is said in their exit status, on stderr and to the
// client.

#include <e2e/testbed.h>

#include <gtest/gtest.h>

#include <csignal>

#include <sys/socket.h>

namespace libp::e2e {
namespace {

constexpr std::uint64_t size = 8 * mib;

// An address where nobody listens and nobody else can: bound, but deaf.
class deaf_address {
  public:
    deaf_address() : fd_(make_socket(parse_address("127.0.0.1:0"))) {
        socket_address any = parse_address("127.0.0.1:0");
        alignas(8) unsigned char raw[128];
        socklen_t length = sizeof raw;
        auto* name = reinterpret_cast<sockaddr*>(raw);
        expect(bind(fd_.get(), any.raw(), static_cast<socklen_t>(any.raw_size())) == 0 &&
                   getsockname(fd_.get(), name, &length) == 0,
               "no port to be had");
        address_ = socket_address::from_raw(name, length).to_string();
    }
    const std::string& address() const { return address_; }

  private:
    unique_fd fd_;
    std::string address_;
};

std::string status_text(std::optional<int> status) {
    return status ? "exit status " + std::to_string(*status) : "it still runs";
}

void expect_exit(child_process& p, int wanted) {
    auto status = p.wait();
    expect(status == wanted, p.to_string() + ": " + status_text(status) + ", wanted " +
                                 std::to_string(wanted) + "\n" + p.log());
}

// -- draining -------------------------------------------------------------------------------------

// Runs the scenario for each end of each kind of relay: it is given the program to stop.
void on_every_end(const relay_options& options,
                  const std::function<void(testbed&, child_process&)>& scenario) {
    on_every_route(every_kind(), options, [&](testbed& bed) { scenario(bed, bed.near_end()); });
    on_every_route({{relay_kind::datagram}, {relay_kind::striped}}, options,
                   [&](testbed& bed) { scenario(bed, bed.far_end()); });
}

TEST(drain, lets_a_running_transfer_finish) {
    on_every_end({}, [](testbed& bed, child_process& stopped) {
        peer client = bed.connect();
        peer server = bed.server().accept();
        transfer up(client, server, pattern(1));
        up.run(size / 8, size);
        stopped.signal(SIGTERM);
        expect(stopped.wait_for_log("drain"), "it does not say that it drains");
        // Newcomers are turned away: by the system, or where the near end knows no better, by the
        // far end.
        if (&stopped == &bed.near_end()) {
            expect(wait_until([&] { return !peer::can_reach(bed.address()); }),
                   "it still accepts connections");
        } else {
            bed.connect().expect_reset("a new connection while the far end drains");
        }
        up.run(size, size);
        client.finish();
        server.expect_fin("the transfer is complete");
        server.send("thanks");
        server.finish();
        expect(client.receive(6) == "thanks", "the answer came changed");
        client.expect_fin("the answer is complete");
        expect_exit(stopped, 0);
    });
}

TEST(drain, cuts_what_outlives_it) {
    on_every_end({.args = {"--drain", "300ms"}}, [](testbed& bed, child_process& stopped) {
        auto [client, server] = bed.connect_through();
        stopped.signal(SIGTERM);
        client.expect_reset("after --drain");
        server.expect_reset("after --drain");
        expect_exit(stopped, 75);
        expect(stopped.log().find("end=drain_cut") != std::string::npos,
               "no log line says drain_cut");
    });
}

TEST(drain, of_an_idle_program_ends_at_once) {
    on_every_end({}, [](testbed& bed, child_process& stopped) {
        {
            auto [client, server] = bed.connect_through();
            client.finish();
            server.expect_fin("the client ended");
            server.finish();
            client.expect_fin("the server ended");
        }
        expect(stopped.wait_for_log("end=ok"), "the connection never ended");
        stopped.signal(SIGINT);
        expect_exit(stopped, 0);
    });
}

TEST(drain, is_cut_short_by_a_second_signal) {
    on_every_end({.args = {"--drain", "5m"}}, [](testbed& bed, child_process& stopped) {
        auto [client, server] = bed.connect_through();
        stopped.signal(SIGTERM);
        expect(stopped.wait_for_log("drain"), "it does not say that it drains");
        stopped.signal(SIGTERM);
        client.expect_reset("after the second signal");
        server.expect_reset("after the second signal");
        expect_exit(stopped, 75);
    });
}

// -- one connection -------------------------------------------------------------------------------

const relay_options once{.args = {"--once"}};

TEST(once, exits_with_0_after_a_clean_connection) {
    on_every_route(every_kind(), once, [](testbed& bed) {
        auto [client, server] = bed.connect_through();
        expect(!peer::can_reach(bed.address()) || bed.kind() == relay_kind::striped,
               "a second connection was let in");
        client.finish();
        server.expect_fin("the client ended");
        server.finish();
        client.expect_fin("the server ended");
        for (child_process* p : bed.programs())
            expect_exit(*p, 0);
    });
}

TEST(once, exits_with_1_after_a_reset) {
    on_every_route(every_kind(), once, [](testbed& bed) {
        auto [client, server] = bed.connect_through();
        client.reset();
        server.expect_reset("the client broke off");
        for (child_process* p : bed.programs())
            expect_exit(*p, 1);
    });
}

TEST(once, exits_with_69_when_the_target_refuses) {
    deaf_address nobody;
    for (relay_kind kind : {relay_kind::raw, relay_kind::datagram, relay_kind::striped}) {
        SCOPED_TRACE(name_of(kind));
        auto far = start_far(kind, "127.0.0.1:0", nobody.address(), once);
        std::unique_ptr<child_process> near;
        if (kind != relay_kind::raw) near = start_near(kind, "127.0.0.1:0", far->address());
        peer client = peer::to(near ? near->address() : far->address());
        client.expect_reset("the target refused");
        expect_exit(*far, 69);
    }
}

// -- what goes wrong ------------------------------------------------------------------------------

TEST(refusal, by_the_target_reaches_the_client_as_a_reset) {
    deaf_address nobody;
    for (relay_kind kind : {relay_kind::raw, relay_kind::datagram, relay_kind::striped}) {
        SCOPED_TRACE(name_of(kind));
        auto far = start_far(kind, "127.0.0.1:0", nobody.address());
        std::unique_ptr<child_process> near;
        if (kind != relay_kind::raw) near = start_near(kind, "127.0.0.1:0", far->address());
        for (int i = 0; i < 3; ++i)
            peer::to(near ? near->address() : far->address()).expect_reset("the target refused");
        EXPECT_TRUE(far->wait_for_log("end=connect_refused")) << far->log();
    }
}

TEST(refusal, of_a_port_in_use_is_exit_status_73_with_a_hint) {
    target taken;
    const std::string& port = taken.address();
    for (const std::vector<std::string>& command :
         std::vector<std::vector<std::string>>{{"tcp-proxy", "-r", port, "127.0.0.1:1"},
                                               {"tcp-proxy", "-c", port, "127.0.0.1:1"},
                                               {"tcp-proxy", "-s", port, "127.0.0.1:1"},
                                               {"tcp-striper", "-c", port, "127.0.0.1:1"},
                                               {"tcp-striper", "-s", port, "127.0.0.1:1"}}) {
        child_process p(command);
        EXPECT_EQ(p.wait(), 73) << p.to_string();
        std::string said = p.log();
        EXPECT_NE(said.find(command[0] + ": error: listen: " + port + ": address already in use"),
                  std::string::npos)
            << said;
        EXPECT_NE(said.find("\n  hint: "), std::string::npos) << said;
    }
}

}  // namespace
}  // namespace libp::e2e
