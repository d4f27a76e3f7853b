#pragma once

// What the scenarios of pipe_conformance.h are made of: a pair of pipes on a loop, consumers that
// remember what they were told, and the lists of what is run.

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "support/byte_traffic.h"
#include "support/pipe_pair.h"

namespace libp::conformance {

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

inline void expect_done(run& r, traffic_end& a, traffic_end& b) {
    EXPECT_TRUE(wait_until(r.loop, [&] { return a.done() && b.done(); })) << a.story() << "\n"
                                                                          << b.story();
    EXPECT_EQ(a.sink().fault(), "");
    EXPECT_EQ(b.sink().fault(), "");
}

inline chain text_chain(event_loop& loop, std::string_view text) {
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
inline void drain(io_pipe& pipe, drained& d) {
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
inline void drain_to_end(run& r, io_pipe& pipe, drained& d) {
    recorder wake(pipe);
    EXPECT_TRUE(wait_until(r.loop, [&] {
        drain(pipe, d);
        return d.end == io_status::fin || d.end == io_status::broken;
    })) << describe(pipe);
    pipe.attach({});
}

inline void expect_no_fin(const run& r, io_status end) {
    if (r.maker.tells_a_cut) {
        EXPECT_EQ(end, io_status::broken);
    }
}

struct scenario {
    const char* name;
    void (*body)(run&);
};
// Of bytes, datagrams and FINs that arrive.
std::span<const scenario> carrying_scenarios();
// Of cuts and resets, and of what handlers are told and when.
std::span<const scenario> breaking_scenarios();

}  // namespace libp::conformance
