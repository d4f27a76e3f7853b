#include <gtest/gtest.h>
#include <libp/pipe_dgm.h>
#include <libp/pipe_memory.h>
#include <libp/varint.h>

#include "support/byte_traffic.h"
#include "support/checked_pipe.h"
#include "support/fault_run.h"
#include "support/faulty_pipe.h"
#include "support/pipe_pair.h"

namespace libp {
namespace {

// A dgm pipe at one end, its wire at the other.
struct pipe_dgm_test : testing::Test {
    void make(const memory_pair_options& wire_options = {}, std::size_t max_datagram = 1000) {
        auto [wire_end, lower] = make_memory_pair(loop, wire_options);
        wire = std::move(wire_end);
        pipe = make_checked_pipe(make_dgm_pipe(loop, make_checked_pipe(std::move(lower)),
                                               {.max_datagram = max_datagram}));
        pipe->attach(io_handler::to<&pipe_dgm_test::on_pipe>(*this));
    }
    void on_pipe(io_flags) {}
    void say(std::string_view what) {
        chain c;
        c.append_copy(loop.blocks(), bytes_of(what));
        while (!c.empty()) {
            EXPECT_NE(wire->send(c).status, io_status::broken);
            turn();
        }
    }
    void turn() {
        for (int i = 0; i < 3; ++i)
            loop.turn(loop.now());
    }
    io_result recv(std::string& into) {
        chain c;
        const io_result r = pipe->recv(c, 1);  // max is nothing to datagrams
        into = c.to_string();
        return r;
    }
    std::string heard() {
        chain c;
        while (wire->recv(c, 100'000).ok())
            turn();
        return c.to_string();
    }

    event_loop loop;
    std::unique_ptr<io_pipe> wire, pipe;
    std::string text;
};

TEST_F(pipe_dgm_test, writes_a_varint_and_the_bytes) {
    make();
    chain c;
    turn();
    EXPECT_TRUE(pipe->send(c).ok());
    c.append_copy(loop.blocks(), bytes_of("seven b"));
    EXPECT_EQ(pipe->send(c).bytes, 7u);
    c.append_copy(loop.blocks(), bytes_of(std::string(300, 'x')));
    EXPECT_EQ(pipe->send(c).bytes, 300u);
    std::string want("\0\7seven b\x41\x2c", 11);
    want.append(300, 'x');
    EXPECT_EQ(heard(), want);
}

TEST_F(pipe_dgm_test, reads_lengths_split_at_any_byte_and_of_any_encoding) {
    // "abc" with its length in 1, 2, 4 and 8 bytes, and empty ones between.
    const std::string stream(
        "\3abc\0\x40\3abc\x40\0\x80\0\0\3abc\xc0\0\0\0\0\0\0\3abc\xc0\0\0\0\0\0\0\0",
        4 + 1 + 5 + 2 + 7 + 11 + 8);
    const std::vector<std::string> want{"abc", "", "abc", "", "abc", "abc", ""};
    for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
        make();
        std::vector<std::string> got;
        for (const std::string& part : {stream.substr(0, cut), stream.substr(cut)}) {
            say(part);
            while (pipe->has(io_flag::readable) && recv(text).ok())
                got.push_back(text);
        }
        EXPECT_EQ(got, want) << "cut at " << cut;
        wire->send_fin();
        turn();
        EXPECT_EQ(recv(text).status, io_status::fin);
    }
}

TEST_F(pipe_dgm_test, is_not_readable_for_part_of_a_datagram) {
    make();
    say("\5abcd");
    EXPECT_FALSE(pipe->has(io_flag::readable));
    EXPECT_EQ(recv(text).status, io_status::again);
    say("e");
    EXPECT_TRUE(pipe->has(io_flag::readable));
    EXPECT_EQ(recv(text).bytes, 5u);
    EXPECT_EQ(text, "abcde");
}

TEST_F(pipe_dgm_test, a_length_above_the_bound_breaks_before_its_bytes_come) {
    make({}, 1000);
    say(std::string("\2ok\x43\xe9", 5));  // 1001
    EXPECT_TRUE(recv(text).ok());
    EXPECT_EQ(text, "ok");
    const io_result r = recv(text);
    EXPECT_EQ(r.status, io_status::broken);
    EXPECT_EQ(r.why.why, reason::oversize);
    turn();
    chain c;
    EXPECT_EQ(wire->recv(c, 1).status, io_status::broken) << "the peer must see it";
}

TEST_F(pipe_dgm_test, the_largest_length_of_all_is_only_oversize) {
    make();
    say("\xff\xff\xff\xff\xff\xff\xff\xff");
    EXPECT_EQ(recv(text).why.why, reason::oversize);
}

TEST_F(pipe_dgm_test, a_fin_at_any_byte_inside_is_truncated_and_between_is_a_fin) {
    const std::string stream("\2ab\x40\4cdef", 9);
    for (std::size_t n = 0; n <= stream.size(); ++n) {
        make();
        say(stream.substr(0, n));
        wire->send_fin();
        turn();
        const bool border = n == 0 || n == 3 || n == 9;
        io_result r;
        int whole = 0;
        while ((r = recv(text)).ok())
            ++whole;
        EXPECT_EQ(whole, n < 3 ? 0 : n < 9 ? 1 : 2);
        EXPECT_EQ(r.status, border ? io_status::fin : io_status::broken) << n;
        if (!border) {
            EXPECT_EQ(r.why.why, reason::truncated);
        }
        EXPECT_EQ(pipe->has(io_flag::fin_rcvd), border);
    }
}

// A greeting is a datagram of 22 bytes and then nonsense. Whatever that ends in, it is said what it
// was; and of nothing else.
TEST_F(pipe_dgm_test, a_tls_client_is_told_from_its_greeting) {
    const std::string greeting =
        std::string("\x16\3\1\0\x64\1\0\0\x60\3\3", 11) + std::string(12, 'r');
    const auto outcome = [&](std::string said, auto end) {
        make();
        say(said);
        EXPECT_TRUE(recv(text).ok());
        EXPECT_EQ(text, said.substr(1, 22));
        end();
        turn();
        while (recv(text).ok()) {
        }
        return pipe->why().why;
    };
    const auto oversize = [&] { say("\xff\xff\xff\xff\xff\xff\xff\xff"); };
    const auto cut = [&] { say("\x20"), wire->send_fin(); };
    const auto reset = [&] { wire->reset(); };
    EXPECT_EQ(outcome(greeting, oversize), reason::tls_wanted);
    EXPECT_EQ(outcome(greeting, cut), reason::tls_wanted);
    EXPECT_EQ(outcome(greeting, reset), reason::tls_wanted);
    EXPECT_EQ(outcome(greeting, [&] { wire->send_fin(); }), reason::none);
    EXPECT_EQ(outcome(greeting, [&] { pipe->reset(); }), reason::local_abort);
    for (const auto& [at, other] : {std::pair(1, '\2'), {2, '\4'}, {4, '\x63'}, {5, '\2'}}) {
        std::string close_to_it = greeting;
        close_to_it[static_cast<std::size_t>(at)] = other;
        EXPECT_EQ(outcome(close_to_it, oversize), reason::oversize) << at;
        EXPECT_EQ(outcome(close_to_it, cut), reason::truncated) << at;
    }
}

TEST_F(pipe_dgm_test, whole_datagrams_stay_readable_when_the_pipe_below_breaks) {
    make();
    say("\1a\1b\1c\5par");
    EXPECT_TRUE(recv(text).ok());
    wire->reset();
    turn();
    EXPECT_TRUE(pipe->has(io_flag::broken));
    EXPECT_EQ(pipe->why().why, reason::peer_reset);
    EXPECT_TRUE(recv(text).ok());
    EXPECT_TRUE(recv(text).ok());
    EXPECT_EQ(text, "c");
    EXPECT_EQ(recv(text).status, io_status::broken);
    EXPECT_EQ(recv(text).why.why, reason::peer_reset);
}

TEST_F(pipe_dgm_test, a_datagram_taken_in_part_is_all_taken_and_the_fin_follows_it) {
    make({.capacity = 10});
    turn();
    chain c;
    c.append_copy(loop.blocks(), bytes_of(std::string(50, 'x')));
    EXPECT_EQ(pipe->send(c).bytes, 50u);
    EXPECT_TRUE(c.empty());
    EXPECT_FALSE(pipe->has(io_flag::writable));
    c.append_copy(loop.blocks(), bytes_of("y"));
    EXPECT_EQ(pipe->send(c).status, io_status::again);
    EXPECT_EQ(c.size(), 1u);
    pipe->send_fin();
    turn();
    EXPECT_FALSE(pipe->has(io_flag::fin_sent));
    EXPECT_EQ(heard(), "\x32" + std::string(50, 'x'));
    turn();
    EXPECT_TRUE(pipe->has(io_flag::fin_sent));
    EXPECT_TRUE(wire->has(io_flag::fin_rcvd));
}

TEST(pipe_dgm_fault_test, fails_cleanly_at_every_call) {
    expect_clean_failure_at_every_call([](event_loop& loop, pipe_pair low) {
        return pipe_pair{make_dgm_pipe(loop, std::move(low.a)),
                         make_dgm_pipe(loop, std::move(low.b))};
    });
}

// The same bytes whatever the pieces: every seed cuts and delays elsewhere.
TEST(pipe_dgm_fault_test, carries_the_same_through_every_cutting) {
    for (const std::uint64_t seed : test_seeds(30)) {
        SCOPED_TRACE(seed_note(seed));
        event_loop loop;
        auto [low_a, low_b] = make_memory_pair(loop, {.capacity = 3000});
        const faults f{.seed = seed, .max_chunk = 1 + seed * 10, .again_one_in = 10, .delay = 0ns};
        auto a = make_checked_pipe(
            make_dgm_pipe(loop, make_checked_pipe(make_faulty_pipe(loop, std::move(low_a), f))));
        auto b = make_checked_pipe(
            make_dgm_pipe(loop, make_checked_pipe(make_faulty_pipe(loop, std::move(low_b), f))));
        const traffic up{seed, 50'000, 2000}, down{seed + 1000, 50'000, 2000};
        traffic_end end_a(loop, *a, {.out = up, .in = down});
        traffic_end end_b(loop, *b, {.out = down, .in = up});
        EXPECT_TRUE(wait_until(loop, [&] { return end_a.done() && end_b.done(); }))
            << end_a.story() << "\n"
            << end_b.story();
    }
}

}  // namespace
}  // namespace libp
