#include "support/conformance_scenario.h"

namespace libp::conformance {
namespace {

// -- breaking -------------------------------------------------------------------------------------

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

constexpr scenario scenarios[] = {
    {"a_cut_is_no_fin", a_cut_is_no_fin},
    {"a_cut_behind_our_fin_is_no_fin", a_cut_behind_our_fin_is_no_fin},
    {"what_came_before_a_cut_is_received", what_came_before_a_cut_is_received},
    {"reset_breaks_both_ends", reset_breaks_both_ends},
    {"a_break_behind_congestion_is_told", a_break_behind_congestion_is_told},
    {"a_late_handler_is_told_all", a_late_handler_is_told_all},
    {"a_new_handler_replaces_the_old", a_new_handler_replaces_the_old},
    {"is_retired_inside_its_handler", is_retired_inside_its_handler},
};

}  // namespace

std::span<const scenario> breaking_scenarios() {
    return scenarios;
}

}  // namespace libp::conformance
