// The same over real sockets, on the real loop.

#include <libp/stripe/dialer.h>

#include <algorithm>
#include <fstream>

#include "stripe_node/real_world.h"
#include "support/socket_pairs.h"

namespace libp::stripe {
namespace {

TEST(StripeSockets, ExactBothWaysOverTcp) {
    for (const std::size_t subflows : {1, 4}) {
        SCOPED_TRACE(subflows);
        real_world w;
        server s(w.loop);
        s.end->answer.to_send = 5'000'000;
        dialer d(w.loop, w.names, w.client.it, w.client.out, {{s.where()}}, {.subflows = subflows});
        talker t(w.loop, w.client.it.open_stream({}, 5s), {.to_send = 5'000'000});
        ASSERT_TRUE(w.run([&] {
            return t.finished() && !s.end->talkers.empty() && s.end->talkers[0]->finished();
        }));
        EXPECT_TRUE(t.exact() && s.end->talkers[0]->exact());
        EXPECT_EQ(t.received(), 5'000'000u);
        EXPECT_EQ(s.end->talkers[0]->received(), 5'000'000u);
        EXPECT_EQ(d.up(), subflows);
    }
}

TEST(StripeSockets, ExactOverUnixSocketPairs) {
    real_world w;
    node_end far(w.loop, {});
    for (int i = 0; i < 3; ++i) {
        auto [a, b] = make_unix_pair();
        w.client.it.adopt(make_socket_pipe(w.loop, std::move(a)), {});
        far.it.adopt(make_socket_pipe(w.loop, std::move(b)), {});
    }
    far.answer.to_send = 3'000'000;
    talker t(w.loop, w.client.it.open_stream({}, 5s), {.to_send = 3'000'000});
    ASSERT_TRUE(w.run([&] { return t.finished() && far.talkers[0]->finished(); }));
    EXPECT_TRUE(t.exact() && far.talkers[0]->exact());
    EXPECT_EQ(t.received() + far.talkers[0]->received(), 6'000'000u);
}

TEST(StripeSockets, AnIdleSessionDoesNotTurnTheLoop) {
    real_world w;
    server s(w.loop);
    s.end->answer.fin = false;
    dialer d(w.loop, w.names, w.client.it, w.client.out, {{s.where()}}, {.subflows = 4});
    talker t(w.loop, w.client.it.open_stream({}, 5s), {.to_send = 1000, .fin = false});
    ASSERT_TRUE(
        w.run([&] { return !s.end->talkers.empty() && s.end->talkers[0]->received() == 1000; }));
    // Delayed acknowledgements and the like come to rest.
    std::uint64_t before = 0;
    ASSERT_TRUE(w.run([&] {
        const instant quiet = w.loop.now() + 300ms;
        w.loop.turn(quiet);
        return w.loop.now() >= quiet && w.client.it.flushed();
    }));
    const instant since = w.loop.now();
    before = w.loop.turns();
    w.loop.turn(since + 500ms);
    EXPECT_EQ(w.loop.turns(), before + 1);
    EXPECT_GE(w.loop.now(), since + 500ms) << "something woke the loop";
}

// More than a node lets shake hands at once: those that are turned away come again.
TEST(StripeSockets, ManyClientsOfOneServer) {
    constexpr std::size_t clients = 50;
    constexpr std::uint64_t each = 200'000;
    real_world w;
    server s(w.loop);
    s.end->answer.to_send = each;
    std::vector<std::unique_ptr<node_end>> ends;
    std::vector<std::unique_ptr<dialer>> dialers;
    std::vector<std::unique_ptr<talker>> talkers;
    for (std::size_t i = 0; i < clients; ++i) {
        ends.push_back(std::make_unique<node_end>(
            w.loop, node_options{.memory_budget = 4 * mib, .max_sessions = 2}));
        dialers.push_back(std::make_unique<dialer>(w.loop, w.names, ends[i]->it, ends[i]->out,
                                                   std::vector<path>{{s.where()}},
                                                   dialer_options{.subflows = 2}));
        talkers.push_back(std::make_unique<talker>(w.loop, ends[i]->it.open_stream({}, 20s),
                                                   talker::plan{.to_send = each}));
    }
    ASSERT_TRUE(w.run([&] {
        return std::ranges::all_of(talkers, [](const auto& t) { return t->finished(); }) &&
               s.end->talkers.size() == clients &&
               std::ranges::all_of(s.end->talkers, [](const auto& t) { return t->finished(); });
    }));
    for (const auto& t : talkers)
        EXPECT_TRUE(t->exact() && t->received() == each);
    EXPECT_EQ(s.end->it.sessions(), clients);
}

// What this process has of its own, in bytes; 0: the system does not say.
std::size_t own_memory() {
    std::ifstream in("/proc/self/smaps_rollup");
    for (std::string word; in >> word;)
        if (std::size_t kilobytes = 0; word == "Anonymous:" && in >> kilobytes)
            return kilobytes * kib;
    return 0;
}

// All of them open at once, each with bytes both ways; then each with as many unread as its peer
// may send.
TEST(StripeSockets, TenThousandStreamsAtOnce) {
    constexpr std::size_t streams = debug_build ? 2000 : 10'000;
    real_world w;
    constexpr duration patience = 60s;
    server s(w.loop, *socket_address::parse("127.0.0.1:0"));
    s.end->answer = {.to_send = 100, .send_seed = 2, .receive_seed = 1, .fin = false, .chunk = 100};
    dialer d(w.loop, w.names, w.client.it, w.client.out, {{s.where()}}, {.subflows = 4});
    ASSERT_TRUE(w.run([&] { return d.up() == 4; }));
    const std::size_t before = own_memory();
    std::vector<std::unique_ptr<talker>> talkers;
    for (std::size_t i = 0; i < streams; ++i)
        talkers.push_back(
            std::make_unique<talker>(w.loop, w.client.it.open_stream({}, 5s),
                                     talker::plan{.to_send = 100, .fin = false, .chunk = 100}));
    const auto heard = [](const auto& t) { return t->received() == 100; };
    ASSERT_TRUE(w.run(
        [&] {
            return s.end->talkers.size() == streams && std::ranges::all_of(talkers, heard) &&
                   std::ranges::all_of(s.end->talkers, heard);
        },
        patience));
    EXPECT_EQ(w.client.it.open_streams(), streams);
    EXPECT_EQ(s.end->it.open_streams(), streams);
    if (before > 0 && !debug_build) {
        const std::size_t each = (own_memory() - before) / streams;
        RecordProperty("bytes_of_a_stream_at_both_ends", static_cast<int>(each));
        EXPECT_LT(each, 16 * kib);
    }
    for (const auto& t : talkers)
        EXPECT_TRUE(t->exact());
    talkers.clear();
    s.end->talkers.clear();
    ASSERT_TRUE(w.run([&] { return w.client.it.open_streams() + s.end->it.open_streams() == 0; }));

    s.end->answer.reads = false;
    for (std::size_t i = 0; i < streams; ++i)
        talkers.push_back(std::make_unique<talker>(w.loop, w.client.it.open_stream({}, 5s),
                                                   talker::plan{.to_send = 32 * kib}));
    std::size_t most = 0;
    std::uint64_t sent = 0;
    instant stuck_since{};
    ASSERT_TRUE(w.run(
        [&] {
            most = std::max(most, w.loop.blocks().in_use());
            const std::uint64_t before_this = std::exchange(sent, 0);
            for (const auto& t : talkers)
                sent += t->sent();
            if (sent != before_this) stuck_since = w.loop.now();
            return s.end->talkers.size() == streams && w.loop.now() - stuck_since > 200ms;
        },
        patience));
    RecordProperty("mebibytes_with_nobody_reading", static_cast<int>(most / mib));
    EXPECT_LT(most, 2 * node_options{}.memory_budget);
    for (const auto& t : s.end->talkers)
        t->read_now();
    ASSERT_TRUE(w.run(
        [&] {
            return std::ranges::all_of(s.end->talkers,
                                       [](const auto& t) { return t->fin_received(); });
        },
        patience));
    for (const auto& t : s.end->talkers)
        EXPECT_TRUE(t->exact() && t->received() == 32 * kib);
}

}  // namespace
}  // namespace libp::stripe
