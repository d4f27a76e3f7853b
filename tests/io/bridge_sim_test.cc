// The bridge where time is a number: its budget, its timeouts, and whatever chance brings.

#include "io/bridge_kit.h"
#include "support/faulty_pipe.h"
#include "support/seed.h"
#include "support/sim_poller.h"

namespace libp::testing {
namespace {

class bridge_sim : public ::testing::Test {
  protected:
    event_loop loop{std::make_unique<sim_poller>(instant{} + 1h)};
};

// -- fairness -------------------------------------------------------------------------------------

TEST_F(bridge_sim, a_turn_moves_no_more_than_the_budget) {
    constexpr std::size_t budget = 64 * kib;
    bridged t(loop, memory_wire(loop, {.capacity = 8 * mib}),
              memory_wire(loop, {.capacity = 8 * mib}), {.budget = budget});
    std::string bulk = noise(4 * mib);
    t.client.send(bulk);
    t.server.send(bulk);
    std::uint64_t up = 0, down = 0;
    int busy_turns = 0;
    ASSERT_TRUE(turn_now_until(loop, [&] {
        EXPECT_LE(t.bridge->bytes_a_to_b() - up, budget);
        EXPECT_LE(t.bridge->bytes_b_to_a() - down, budget);
        if (t.bridge->bytes_a_to_b() > up) ++busy_turns;
        up = t.bridge->bytes_a_to_b();
        down = t.bridge->bytes_b_to_a();
        return t.server.got().size() == bulk.size() && t.client.got().size() == bulk.size();
    }));
    EXPECT_TRUE(t.server.got() == bulk);
    EXPECT_LE(busy_turns, 70) << "but hardly less than the budget either";
}

// A source that is always ready must not keep a neighbour's bridge from its turn.
TEST_F(bridge_sim, a_bulky_bridge_leaves_its_neighbour_alone) {
    bridged bulky(loop, memory_wire(loop, {.capacity = 64 * mib}),
                  memory_wire(loop, {.capacity = 64 * mib}), {.budget = 64 * kib});
    bridged small(loop, memory_wire(loop), memory_wire(loop));
    bulky.client.send(noise(16 * mib));
    settle(loop, 5);
    small.client.send("me too");
    ASSERT_TRUE(turn_now_until(
        loop, [&] { return small.server.got() == "me too"; }, 10));
    EXPECT_LT(bulky.bridge->bytes_a_to_b(), 2 * mib);
}

// -- endings --------------------------------------------------------------------------------------

// A pipe that says something and then breaks, all before anybody looked.
class last_words final : public io_pipe {
  public:
    explicit last_words(event_loop& loop, std::string text)
        : loop_(loop), later_(loop, delegate<void()>::to<&last_words::tell>(*this)), text_(text) {}
    io_kind kind() const noexcept override { return io_kind::stream; }
    void attach(io_handler handler) override {
        handler_ = handler;
        later_.schedule();
    }
    io_flags state() const noexcept override { return state_; }
    io_result recv(chain& to, std::size_t max) override {
        if (text_.empty()) {
            state_.clear(io_flag::readable);
            return io_result::broken(why());
        }
        std::string part = text_.substr(0, max);
        text_.erase(0, part.size());
        to.append_copy(loop_.blocks(), bytes_of(part));
        return io_result::moved(part.size());
    }
    io_result send(chain&) override { return io_result::broken(why()); }
    void send_fin() override {}
    void reset() override {}
    error why() const noexcept override { return {reason::truncated, 0}; }
    void describe(std::string& out) const override { out += "last words"; }

