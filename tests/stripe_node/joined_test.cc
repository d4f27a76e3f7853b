// Two nodes that only listen, each at a UNIX socket, and real socats that join them: nobody dials,
// nobody has a role.

#include <csignal>

#include "stripe_node/real_world.h"
#include "support/child_process.h"
#include "support/seed.h"

namespace libp::stripe {
namespace {

constexpr const char* socat = "/usr/bin/socat";

struct joined_world : real_world {
    std::string at(const char* name) const { return folder.path + "/" + name; }
    void join(const std::string& one, const std::string& other) {
        socats.push_back(std::make_unique<child_process>(
            std::vector<std::string>{socat, "UNIX-CONNECT:" + one, "UNIX-CONNECT:" + other}));
    }
    static std::size_t up(const node_end& e) {
        std::size_t n = 0;
        for (const subflow_info& s : e.it.subflows())
            n += s.up;
        return n;
    }

    scratch_folder folder;
    server a{loop, *socket_address::from_path(at("a"))},
        b{loop, *socket_address::from_path(at("b"))};
    std::vector<std::unique_ptr<child_process>> socats;
};

TEST(StripeJoined, S19SocatsComeAndAreKilled) {
    if (!std::filesystem::exists(socat)) GTEST_SKIP() << "no socat here";
    test_random random(1);
    joined_world w;
    constexpr std::uint64_t each = debug_build ? 10'000'000 : 40'000'000;
    constexpr std::uint64_t kills = 12;
    for (server* s : {&w.a, &w.b})
        s->end->answer.to_send = each;
    w.join(w.at("a"), w.at("b"));
    ASSERT_TRUE(w.run([&] { return w.up(*w.a.end) == 1 && w.up(*w.b.end) == 1; }));
    // Both ends open a stream, and which way round a socat joins them makes no difference.
    talker t(w.loop, w.a.end->it.open_stream({}, 5s), {.to_send = each});
    talker u(w.loop, w.b.end->it.open_stream({}, 5s), {.to_send = each});
    for (std::size_t n = 2; n <= 4; ++n) {
        w.join(w.at(n % 2 ? "a" : "b"), w.at(n % 2 ? "b" : "a"));
        ASSERT_TRUE(w.run([&] { return w.up(*w.a.end) == n && w.up(*w.b.end) == n; }));
    }
    for (std::uint64_t n = 1; n <= kills; ++n) {
        const std::uint64_t more = 2 * each / (kills + 2) * n;
        ASSERT_TRUE(w.run([&] { return t.received() + u.received() >= more; }));
        auto& victim = w.socats[random.below(w.socats.size())];
        victim->signal(SIGKILL);
        victim->wait();
        std::swap(victim, w.socats.back());
        w.socats.pop_back();
        w.join(w.at("b"), w.at("a"));
    }
    const auto both_done = [](server& s) {
        return s.end->talkers.size() == 1 && s.end->talkers[0]->finished();
    };
    ASSERT_TRUE(
        w.run([&] { return t.finished() && u.finished() && both_done(w.a) && both_done(w.b); }));
    for (const talker* one : {&t, &u, w.a.end->talkers[0].get(), w.b.end->talkers[0].get()}) {
        EXPECT_TRUE(one->exact());
        EXPECT_EQ(one->received(), each);
    }
    EXPECT_EQ(w.a.end->it.sessions(), 1u);
    EXPECT_EQ(w.b.end->it.sessions(), 1u);
    EXPECT_TRUE(w.run([&] { return w.up(*w.a.end) == 4 && w.up(*w.b.end) == 4; }));
}

TEST(StripeJoined, S20ASocatThatJoinsAListenerToItself) {
    if (!std::filesystem::exists(socat)) GTEST_SKIP() << "no socat here";
    joined_world w;
    w.join(w.at("a"), w.at("a"));
    ASSERT_TRUE(w.run([&] { return w.a.accepted == 2 && w.a.end->lines.count("refused") == 2; }));
    EXPECT_GE(w.a.end->lines.count("why=\"connected to itself\""), 1u);
    EXPECT_EQ(w.a.end->it.sessions(), 0u);
    w.join(w.at("a"), w.at("b"));
    talker t(w.loop, w.a.end->it.open_stream({}, 5s), {.to_send = 100'000});
    EXPECT_TRUE(w.run([&] { return t.finished(); }));
}

}  // namespace
}  // namespace libp::stripe
