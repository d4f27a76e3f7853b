// The dialer, over real sockets: it makes its own.

#include <libp/stripe/dialer.h>
#include <libp/stripe/wire.h>

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "stripe_node/real_world.h"
#include "support/socket_pairs.h"

namespace libp::stripe {
namespace {

TEST(StripeDialer, DealsSubflowsOverThePathsAtLeastOneEach) {
    real_world w;
    server s(w.loop);
    std::vector<path> paths;
    for (int i = 0; i < 3; ++i)
        paths.push_back({s.where(), {}, "p" + std::to_string(i)});
    dialer d(w.loop, w.names, w.client.it, w.client.out, paths, {.subflows = 5});
    ASSERT_TRUE(w.run([&] { return d.up() == 5; }));
    std::vector<std::string> names;
    for (const subflow_info& i : w.client.it.subflows())
        names.push_back(i.path);
    std::ranges::sort(names);
    EXPECT_EQ(names, (std::vector<std::string>{"p0", "p0", "p1", "p1", "p2"}));

    node_end second(w.loop, {});
    dialer e(w.loop, w.names, second.it, second.out, paths, {.subflows = 1});
    EXPECT_TRUE(w.run([&] { return e.up() == 3; }));
}

TEST(StripeDialer, DialsAgainWhenTheServerRestarts) {
    real_world w;
    server s(w.loop);
    s.end->answer.to_send = 1'000'000'000;  // more than is ever under way
    dialer d(w.loop, w.names, w.client.it, w.client.out, {{s.where()}}, {.subflows = 2});
    talker t(w.loop, w.client.it.open_stream({}, 5s), {});
    ASSERT_TRUE(w.run([&] { return d.up() == 2 && t.received() > 100'000; }));
    EXPECT_EQ(s.accepted, 2u);
    s.restart();
    ASSERT_TRUE(w.run([&] { return s.accepted >= 4 && d.up() == 2; }));
    s.end->answer.to_send = 100'000;
    talker u(w.loop, w.client.it.open_stream({}, 5s), {});
    ASSERT_TRUE(w.run([&] { return u.finished(); }));
    EXPECT_EQ(u.received(), 100'000u);
    EXPECT_FALSE(t.fin_received());
}

TEST(StripeDialer, S29BacksOffAndSaysWhyOnce) {
    real_world w;
    const endpoint nowhere{{}, "/nonexistent/for/this/test"};
    dialer d(w.loop, w.names, w.client.it, w.client.out, {{nowhere, {}, "dsl"}},
             {.subflows = 3, .first_wait = 2ms, .longest_wait = 50ms});
    talker t(w.loop, w.client.it.open_stream({}, 400ms), {});
    ASSERT_TRUE(w.run([&] { return t.broken(); }));
    EXPECT_TRUE(d.failures()[0]);
    EXPECT_EQ(t.why(), d.failures()[0]);
    EXPECT_EQ(d.up(), 0u);
    EXPECT_EQ(w.client.lines.count("warn path name=dsl"), 1u);
    // 400 ms: at most five short waits each, and then one every 30 ms or more, a few turns each.
    EXPECT_LT(w.loop.turns(), 3u * (5 + 14) * 6);
}

TEST(StripeDialer, AOneShotGivesUpWhenEveryPathHasFailed) {
    real_world w({.handshake_timeout = 100ms});
    const unique_fd silent = *listen_on(*socket_address::parse("127.0.0.1:0"));
    const path nowhere{{{}, "/nonexistent/for/this/test"}};
    const path mute{*endpoint::parse(local_address(silent.get()).to_string())};
    dialer d(w.loop, w.names, w.client.it, w.client.out, {nowhere, mute}, {.one_shot = true});
    talker t(w.loop, w.client.it.open_stream({}, 1h), {});
    ASSERT_TRUE(w.run([&] { return bool(d.failures()[0]); }));
    EXPECT_FALSE(t.broken()) << "the other may yet get there";
    ASSERT_TRUE(w.run([&] { return t.broken(); }));
    EXPECT_TRUE(d.failures()[1]);
    EXPECT_TRUE(t.why() == d.failures()[0] || t.why() == d.failures()[1]);
}

// It may be busy, or have just lost its last session and begin anew.
TEST(StripeDialer, AOneShotTriesAgainWhereAHandshakeIsReset) {
    real_world w;
    server s(w.loop);
    s.end.reset();  // whatever is accepted is closed
    dialer d(w.loop, w.names, w.client.it, w.client.out, {{s.where()}},
             {.subflows = 1, .first_wait = 1ms, .one_shot = true});
    talker t(w.loop, w.client.it.open_stream({}, 1h), {.to_send = 1000});
    ASSERT_TRUE(w.run([&] { return s.accepted == 3; }));
    s.end = std::make_unique<node_end>(w.loop, node_options{});
    EXPECT_TRUE(w.run([&] { return t.finished(); }));
}

// It may have room soon; what it says is what whoever waits is told at last.
TEST(StripeDialer, AOneShotTriesAgainWhereTheServerIsFull) {
    real_world w;
    server s(w.loop, *socket_address::parse("127.0.0.1:0"), {.max_sessions = 0});
    dialer d(w.loop, w.names, w.client.it, w.client.out, {{s.where()}},
             {.subflows = 1, .first_wait = 1ms, .one_shot = true});
    talker late(w.loop, w.client.it.open_stream({}, 100ms), {.to_send = 1000});
    talker t(w.loop, w.client.it.open_stream({}, 1h), {.to_send = 1000});
    ASSERT_TRUE(w.run([&] { return late.broken() && s.accepted >= 3; }));
    EXPECT_EQ(late.why(), (error{reason::limit, by_peer}));
    EXPECT_FALSE(t.broken());
    s.end = std::make_unique<node_end>(w.loop, node_options{});
    EXPECT_TRUE(w.run([&] { return t.finished(); }));
}

// A server that has a say in who joins what does not change its mind.
TEST(StripeDialer, AOneShotGivesUpWhereItIsNotWhoItShouldBe) {
    for (const reason why : {reason::auth_failed, reason::other_version}) {
        real_world w;
        struct refuser {
            explicit refuser(event_loop& l, reason r)
                : loop(l),
                  why(r),
                  listener(l, *listen_on(*socket_address::parse("127.0.0.1:0")),
                           io_listener::accepted::to<&refuser::on_accept>(*this), {}) {}
            void on_accept(unique_fd fd, const socket_address&) {
                hello h;
                h.who.node_id.fill(9);
                handshake shakes(loop.blocks(), h);
                chain out = shakes.take_output();
                std::uint8_t goaway[wire::header_size];
                wire::encode({.type = wire::type::goaway, .aux = wire::code_of(why)}, goaway);
                out.append_copy(loop.blocks(), goaway);
                pipes.push_back(make_socket_pipe(loop, std::move(fd)));
                pipes.back()->send(out);
            }
            event_loop& loop;
            const reason why;
            std::vector<std::unique_ptr<io_pipe>> pipes;
            io_listener listener;
        } r(w.loop, why);
        dialer d(w.loop, w.names, w.client.it, w.client.out,
                 {{*endpoint::parse(r.listener.address().to_string())}},
                 {.subflows = 1, .one_shot = true});
        talker t(w.loop, w.client.it.open_stream({}, 1h), {.to_send = 1000});
        ASSERT_TRUE(w.run([&] { return t.broken(); }));
        EXPECT_EQ(t.why(), (error{why, by_peer}));
        EXPECT_EQ(r.pipes.size(), 1u);
    }
}

TEST(StripeDialer, DealsByWeightAndNumber) {
    const auto dealt = [](std::vector<std::pair<std::size_t, unsigned>> asked, std::size_t all) {
        std::vector<path> paths;
        for (const auto& [n, weight] : asked)
            paths.push_back({.to = {}, .subflows = n, .weight = weight});
        return deal_subflows(paths, all);
    };
    using counts = std::vector<std::size_t>;
    EXPECT_EQ(dealt({{0, 1}, {0, 1}, {0, 1}}, 5), (counts{2, 2, 1}));
    EXPECT_EQ(dealt({{0, 1}, {0, 3}}, 8), (counts{2, 6}));
    EXPECT_EQ(dealt({{3, 1}, {0, 1}, {0, 2}}, 9), (counts{3, 2, 4}));
    EXPECT_EQ(dealt({{5, 1}, {0, 100}, {0, 1}}, 4), (counts{5, 1, 1})) << "one each at least";
    EXPECT_EQ(dealt({{2, 1}, {1, 1}}, 40), (counts{2, 1})) << "exactly so many";
}

// A path whose last subflow is gone is not dialled eight times over; when the one try comes
// through, the others follow.
TEST(StripeDialer, S29APathThatIsDownIsTriedByOneAtATime) {
    real_world w;
    server s(w.loop);
    dialer d(w.loop, w.names, w.client.it, w.client.out, {{s.where()}},
             {.subflows = 8, .first_wait = 20ms, .longest_wait = 20ms});
    ASSERT_TRUE(w.run([&] { return d.up() == 8; }));
    s.end.reset();  // whatever is accepted from now on is closed
    const std::size_t before = s.accepted;
    const instant since = w.loop.now();
    ASSERT_TRUE(w.run([&] { return s.accepted >= before + 15; }));
    // One each 12 ms or more, after those that were on their way when the first failed.
    EXPECT_GE(w.loop.now() - since, 8 * 12ms);
    EXPECT_EQ(w.client.lines.count("warn path"), 1u);
    s.end = std::make_unique<node_end>(w.loop, node_options{});
    EXPECT_TRUE(w.run([&] { return d.up() == 8; }));
}

// A server, or somebody between, that lets everybody in and then hangs up.
struct hanger_up final : subflow_owner {
    explicit hanger_up(event_loop& l)
        : loop(l),
          end(l, {}),
          listener(l, *listen_on(*socket_address::parse("127.0.0.1:0")),
                   io_listener::accepted::to<&hanger_up::on_accept>(*this), {}) {}
    ~hanger_up() override { end.it.forget_owner(*this); }
    void on_accept(unique_fd fd, const socket_address&) {
        all.emplace_back(::dup(fd.get()));
        end.it.adopt(make_socket_pipe(loop, std::move(fd)), "", this, all.size() - 1);
    }
    void subflow_ready(std::uint64_t token) override {
        if (hangs_up) ::shutdown(all[token].get(), SHUT_RDWR);
    }
    void subflow_gone(std::uint64_t, error) override {}

    event_loop& loop;
    node_end end;
    std::vector<unique_fd> all;
    bool hangs_up = true;
    io_listener listener;
};

TEST(StripeDialer, SubflowsThatDieAtOnceDoNotWakeEachOther) {
    real_world w;
    hanger_up s(w.loop);
    dialer d(w.loop, w.names, w.client.it, w.client.out,
             {{*endpoint::parse(s.listener.address().to_string())}},
             {.subflows = 4, .first_wait = 10ms, .longest_wait = 1h});
    // Five die before the others are left alone, and three may be on their way; then each waits,
    // twice as long each time: five times at most.
    EXPECT_FALSE(w.run([&] { return s.all.size() > 5 + 3 + 4 * 5; }, 300ms)) << s.all.size();
    EXPECT_GE(s.all.size(), 5u);
    // When one has lived the others do not wait as long as they would have.
    s.hangs_up = false;
    EXPECT_TRUE(w.run([&] { return d.up() == 4; }));
}

// Eight paths to somebody who does not answer: connects that hang do not pile up. Each is a
// descriptor.
TEST(StripeDialer, S29AtMostFourConnectsAreUnderWay) {
    const auto descriptors = [] {
        const std::filesystem::directory_iterator all("/proc/self/fd"), end;
        return std::distance(all, end);
    };
    if (!std::filesystem::exists("/proc/self/fd")) GTEST_SKIP() << "no /proc here";
    real_world w;
    auto deaf = listen_on(*socket_address::parse("127.0.0.1:0"), {.backlog = 0});
    ASSERT_TRUE(deaf);
    std::vector<unique_fd> fillers;
    for (int i = 0; i < 4; ++i)
        if (auto filler = start_connect(local_address(deaf->get())))
            fillers.push_back(std::move(*filler));
    std::vector<path> paths;
    for (int i = 0; i < 8; ++i)
        paths.push_back({*endpoint::parse(local_address(deaf->get()).to_string())});
    const auto before = descriptors();
    dialer d(
        w.loop, w.names, w.client.it, w.client.out, paths,
        {.subflows = 8, .connect = {.timeout = 100ms}, .first_wait = 10ms, .longest_wait = 10ms});
    std::ptrdiff_t most = 0;
    const instant until = w.loop.now() + 500ms;
    while (w.loop.now() < until) {
        w.loop.turn(std::min(until, w.loop.now() + 10ms));
        most = std::max(most, descriptors() - before);
    }
    EXPECT_GE(most, 3);
    // A descriptor more for the resolver's needs, if any.
    EXPECT_LE(most, 4 + 1);
}

TEST(StripeDialer, WhileItIsWantedItWaitsForNoLongTime) {
    real_world w;
    server s(w.loop);
    s.end.reset();  // whatever is accepted is closed
    dialer d(w.loop, w.names, w.client.it, w.client.out, {{s.where()}},
             {.subflows = 1, .first_wait = 10ms, .longest_wait = 1h, .longest_wait_in_use = 50ms});
    talker t(w.loop, w.client.it.open_stream({}, 1h), {.to_send = 1000});
    // Waits that double would have taken 40 seconds by then.
    ASSERT_TRUE(w.run([&] { return s.accepted == 13; }));
    s.end = std::make_unique<node_end>(w.loop, node_options{});
    EXPECT_TRUE(w.run([&] { return t.finished(); }));
}

TEST(StripeDialer, AStreamThatWaitsMakesItTryAgain) {
    real_world w;
    scratch_folder folder;
    const std::string at = folder.path + "/later";
    dialer d(w.loop, w.names, w.client.it, w.client.out, {{*endpoint::parse(at)}},
             {.subflows = 1, .first_wait = 1h, .longest_wait = 1h, .longest_wait_in_use = 20ms});
    ASSERT_TRUE(w.run([&] { return bool(d.failures()[0]); }));
    server s(w.loop, *socket_address::from_path(at));
    EXPECT_FALSE(w.run([&] { return d.up() == 1; }, 100ms));
    talker t(w.loop, w.client.it.open_stream({}, 1h), {.to_send = 1000});
    EXPECT_TRUE(w.run([&] { return t.finished(); }));
}

// Between a client and a server: what it carries can be made to stop, without a word to either end,
// for the connections there are.
struct tarpit {
    explicit tarpit(event_loop& l, const socket_address& on)
        : loop(l),
          far(on),
          listener(l, *listen_on(*socket_address::parse("127.0.0.1:0")),
                   io_listener::accepted::to<&tarpit::on_accept>(*this), {}) {}
    void on_accept(unique_fd fd, const socket_address&) {
        auto out = start_connect(far);
        ASSERT_TRUE(out);
        lines.push_back(std::make_unique<line>(loop, std::move(fd), std::move(*out)));
    }
    struct line {
        line(event_loop& l, unique_fd a, unique_fd b)
            : near(make_socket_pipe(l, std::move(a))), away(make_socket_pipe(l, std::move(b))) {
            near->attach(io_handler::to<&line::on_pipe>(*this));
            away->attach(io_handler::to<&line::on_pipe>(*this));
        }
        void on_pipe(io_flags) {
            if (stuck) return;
            move(*near, *away, out);
            move(*away, *near, in);
        }
        static void move(io_pipe& from, io_pipe& to, chain& held) {
            do {
                if (held.empty() && from.has(io_flag::readable)) from.recv(held, 64 * kib);
                if (!held.empty() && to.has(io_flag::writable)) to.send(held);
            } while (held.empty() && from.has(io_flag::readable) && !from.has(io_flag::broken));
        }
        std::unique_ptr<io_pipe> near, away;
        chain in, out;
        bool stuck = false;
    };
    endpoint where() const { return *endpoint::parse(listener.address().to_string()); }

    event_loop& loop;
    const socket_address far;
    std::vector<std::unique_ptr<line>> lines;
    io_listener listener;
};

// As after a change of address: the old connections stand, and nothing comes through them any more.
TEST(StripeDialer, WhereAllIsSilentOneMoreIsTried) {
    real_world w;
    server s(w.loop);
    tarpit between(w.loop, s.listener.address());
    dialer d(w.loop, w.names, w.client.it, w.client.out, {{between.where()}}, {.subflows = 2});
    s.end->answer.fin = false;
    talker t(w.loop, w.client.it.open_stream({}, 5s), {.to_send = 1000, .fin = false});
    ASSERT_TRUE(w.run([&] { return d.up() == 2 && t.sent() == 1000 && w.client.it.flushed(); }));
    for (const auto& l : between.lines)
        l->stuck = true;
    talker u(w.loop, w.client.it.open_stream({}, 5s), {.to_send = 1000, .fin = false});
    const instant since = w.loop.now();
    ASSERT_TRUE(w.run([&] { return d.up() == 3; }));
    EXPECT_GE(w.loop.now() - since, 3s);
    EXPECT_LT(w.loop.now() - since, 8s);
    // One of the old dies: the new one stands in for it.
    between.lines[0]->near->reset();
    ASSERT_TRUE(w.run([&] { return d.up() == 2; }));
    w.run([] { return false; }, 200ms);
    EXPECT_EQ(between.lines.size(), 3u);
    EXPECT_EQ(d.up(), 2u);
    EXPECT_FALSE(t.broken());
}

TEST(StripeDialer, RetryNowDoesNotWait) {
    real_world w;
    scratch_folder folder;
    const std::string at = folder.path + "/later";
    dialer d(w.loop, w.names, w.client.it, w.client.out, {{*endpoint::parse(at)}},
             {.subflows = 1, .first_wait = 1h, .longest_wait = 1h});
    ASSERT_TRUE(w.run([&] { return bool(d.failures()[0]); }));
    server s(w.loop, *socket_address::from_path(at));
    EXPECT_FALSE(w.run([&] { return d.up() == 1; }, 50ms));
    d.retry_now();
    EXPECT_TRUE(w.run([&] { return d.up() == 1; }));
}

TEST(StripeDialer, AStoppedDialerDialsNoMore) {
    real_world w;
    scratch_folder folder;
    const std::string at = folder.path + "/later";
    dialer d(w.loop, w.names, w.client.it, w.client.out, {{*endpoint::parse(at)}},
             {.subflows = 3, .first_wait = 10ms, .longest_wait = 10ms});
    ASSERT_TRUE(w.run([&] { return bool(d.failures()[0]); }));
    d.stop();
    server s(w.loop, *socket_address::from_path(at));
    d.retry_now();
    EXPECT_FALSE(w.run([&] { return s.accepted > 0; }, 100ms));
}

TEST(StripeDialer, StopKeepsWhatIsUp) {
    real_world w;
    server s(w.loop);
    dialer d(w.loop, w.names, w.client.it, w.client.out, {{s.where()}}, {.subflows = 2});
    ASSERT_TRUE(w.run([&] { return d.up() == 2; }));
    d.stop();
    talker t(w.loop, w.client.it.open_stream({}, 5s), {.to_send = 1000});
    ASSERT_TRUE(w.run([&] { return t.finished(); }));
    EXPECT_EQ(d.up(), 2u);
}

}  // namespace
}  // namespace libp::stripe
