// Goal: one side ends, the other thinks, then answers. Many relays lose that answer: they take the
// first FIN for the end of everything, or give up on a connection that is half closed and silent.

#include <e2e/testbed.h>

#include <gtest/gtest.h>

namespace libp::e2e {
namespace {

constexpr std::uint64_t answer_size = 2'000'000;
constexpr duration think_time = 2s;

// `asks` sends seven bytes and FIN; `answers` reads up to that FIN, and the asker must not hear a
// thing before the answer is sent: no byte, and no end.
void ask_and_answer(peer& asks, peer& answers) {
    asks.send("request");
    asks.finish();
    expect(answers.receive(7) == "request", "the request arrived changed");
    answers.expect_fin("after the request");
    asks.stays_quiet(think_time);
    const pattern answer(7);
    std::thread sends([&] {
        // A failure here shows at the other end too, as an answer that is cut off.
        try {
            answers.send(answer, 0, answer_size);
            answers.finish();
        } catch (const failure&) {
        }
    });
    try {
        asks.receive(answer, 0, answer_size);
        asks.expect_fin("after the answer");
    } catch (...) {
        sends.join();
        throw;
    }
    sends.join();
}

TEST(half_close, the_client_ends_first) {
    on_every_route(every_route(), {}, [](testbed& bed) {
        peer client = bed.connect();
        peer server = bed.server().accept();
        ask_and_answer(client, server);
    });
}

TEST(half_close, the_server_ends_first) {
    on_every_route(every_route(), {}, [](testbed& bed) {
        peer client = bed.connect();
        peer server = bed.server().accept();
        ask_and_answer(server, client);
    });
}

// Both at once: FINs that cross.
TEST(half_close, both_end_at_once_without_a_byte) {
    on_every_route(every_route(), {}, [](testbed& bed) {
        peer client = bed.connect();
        peer server = bed.server().accept();
        client.finish();
        server.finish();
        client.expect_fin("nothing was sent");
        server.expect_fin("nothing was sent");
    });
}

// --linger is for the dead, not for the silent: it counts from when nothing moves any more.
TEST(half_close, ends_with_an_error_when_nobody_ever_answers) {
    on_every_route(every_kind(), {.args = {"--linger", "300ms"}}, [](testbed& bed) {
        auto [client, server] = bed.connect_through();
        client.finish();
        server.expect_fin("the client ended");
        client.expect_reset("after --linger");
        server.expect_broken("after --linger");
        expect(bed.near_end().wait_for_log("end=linger_timeout") ||
                   bed.far_end().wait_for_log("end=linger_timeout", 0s),
               "no log line says linger_timeout");
    });
}

}  // namespace
}  // namespace libp::e2e