  private:
    void tell() { handler_(state_); }
    event_loop& loop_;
    deferred later_;
    io_handler handler_;
    std::string text_;
    io_flags state_ = io_flag::ready | io_flags(io_flag::readable) | io_flag::broken;
};

TEST_F(bridge_sim, what_came_before_a_break_is_passed_on_first) {
    std::string words = noise(100'000);
    wire b = memory_wire(loop, {.capacity = 1 * mib});
    // Nobody receives while the bridge works, so that the reset cannot take away what is passed on.
    std::uint64_t passed = 0;
    int dones = 0;
    io_bridge* p = nullptr;
    auto done = [&] {
        ++dones;
        passed = p->bytes_a_to_b();
    };
    io_bridge bridge(loop, std::make_unique<last_words>(loop, words), std::move(b.inner),
                     {.window = 1000, .budget = 10'000}, delegate<void()>::of(done));
    p = &bridge;
    ASSERT_TRUE(turn_now_until(loop, [&] { return dones == 1; }));
    EXPECT_EQ(passed, words.size());
    EXPECT_EQ(bridge.end().side, bridge_side::a);
    EXPECT_EQ(bridge.end().why.why, reason::truncated);
    EXPECT_TRUE(b.outer->has(io_flag::broken));
}

TEST_F(bridge_sim, a_break_does_not_wait_for_a_congested_far_end) {
    wire b = memory_wire(loop, {.capacity = 1000});
    int dones = 0;
    auto done = [&] { ++dones; };
    io_bridge bridge(loop, std::make_unique<last_words>(loop, noise(100'000)), std::move(b.inner),
                     {}, delegate<void()>::of(done));
    ASSERT_TRUE(turn_now_until(
        loop, [&] { return dones == 1; }, 20));
    EXPECT_EQ(bridge.bytes_a_to_b(), 1000u);
    EXPECT_EQ(bridge.end().side, bridge_side::a);
    EXPECT_TRUE(b.outer->has(io_flag::broken));
}

TEST_F(bridge_sim, abort_resets_both_and_says_why) {
    bridged t(loop, memory_wire(loop), memory_wire(loop));
    t.client.send("x");
    ASSERT_TRUE(turn_now_until(loop, [&] { return t.server.got() == "x"; }));
    t.bridge->abort({reason::drain_cut, 0});
    EXPECT_TRUE(t.bridge->over());
    EXPECT_FALSE(t.over()) << "done is called from the loop only";
    t.bridge->abort({reason::limit, 0});
    settle(loop, 10);
    EXPECT_EQ(t.dones, 1);
    EXPECT_EQ(t.end.side, bridge_side::none);
    EXPECT_EQ(t.end.why.why, reason::drain_cut);
    EXPECT_TRUE(t.client.got_break());
    EXPECT_TRUE(t.server.got_break());
}

TEST_F(bridge_sim, destroyed_early_it_cuts_both_and_calls_nobody) {
    bridged t(loop, memory_wire(loop), memory_wire(loop));
    t.client.send("x");
    ASSERT_TRUE(turn_now_until(loop, [&] { return t.server.got() == "x"; }));
    t.bridge.reset();
    settle(loop, 10);
    EXPECT_EQ(t.dones, 0);
    EXPECT_TRUE(t.client.got_break());
    EXPECT_TRUE(t.server.got_break());
    EXPECT_FALSE(t.client.got_fin() || t.server.got_fin());
}

struct retiring_owner {
    void on_done() { loop.retire(std::move(bridge)); }
    event_loop& loop;
    std::unique_ptr<io_bridge> bridge;
};

TEST_F(bridge_sim, its_owner_may_retire_it_when_done) {
    wire a = memory_wire(loop), b = memory_wire(loop);
    peer client(loop, std::move(a.outer)), server(loop, std::move(b.outer));
    retiring_owner owner{loop, nullptr};
    owner.bridge =
        std::make_unique<io_bridge>(loop, std::move(a.inner), std::move(b.inner), bridge_options{},
                                    delegate<void()>::to<&retiring_owner::on_done>(owner));
    client.send_fin();
    server.send_fin();
    ASSERT_TRUE(turn_now_until(loop, [&] { return !owner.bridge; }));
    settle(loop, 10);
    EXPECT_TRUE(client.got_fin() && server.got_fin());
    EXPECT_FALSE(client.got_break() || server.got_break());
}

// -- time -----------------------------------------------------------------------------------------

TEST_F(bridge_sim, idle_ends_what_nothing_moves_on) {
    bridged t(loop, memory_wire(loop), memory_wire(loop), {.idle = 10s});
    for (int i = 0; i < 5; ++i) {
        pass(loop, 9s);
        (i % 2 ? t.client : t.server).send("tick");
        settle(loop);
    }
    pass(loop, 9s);
    EXPECT_FALSE(t.over());
    pass(loop, 1s);
    EXPECT_TRUE(t.over());
    EXPECT_EQ(t.end.side, bridge_side::none);
    EXPECT_EQ(t.end.why.why, reason::idle_timeout);
    EXPECT_TRUE(t.client.got_break() && t.server.got_break());
}

TEST_F(bridge_sim, without_idle_it_waits_for_ever) {
    bridged t(loop, memory_wire(loop), memory_wire(loop));
    pass(loop, 24h * 30);
    EXPECT_FALSE(t.over());
}

TEST_F(bridge_sim, linger_outlasts_a_think_time_and_then_ends) {
    for (bool mirrored : {false, true}) {
        bridged t(loop, memory_wire(loop), memory_wire(loop));
        peer& asks = mirrored ? t.server : t.client;
        peer& thinks = mirrored ? t.client : t.server;
        pass(loop, 1h);  // both directions open: linger is not about that
        asks.send("request");
        asks.send_fin();
        pass(loop, 59s);
        ASSERT_FALSE(t.over());
        thinks.send("part of the answer");
        pass(loop, 59s);
        ASSERT_FALSE(t.over());
        EXPECT_EQ(asks.got(), "part of the answer");
        pass(loop, 1s);
        ASSERT_TRUE(t.over());
        EXPECT_EQ(t.end.why.why, reason::linger_timeout);
        EXPECT_TRUE(asks.got_break()) << "an answer cut short must not look whole";
        EXPECT_FALSE(asks.got_fin());
    }
}

TEST_F(bridge_sim, linger_never_cuts_a_trickle) {
    bridged t(loop, memory_wire(loop), memory_wire(loop), {.linger = 5s});
    t.client.send_fin();
    std::string sent;
    for (int i = 0; i < 200; ++i) {
        t.server.send(".");
        sent += ".";
        pass(loop, 4s);
        ASSERT_FALSE(t.over());
    }
    t.server.send_fin();
    settle(loop);
    EXPECT_TRUE(t.over());
    EXPECT_FALSE(t.end.why);
    EXPECT_EQ(t.client.got(), sent);
}

TEST_F(bridge_sim, linger_of_zero_is_none_and_the_shorter_of_the_two_wins) {
    bridged patient(loop, memory_wire(loop), memory_wire(loop), {.linger = 0s});
    patient.client.send_fin();
    bridged idle_first(loop, memory_wire(loop), memory_wire(loop), {.idle = 10s, .linger = 20s});
    idle_first.client.send_fin();
    bridged linger_first(loop, memory_wire(loop), memory_wire(loop), {.idle = 20s, .linger = 10s});
    pass(loop, 5s);
    linger_first.client.send_fin();
    pass(loop, 15s);
    EXPECT_FALSE(patient.over());
    EXPECT_EQ(idle_first.end.why.why, reason::idle_timeout);
    EXPECT_EQ(linger_first.end.why.why, reason::linger_timeout);
    pass(loop, 24h);
    EXPECT_FALSE(patient.over());
}

// -- whatever happens -----------------------------------------------------------------------------

struct random_run {
    random_run(event_loop& on, std::uint64_t seed)
        : loop(on),
          random(seed),
          t(loop, some_wire(), some_wire(),
            {.window = 1 + random.below(2000), .budget = 1 + random.below(5000)}),
          up(random.text(random.below(20'000))),
          down(random.text(random.below(20'000))),
          cuts(random.one_in(3)) {}

    wire some_wire() {
        memory_pair_options o{.capacity = 1 + random.below(3000)};
        if (random.one_in(2)) o.max_chunk = 1 + random.below(100);
        return memory_wire(loop, o);
    }

    void play() {
        t.client.send(up);
        t.server.send(down);
        t.client.send_fin();
        t.server.send_fin();
        std::uint64_t cut_turn = random.below(300);
        for (std::uint64_t turn = 0; turn < 60'000 && !t.over(); ++turn) {
            if (random.one_in(10)) t.client.read(random.one_in(2));
            if (random.one_in(10)) t.server.read(random.one_in(2));
            if (cuts && turn == cut_turn) (random.one_in(2) ? t.client : t.server).reset();
            loop.turn(loop.now());
        }
        t.client.read(true);
        t.server.read(true);
        ASSERT_TRUE(turn_now_until(loop, [&] { return t.over(); }));
        settle(loop, 50);
    }

    event_loop& loop;
    test_random random;
    bridged t;
    std::string up, down;
    bool cuts;
};

// Random sizes, windows, pauses and cuts. Each side must have received a prefix of what the other
// sent, a FIN only behind all of it; and a bridge that was not cut ends cleanly.
TEST_F(bridge_sim, random_runs_deliver_a_prefix_and_a_fin_only_at_its_end) {
    for (std::uint64_t seed : test_seeds(200)) {
        SCOPED_TRACE(seed_note(seed));
        random_run run(loop, seed);
        run.play();
        const bridged& t = run.t;
        EXPECT_TRUE(run.up.starts_with(t.server.got()));
        EXPECT_TRUE(run.down.starts_with(t.client.got()));
        EXPECT_TRUE(!t.server.got_fin() || t.server.got() == run.up);
        EXPECT_TRUE(!t.client.got_fin() || t.client.got() == run.down);
        EXPECT_EQ(t.dones, 1);
        if (!run.cuts) {
            EXPECT_FALSE(t.end.why);
            EXPECT_TRUE(t.server.got_fin() && t.client.got_fin());
        }
        if (HasFailure()) return;
    }
}

// One of the bridge's own pipes fails at its N-th call, for N = 0, 1, 2 ... until a run gets by
// without.
void fail_at_every_call(event_loop& loop, bridge_side side) {
    std::string request = noise(3'000, 1), answer = noise(9'000, 2);
    for (std::size_t n = 0;; ++n) {
        SCOPED_TRACE("call " + std::to_string(n));
        ASSERT_LT(n, 2'000u) << "it never gets through";
        wire a = memory_wire(loop, {.capacity = 2000}), b = memory_wire(loop, {.capacity = 2000});
        wire& bad = side == bridge_side::a ? a : b;
        bad.inner =
            make_faulty_pipe(loop, std::move(bad.inner),
                             {.seed = n + 1, .max_chunk = 700, .again_one_in = 4, .fail_at = n});
        bridged t(loop, std::move(a), std::move(b), {.window = 1000});
        t.server.answer_fin_with(answer);
        t.client.send(request);
        t.client.send_fin();
        for (int i = 0; i < 1000 && !t.over(); ++i)
            pass(loop, 1ms, 20);
        settle(loop, 50);
        ASSERT_EQ(t.dones, 1);
        ASSERT_TRUE(request.starts_with(t.server.got()));
        ASSERT_TRUE(answer.starts_with(t.client.got()));
        ASSERT_TRUE(!t.server.got_fin() || t.server.got() == request);
        ASSERT_TRUE(!t.client.got_fin() || t.client.got() == answer);
        if (!t.end.why) {
            EXPECT_TRUE(t.server.got_fin() && t.client.got_fin());
            EXPECT_GT(n, 10u) << "the fault never came";
            return;
        }
        ASSERT_EQ(t.end.side, side);
        ASSERT_EQ(t.end.why.why, reason::peer_reset);
    }
}

TEST_F(bridge_sim, a_pipe_may_fail_at_any_call) {
    fail_at_every_call(loop, bridge_side::a);
    fail_at_every_call(loop, bridge_side::b);
}

}  // namespace
}  // namespace libp::testing
