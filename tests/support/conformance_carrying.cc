#include "support/conformance_scenario.h"

namespace libp::conformance {
namespace {

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

// -- datagrams ------------------------------------------------------------------------------------

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
};

}  // namespace

std::span<const scenario> carrying_scenarios() {
    return scenarios;
}

}  // namespace libp::conformance
