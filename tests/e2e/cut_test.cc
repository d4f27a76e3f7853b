// Goal: a cut stream never looks finished. Whatever breaks on one side of a relay (a reset, a relay
// that is killed) arrives on the other side as a reset, never as FIN, in whatever state the
// connection was.

#include <e2e/testbed.h>

#include <gtest/gtest.h>

#include <csignal>

namespace libp::e2e {
namespace {

constexpr std::uint64_t some = 1 * mib;

enum class who { client, server };

// The end that cuts, and the end that must notice.
struct pair_of_ends {
    peer cuts, notices;
};

pair_of_ends connect(testbed& bed, who cuts) {
    auto [client, server] = bed.connect_through();
    if (cuts == who::client) return {std::move(client), std::move(server)};
    return {std::move(server), std::move(client)};
}

void on_every_cut(const std::function<void(testbed&, who)>& scenario) {
    on_every_route(every_kind(), {}, [&](testbed& bed) {
        for (who cuts : {who::client, who::server}) {
            try {
                scenario(bed, cuts);
            } catch (const failure& why) {
                throw failure(std::string("cut by the ") +
                              (cuts == who::client ? "client: " : "server: ") + why.what());
            }
        }
    });
}

TEST(cut, of_an_idle_connection_arrives_as_a_reset) {
    on_every_cut([](testbed& bed, who cuts) {
        auto ends = connect(bed, cuts);
        ends.cuts.reset();
        ends.notices.expect_reset("idle");
    });
}

// What arrived before the cut is right, as far as it goes.
TEST(cut, by_the_sender_of_a_transfer_arrives_as_a_reset) {
    on_every_cut([](testbed& bed, who cuts) {
        auto ends = connect(bed, cuts);
        const pattern p(1);
        transfer(ends.cuts, ends.notices, p).run(some);
        ends.cuts.reset();
        expect(ends.notices.receive_to_end(p, some) == ending::reset,
               "the receiver saw a clean end of a transfer that was cut");
    });
}

TEST(cut, by_the_receiver_of_a_transfer_arrives_as_a_reset) {
    on_every_cut([](testbed& bed, who cuts) {
        auto ends = connect(bed, cuts);
        transfer(ends.notices, ends.cuts, pattern(2)).run(some);
        ends.cuts.reset();
        ends.notices.send_until_broken();
    });
}

// The one that ended its own direction waits for an answer, and gets a reset instead.
TEST(cut, after_the_other_side_finished_arrives_as_a_reset) {
    on_every_cut([](testbed& bed, who cuts) {
        auto ends = connect(bed, cuts);
        ends.notices.finish();
        ends.cuts.expect_fin("the other side finished");
        ends.cuts.reset();
        ends.notices.expect_reset("half closed");
    });
}

// FIN came, clean; then the rest is cut. Whoever only reads cannot know, but no answer may seem to
// be delivered.
TEST(cut, by_the_side_that_finished_stops_the_answer) {
    on_every_cut([](testbed& bed, who cuts) {
        auto ends = connect(bed, cuts);
        ends.cuts.finish();
        ends.notices.expect_fin("the other side finished");
        ends.cuts.reset();
        ends.notices.send_until_broken();
    });
}

TEST(cut, leaves_other_connections_alone) {
    on_every_cut([](testbed& bed, who cuts) {
        auto [client, server] = bed.connect_through();
        auto ends = connect(bed, cuts);
        ends.cuts.reset();
        ends.notices.expect_reset("idle");
        transfer(client, server, pattern(3)).run(some);
        client.reset();
        server.expect_reset("cut last");
    });
}

// -- a relay is killed ----------------------------------------------------------------------------
//
// Its TCP connections are reset, because that is what was asked of the system from the beginning
// (reset_on_close()). UNIX sockets know no reset: what counts there is the leg at the other half of
// the pair.

// So that a lost session is not waited for.
const relay_options no_resume{.args = {"--resume", "300ms"}};

TEST(cut, killing_one_end_of_a_striped_pair_breaks_the_leg_at_the_other) {
    for (bool busy : {false, true}) {
        on_every_route({{relay_kind::striped}}, no_resume, [&](testbed& bed) {
            auto [client, server] = bed.connect_through();
            if (busy) transfer(client, server, pattern(4)).run(some);
            bed.far_end().signal(SIGKILL);
            client.expect_reset("the far end was killed");
        });
        on_every_route({{relay_kind::striped}}, no_resume, [&](testbed& bed) {
            auto [client, server] = bed.connect_through();
            if (busy) transfer(server, client, pattern(5)).run(some);
            bed.near_end().signal(SIGKILL);
            server.expect_reset("the near end was killed");
        });
    }
}

TEST(cut, killing_a_relay_resets_whom_it_served) {
    for (const route& via : every_kind()) {
        const relay_options options = via.kind == relay_kind::striped ? no_resume : relay_options{};
        for (bool far : {true, false}) {
            on_every_route({via}, options, [&](testbed& bed) {
                auto [client, server] = bed.connect_through();
                transfer(client, server, pattern(8)).run(some);
                (far ? bed.far_end() : bed.near_end()).signal(SIGKILL);
                client.expect_reset(far ? "the far end was killed" : "the near end was killed");
                server.expect_reset(far ? "the far end was killed" : "the near end was killed");
            });
        }
    }
}

TEST(cut, killing_a_relay_with_bytes_unread_breaks_their_sender) {
    relay_options options;
    for (const route& via : every_kind()) {
        bool striped = via.kind == relay_kind::striped;
        on_every_route({via}, striped ? no_resume : options, [&](testbed& bed) {
            auto [client, server] = bed.connect_through();
            client.send_until_full(pattern(6));
            bed.far_end().signal(SIGKILL);
            client.expect_broken("the far end was killed");
        });
        on_every_route({via}, striped ? no_resume : options, [&](testbed& bed) {
            auto [client, server] = bed.connect_through();
            server.send_until_full(pattern(7));
            bed.near_end().signal(SIGKILL);
            server.expect_broken("the near end was killed");
        });
    }
}

}  // namespace
}  // namespace libp::e2e
