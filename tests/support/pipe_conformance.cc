#include "support/pipe_conformance.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "support/byte_traffic.h"

namespace libp {
namespace {

// What a scenario works with.
struct run {
    explicit run(const pair_maker& m, std::unique_ptr<poller> waits)
        : maker(m), loop(std::move(waits)), pair(m.make(loop)) {}

    io_pipe& a() { return *pair.a; }
    io_pipe& b() { return *pair.b; }
    bool streams() const { return pair.a->kind() == io_kind::stream; }
    // Messages of up to `most` bytes, as far as the pipe takes them.
    traffic make_traffic(std::uint64_t seed, std::size_t total, std::size_t most = 8 * kib) {
        return {seed, std::min(total, maker.volume), std::min(most, a().max_datagram())};
    }

    const pair_maker& maker;
    event_loop loop;
    pipe_pair pair;
};

void expect_done(run& r, traffic_end& a, traffic_end& b) {
    EXPECT_TRUE(wait_until(r.loop, [&] { return a.done() && b.done(); })) << a.story() << "\n"
                                                                          << b.story();
    EXPECT_EQ(a.sink().fault(), "");
    EXPECT_EQ(b.sink().fault(), "");
}

chain text_chain(event_loop& loop, std::string_view text) {
    chain c;
    c.append_copy(loop.blocks(), bytes_of(text));
    return c;
}

// A consumer that only remembers.
struct recorder {
    explicit recorder(io_pipe& p) : pipe(p) { p.attach(io_handler::to<&recorder::on_pipe>(*this)); }
    void on_pipe(io_flags risen) {
        seen.set(risen);
        masks.push_back(risen);
    }
    io_pipe& pipe;
    io_flags seen{};
    std::vector<io_flags> masks;
};

// Receives until there is no more for now; what came, and how it ended.
struct drained {
    std::string text;
    std::vector<std::size_t> sizes;
    io_status end = io_status::ok;
};
void drain(io_pipe& pipe, drained& d) {
    while (pipe.has(io_flag::readable)) {
        chain c;
        const io_result got = pipe.recv(c, 64 * kib);
        d.end = got.status;
        if (!got.ok()) return;
        d.text += c.to_string();
        d.sizes.push_back(c.size());
    }
}
// Until the end of what comes.
void drain_to_end(run& r, io_pipe& pipe, drained& d) {
    recorder wake(pipe);
    EXPECT_TRUE(wait_until(r.loop, [&] {
        drain(pipe, d);
        return d.end == io_status::fin || d.end == io_status::broken;
    })) << describe(pipe);
    pipe.attach({});
}

void expect_no_fin(const run& r, io_status end) {
    if (r.maker.tells_a_cut) {
        EXPECT_EQ(end, io_status::broken);
    }
}

// -- bytes ----------------------------------------------------------------------------------------

void moves_bytes_both_ways(run& r) {
    for (const std::uint64_t seed : test_seeds(3)) {
        SCOPED_TRACE(seed_note(seed));
        test_random random(seed);
        r.pair = {};  // the last seed's users are gone, and a recipe may turn the loop
        r.pair = r.maker.make(r.loop);
        const std::size_t most = 1 + random.below(60 * kib);
        const traffic up = r.make_traffic(2 * seed, random.below(r.maker.volume), most);
        const traffic down = r.make_traffic(2 * seed + 1, random.below(r.maker.volume), most);
        const std::size_t at_once = 1 + random.below(300 * kib);
        traffic_end a(r.loop, r.a(), {.out = up, .in = down, .recv_most = at_once});
        traffic_end b(r.loop, r.b(), {.out = down, .in = up, .budget = 32 * kib});
        expect_done(r, a, b);
        EXPECT_FALSE(a.seen().has(io_flag::broken));
    }
}

void holds_no_memory_when_idle(run& r) {
    const traffic t = r.make_traffic(5, 300 * kib);
    {
        traffic_end a(r.loop, r.a(), {.out = t, .in = t, .fin = false});
        traffic_end b(r.loop, r.b(), {.out = t, .in = t, .fin = false});
        EXPECT_TRUE(wait_until(r.loop, [&] { return a.sink().complete() && b.sink().complete(); }))
            << a.story() << b.story();
        // Acknowledgements of a protocol below may still be under way.
        EXPECT_TRUE(
            settle(r.loop, [&] { return r.loop.blocks().in_use() <= r.maker.holds_at_rest; }))
            << "idle pipes spin, or hold " << r.loop.blocks().in_use();
        r.a().attach({});
        r.b().attach({});
    }
}

void stops_when_nobody_receives(run& r) {
    const std::size_t volume = 2 * r.maker.holds + r.maker.volume;
    const traffic t{9, volume, std::min<std::size_t>(8 * kib, r.a().max_datagram())};
    traffic_end a(r.loop, r.a(), {.out = t});
    traffic_end b(r.loop, r.b(), {.in = t, .receive = false});
    EXPECT_TRUE(settle(r.loop, [&] { return !r.a().has(io_flag::writable); }))
        << "the loop spins while nobody receives, or the pipe takes without end";
    EXPECT_LE(a.sent(), r.maker.holds);
    // Resumes by itself, although readable is up and no edge will come.
    b.start_receiving();
    expect_done(r, a, b);
}

void an_empty_chain_is_nothing_to_a_stream(run& r) {
    if (!r.streams()) return;
    recorder b(r.b());
    chain empty;
    EXPECT_TRUE(wait_until(r.loop, [&] { return r.a().has(io_flag::writable); }));
    EXPECT_EQ(r.a().send(empty).status, io_status::ok);
    EXPECT_TRUE(settle(r.loop));
    drained d;
    drain(r.b(), d);
    EXPECT_EQ(d.text, "");
    EXPECT_FALSE(r.b().has(io_flag::fin_rcvd));
    EXPECT_FALSE(r.b().has(io_flag::broken));
}

// -- datagrams --------------------------------------------------------------------------------------

void carries_empty_datagrams(run& r) {
    if (r.streams()) return;
    recorder a(r.a());
    EXPECT_TRUE(wait_until(r.loop, [&] { return r.a().has(io_flag::writable); }));
    std::vector<std::size_t> sizes;
    for (const std::size_t size : {0, 0, 1, 0, 5, 0}) {
        sizes.push_back(size);
        chain c = text_chain(r.loop, std::string(size, 'x'));
        EXPECT_TRUE(
            wait_until(r.loop, [&] { return r.a().has(io_flag::writable) && r.a().send(c).ok(); }));
    }
    r.a().send_fin();
    drained d;
    drain_to_end(r, r.b(), d);
    EXPECT_EQ(d.sizes, sizes);
    EXPECT_EQ(d.end, io_status::fin);
}

void carries_the_largest_datagram_and_breaks_above(run& r) {
    if (r.streams()) return;
    recorder a(r.a());
    const std::string largest(r.a().max_datagram(), 'm');
    chain c = text_chain(r.loop, largest);
    EXPECT_TRUE(
        wait_until(r.loop, [&] { return r.a().has(io_flag::writable) && r.a().send(c).ok(); }));
    drained d;
    recorder b(r.b());
    EXPECT_TRUE(wait_until(r.loop, [&] {
        drain(r.b(), d);
        return d.sizes.size() == 1;
    }));
    EXPECT_EQ(d.text, largest);

    c = text_chain(r.loop, largest + "m");
    io_result sent;
    EXPECT_TRUE(wait_until(r.loop, [&] {
        sent = r.a().send(c);
        return sent.status != io_status::again;
    }));
    EXPECT_EQ(sent.status, io_status::broken);
    EXPECT_EQ(r.a().why().why, reason::oversize);
    drained rest;
    drain_to_end(r, r.b(), rest);
    EXPECT_EQ(rest.text, "");
    expect_no_fin(r, rest.end);
}

// -- FIN ------------------------------------------------------------------------------------------

// Seven bytes and a FIN one way, then, and only then, two million and a FIN the other way.
void half_closes(run& r, io_pipe& asks, io_pipe& answers) {
    const traffic question = r.make_traffic(21, 7);
    const traffic answer = r.make_traffic(22, 2'000'000);
    traffic_end client(r.loop, asks, {.out = question, .in = answer});
    {
        traffic_end server(r.loop, answers, {.in = question, .fin = false});
        EXPECT_TRUE(wait_until(r.loop, [&] { return server.fin_received(); })) << server.story();
        EXPECT_TRUE(server.sink().complete()) << server.story();
        EXPECT_TRUE(settle(r.loop)) << "the loop spins on a half-closed pair";
        EXPECT_TRUE(answers.has(io_flag::fin_rcvd));
        EXPECT_FALSE(answers.has(io_flag::fin_sent));
        EXPECT_FALSE(client.fin_received());
    }
    traffic_end server(r.loop, answers, {.out = answer});
    EXPECT_TRUE(wait_until(r.loop, [&] { return client.done() && answers.finished(); }))
        << client.story() << "\n"
        << server.story();
}
void half_closes_from_a(run& r) {
    half_closes(r, r.a(), r.b());
}
void half_closes_from_b(run& r) {
    half_closes(r, r.b(), r.a());
}

void fin_follows_what_is_unsent(run& r) {
    recorder a(r.a());
    std::size_t taken = 0;
    const std::size_t enough = 4 * r.maker.holds;
    // Until it is full, or proves to hold more than it should.
    EXPECT_TRUE(wait_until(r.loop, [&] { return r.a().has(io_flag::writable); }));
    while (r.a().has(io_flag::writable) && taken < enough) {
        chain c =
            text_chain(r.loop, std::string(std::min<std::size_t>(1000, r.a().max_datagram()), 'f'));
        taken += r.a().send(c).bytes;
    }
    EXPECT_LT(taken, enough);
    r.a().send_fin();
    EXPECT_TRUE(r.a().has(io_flag::fin_wanted));
    drained d;
    drain_to_end(r, r.b(), d);
    EXPECT_EQ(d.text.size(), taken);
    EXPECT_EQ(d.end, io_status::fin);
    EXPECT_TRUE(wait_until(r.loop, [&] { return a.seen.has(io_flag::fin_sent); }));
}

void fin_twice_is_once(run& r) {
    recorder a(r.a());
    EXPECT_TRUE(wait_until(r.loop, [&] { return r.a().has(io_flag::ready); }));
    r.a().send_fin();
    r.a().send_fin();
    drained d;
    drain_to_end(r, r.b(), d);
    EXPECT_EQ(d.end, io_status::fin);
    EXPECT_EQ(d.text, "");
    chain c;
    EXPECT_EQ(r.b().recv(c, 100).status, io_status::fin);
    r.b().send_fin();
    drained back;
    drain_to_end(r, r.a(), back);
    EXPECT_EQ(back.end, io_status::fin);
    r.a().send_fin();
    EXPECT_TRUE(wait_until(r.loop, [&] { return r.a().finished() && r.b().finished(); }));
    EXPECT_FALSE(r.a().has(io_flag::broken));
    EXPECT_FALSE(r.b().has(io_flag::broken));
}

// -- breaking ---------------------------------------------------------------------------------------

void expect_cut(run& r, const drained& d, io_pipe& left) {
    if (!r.maker.tells_a_cut) return;
    EXPECT_EQ(d.end, io_status::broken) << describe(left);
    EXPECT_TRUE(left.has(io_flag::broken));
    EXPECT_FALSE(left.has(io_flag::fin_rcvd));
    chain c = text_chain(r.loop, "x");
    EXPECT_EQ(left.send(c).status, io_status::broken);
    left.send_fin();
    EXPECT_FALSE(left.has(io_flag::fin_sent));
    EXPECT_EQ(left.recv(c, 1).status, io_status::broken);
}

void a_cut_is_no_fin(run& r) {
    const traffic t = r.make_traffic(31, r.maker.volume);
    auto a =
        std::make_unique<traffic_end>(r.loop, r.a(), traffic_end::options{.out = t, .fin = false});
    traffic_end b(r.loop, r.b(), {.in = t, .fin = false});
    EXPECT_TRUE(wait_until(r.loop, [&] { return b.received() > 0; })) << b.story();
    a.reset();
    r.pair.a.reset();
    EXPECT_TRUE(wait_until(r.loop, [&] { return b.fin_received() || b.break_received(); }))
        << b.story();
    EXPECT_EQ(b.sink().fault(), "");
    expect_no_fin(r, b.break_received() ? io_status::broken : io_status::fin);
}

// A FIN was sent, but the other way is open: still a cut.
void a_cut_behind_our_fin_is_no_fin(run& r) {
    recorder b(r.b());
    r.b().send_fin();
    drained d;
    drain_to_end(r, r.a(), d);
    EXPECT_EQ(d.end, io_status::fin);
    r.pair.a.reset();
    drained cut;
    drain_to_end(r, r.b(), cut);
    expect_no_fin(r, cut.end);
}

void what_came_before_a_cut_is_received(run& r) {
    recorder a(r.a()), b(r.b());
    chain c = text_chain(r.loop, "said before the end");
    EXPECT_TRUE(wait_until(r.loop, [&] {
        return (r.a().has(io_flag::writable) && r.a().send(c).status == io_status::broken) ||
               c.empty();
    }));
    // Small pipes bring it piece by piece: some of it is there.
    EXPECT_TRUE(wait_until(r.loop, [&] { return r.b().has(io_flag::readable); }));
    EXPECT_TRUE(settle(r.loop));
    r.a().reset();
    EXPECT_TRUE(settle(r.loop)) << "the loop spins on a broken pipe";
    drained d;
    drain_to_end(r, r.b(), d);
    if (r.maker.keeps_received)
        EXPECT_EQ(d.text, "said before the end");
    else
        EXPECT_EQ(std::string("said before the end").substr(0, d.text.size()), d.text);
    expect_cut(r, d, r.b());
}

void reset_breaks_both_ends(run& r) {
    recorder a(r.a()), b(r.b());
    EXPECT_TRUE(
        wait_until(r.loop, [&] { return r.a().has(io_flag::ready) && r.b().has(io_flag::ready); }));
    r.a().reset();
    EXPECT_FALSE(a.seen.has(io_flag::broken)) << "told inside reset()";
    EXPECT_EQ(r.a().why().why, reason::local_abort);
    chain c = text_chain(r.loop, "x");
    EXPECT_EQ(r.a().send(c).status, io_status::broken);
    EXPECT_EQ(r.a().recv(c, 1).status, io_status::broken);
    r.a().send_fin();
    r.a().reset();
    EXPECT_TRUE(wait_until(r.loop, [&] { return a.seen.has(io_flag::broken); }));
    drained d;
    drain_to_end(r, r.b(), d);
    expect_cut(r, d, r.b());
}

// Sending finds out too.
void a_break_behind_congestion_is_told(run& r) {
    const traffic t{33, 2 * r.maker.holds, std::min<std::size_t>(8 * kib, r.a().max_datagram())};
    traffic_end a(r.loop, r.a(), {.out = t});
    EXPECT_TRUE(settle(r.loop, [&] { return !r.a().has(io_flag::writable); }));
    r.pair.b.reset();
    EXPECT_TRUE(wait_until(r.loop, [&] { return r.a().has(io_flag::broken); })) << a.story();
    // Where a cut looks like an end, the FIN may have come first.
    EXPECT_TRUE(wait_until(r.loop, [&] {
        return a.break_received() || (a.fin_received() && !r.maker.tells_a_cut);
    })) << a.story();
    EXPECT_TRUE(wait_until(r.loop, [&] { return a.seen().has(io_flag::broken); }));
}

// -- edges ----------------------------------------------------------------------------------------

void a_late_handler_is_told_all(run& r) {
    chain c = text_chain(r.loop, "early");
    {
        recorder a(r.a());
        EXPECT_TRUE(wait_until(r.loop, [&] { return r.a().has(io_flag::writable); }));
        EXPECT_TRUE(r.a().send(c).ok());
        EXPECT_TRUE(wait_until(r.loop, [&] { return r.b().has(io_flag::readable); }));
        r.a().attach({});
    }
    recorder b(r.b());
    EXPECT_TRUE(b.masks.empty()) << "told inside attach()";
    EXPECT_TRUE(wait_until(r.loop, [&] { return !b.masks.empty(); }));
    EXPECT_TRUE(b.masks[0].has(io_flag::ready));
    EXPECT_TRUE(b.masks[0].has(io_flag::readable));
    EXPECT_TRUE(b.masks[0].has(io_flag::writable));
    EXPECT_TRUE(settle(r.loop));
    EXPECT_EQ(b.masks.size(), 1u) << "told of a level twice";
}

void a_new_handler_replaces_the_old(run& r) {
    recorder old(r.a()), next(r.a());
    EXPECT_TRUE(wait_until(r.loop, [&] { return next.seen.has(io_flag::writable); }));
    EXPECT_TRUE(old.masks.empty());
}

// The owner lets go from within the handler, in the middle of receiving.
void is_retired_inside_its_handler(run& r) {
    struct owner {
        run& r;
        io_pipe* pipe;
        bool gone = false;
        void on_pipe(io_flags risen) {
            if (!risen.has(io_flag::readable) || gone) return;
            chain c;
            EXPECT_TRUE(pipe->recv(c, 1).ok());
            gone = true;
            r.loop.retire(std::move(r.pair.b));
        }
    } o{r, r.pair.b.get()};
    o.pipe->attach(io_handler::to<&owner::on_pipe>(o));
    recorder a(r.a());
    chain c = text_chain(r.loop, "go");
    EXPECT_TRUE(wait_until(r.loop, [&] { return r.a().has(io_flag::writable); }));
    EXPECT_TRUE(r.a().send(c).ok());
    EXPECT_TRUE(wait_until(r.loop, [&] { return o.gone; }));
    drained d;
    drain_to_end(r, r.a(), d);
    expect_no_fin(r, d.end);
}

// -- registration -----------------------------------------------------------------------------------

struct scenario {
    const char* name;
    void (*body)(run&);
};
constexpr scenario scenarios[] = {
    {"moves_bytes_both_ways", moves_bytes_both_ways},
    {"holds_no_memory_when_idle", holds_no_memory_when_idle},
    {"stops_when_nobody_receives", stops_when_nobody_receives},
    {"an_empty_chain_is_nothing_to_a_stream", an_empty_chain_is_nothing_to_a_stream},
    {"carries_empty_datagrams", carries_empty_datagrams},
    {"carries_the_largest_datagram_and_breaks_above",
     carries_the_largest_datagram_and_breaks_above},
    {"half_closes_from_a", half_closes_from_a},
    {"half_closes_from_b", half_closes_from_b},
    {"fin_follows_what_is_unsent", fin_follows_what_is_unsent},
    {"fin_twice_is_once", fin_twice_is_once},
    {"a_cut_is_no_fin", a_cut_is_no_fin},
    {"a_cut_behind_our_fin_is_no_fin", a_cut_behind_our_fin_is_no_fin},
    {"what_came_before_a_cut_is_received", what_came_before_a_cut_is_received},
    {"reset_breaks_both_ends", reset_breaks_both_ends},
    {"a_break_behind_congestion_is_told", a_break_behind_congestion_is_told},
    {"a_late_handler_is_told_all", a_late_handler_is_told_all},
    {"a_new_handler_replaces_the_old", a_new_handler_replaces_the_old},
    {"is_retired_inside_its_handler", is_retired_inside_its_handler},
};

using make_poller = std::unique_ptr<poller> (*)();

class scenario_test : public testing::Test {
  public:
    scenario_test(const scenario& s, pair_maker m, make_poller p)
        : scenario_(s), maker_(std::move(m)), poller_(p) {}
    void TestBody() override {
        run r(maker_, poller_());
        scenario_.body(r);
    }

  private:
    const scenario& scenario_;
    pair_maker maker_;
    make_poller poller_;
};

}  // namespace

bool register_pipe_conformance(const std::vector<pair_maker>& makers) {
    for (const pair_maker& maker : makers) {
        const pair_maker checked = over_checked(maker);
        for (const make_poller p : {make_epoll_poller, make_select_poller}) {
            const std::unique_ptr<poller> probe = p();
            if (!probe) continue;  // not on this system
            const std::string suite = "pipe/" + maker.name + "/" + probe->name();
            for (const scenario& s : scenarios)
                testing::RegisterTest(suite.c_str(), s.name, nullptr, nullptr, __FILE__, __LINE__,
                                      [&s, checked, p]() -> testing::Test* {
                                          return new scenario_test(s, checked, p);
                                      });
        }
    }
    return true;
}

}  // namespace libp
