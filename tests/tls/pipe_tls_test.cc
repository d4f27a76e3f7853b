// A connection over pipes of all sorts: its troubles, its ends, and what it costs.

#include <libp/shared_library.h>

#include <algorithm>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "support/byte_traffic.h"
#include "support/fault_run.h"
#include "tls/tls_ends.h"
#include "tls_wire.h"

namespace libp {
namespace {

using pipe_tls_test = tls_ends;

// -- trouble --------------------------------------------------------------------------------------

TEST_F(pipe_tls_test, a_peer_that_says_nothing_is_given_up) {
    auto [low, silent] = make_memory_pair(loop);
    auto pipe = make_checked_pipe(
        make_tls_pipe(loop, std::move(low), world.key_server(), {.handshake_timeout = 10ms}));
    listener wake(*pipe);
    EXPECT_TRUE(wait_until(loop, [&] { return pipe->has(io_flag::broken); }));
    EXPECT_EQ(pipe->why().why, reason::handshake_timeout);
    EXPECT_TRUE(silent->has(io_flag::broken));
}

TEST_F(pipe_tls_test, a_peer_that_speaks_no_tls_is_told_from_one_that_breaks_it) {
    for (const std::string& said : {std::string("GET / HTTP/1.0\r\n\r\n"),
                                    std::string("SSH-2.0-OpenSSH\r\n"), std::string(100, '\0')}) {
        auto [low, stranger] = make_memory_pair(loop);
        auto pipe = make_checked_pipe(make_tls_pipe(loop, std::move(low), world.key_server()));
        listener wake(*pipe);
        chain c;
        c.append_copy(loop.blocks(), bytes_of(said));
        EXPECT_TRUE(stranger->send(c).ok());
        EXPECT_TRUE(wait_until(loop, [&] { return pipe->has(io_flag::broken); }));
        EXPECT_EQ(pipe->why().why, reason::no_tls) << to_string(pipe->why());
    }
    auto [low, stranger] = make_memory_pair(loop);
    auto pipe = make_checked_pipe(make_tls_pipe(loop, std::move(low), world.key_client()));
    listener wake(*pipe);
    chain c;
    c.append_copy(loop.blocks(), bytes_of(std::string("SSH-2.0-OpenSSH\r\n")));
    EXPECT_TRUE(stranger->send(c).ok());
    EXPECT_TRUE(wait_until(loop, [&] { return pipe->has(io_flag::broken); }));
    EXPECT_EQ(pipe->why().why, reason::no_tls) << to_string(pipe->why());
}

// Between the two ends: passes bytes on up to a limit, then does something to them.
struct tampering {
    tampering(event_loop& l, std::unique_ptr<io_pipe> left, std::unique_ptr<io_pipe> right)
        : loop(l), a(std::move(left)), b(std::move(right)) {
        a->attach(io_handler::to<&tampering::on_pipe>(*this));
        b->attach(io_handler::to<&tampering::on_pipe>(*this));
    }
    void on_pipe(io_flags) {
        pass(*b, *a, nullptr);
        pass(*a, *b, &passed);
    }
    void pass(io_pipe& from, io_pipe& to, std::size_t* count) {
        while (from.has(io_flag::readable) && !cut) {
            chain c;
            const io_result r =
                from.recv(c, count ? std::min<std::size_t>(limit - passed, 4096) : 4096);
            if (r.status == io_status::again) return;
            if (r.status == io_status::fin) return to.send_fin();
            if (r.status == io_status::broken) return to.reset();
            if (count) *count += r.bytes;
            if (count && flip && passed == limit) {
                std::string text = c.to_string();
                text.back() = static_cast<char>(text.back() ^ flip);
                c.clear();
                c.append_copy(loop.blocks(), bytes_of(text));
                limit = static_cast<std::size_t>(-1);
                flip = 0;
            }
            EXPECT_NE(to.send(c).status, io_status::broken);
            if (count && passed == limit) {
                cut = true;
                to.send_fin();
            }
        }
    }

    event_loop& loop;
    std::unique_ptr<io_pipe> a, b;
    std::size_t limit = static_cast<std::size_t>(-1);  // of bytes from a to b
    std::size_t passed = 0;
    std::uint8_t flip = 0;  // bits of the last byte within the limit; 0: the stream ends there
    bool cut = false;
};

struct tampered_test : pipe_tls_test {
    // A transfer of three records and a FIN, with trouble at byte `limit` of what the client sends.
    // True: nothing happened.
    bool transfer(std::size_t limit, std::uint8_t flip) {
        auto [low_a, mid_a] = make_memory_pair(loop);
        auto [mid_b, low_b] = make_memory_pair(loop);
        tampering between(loop, std::move(mid_a), std::move(mid_b));
        between.limit = limit;
        between.flip = flip;
        // A length that was made greater is waited for.
        const tls_pipe_options patience{.handshake_timeout = flip ? duration(200ms) : 5s};
        client =
            make_checked_pipe(make_tls_pipe(loop, std::move(low_a), world.key_client(), patience));
        server =
            make_checked_pipe(make_tls_pipe(loop, std::move(low_b), world.key_server(), patience));
        const traffic up{3, 36, 12}, down{4, 0};
        traffic_end a(loop, *client, {.out = up, .in = down});
        traffic_end b(loop, *server, {.out = down, .in = up});
        EXPECT_TRUE(wait_until(loop, [&] {
            return b.done() || b.break_received() || server->has(io_flag::broken);
        })) << b.story();
        loop.turn(loop.now());
        EXPECT_EQ(b.sink().fault(), "");
        EXPECT_TRUE(!b.fin_received() || b.sink().complete()) << "a cut stream looked finished";
        why = server->why();
        whole = between.passed;
        const bool well = b.done();
        client.reset();
        server.reset();
        return well;
    }
    error why;
    std::size_t whole = 0;
};

TEST_F(tampered_test, a_cut_at_any_byte_is_a_break) {
    std::size_t at = 0;
    int missing = 0;
    for (;; ++at) {
        ASSERT_LT(at, 5000u);
        if (transfer(at + 1, 0)) break;
        EXPECT_TRUE(why) << at;
        if (why.why == reason::missing_close) ++missing;
    }
    EXPECT_GT(at, 300u);
    EXPECT_GT(missing, 36) << "behind the handshake every cut is one without close_notify";
}

TEST_F(tampered_test, a_flipped_bit_anywhere_is_a_break_or_nothing) {
    ASSERT_TRUE(transfer(static_cast<std::size_t>(-1), 0));
    const std::size_t all = whole;
    int broke = 0;
    for (std::size_t at = 1; at <= all; ++at) {
        if (!transfer(at, static_cast<std::uint8_t>(1u << (at % 8)))) ++broke;
    }
    // A few bytes of record headers and of the greeting mean nothing.
    EXPECT_GT(broke, static_cast<int>(all) * 9 / 10) << "of " << all;
}

TEST_F(pipe_tls_test, fails_cleanly_at_every_call) {
    expect_clean_failure_at_every_call([this](event_loop& on, pipe_pair low) {
        return pipe_pair{make_tls_pipe(on, std::move(low.a), world.key_client()),
                         make_tls_pipe(on, std::move(low.b), world.key_server())};
    });
}

// A peer of OpenSSL's own functions, for what no pipe of ours does.
struct raw_client {
    raw_client(event_loop& l, std::unique_ptr<io_pipe> low, const tls_credentials& by)
        : loop(l), wire(l, std::move(low)), notes{.by = by, .transport = wire} {
        const tls_call_scope scope(notes);
        ssl = by.call().SSL_new(by.settings());
        bio_st* bio = by.call().BIO_new(by.transport());
        by.call().BIO_set_init(bio, 1);
        by.call().SSL_set_bio(ssl, bio, bio);
        by.call().SSL_set_connect_state(ssl);
        wire.lower().attach(io_handler::to<&raw_client::on_pipe>(*this));
    }
    ~raw_client() {
        const tls_call_scope scope(notes);
        notes.by.call().SSL_free(ssl);
    }
    void on_pipe(io_flags) {}
    bool shake() {
        const tls_call_scope scope(notes);
        wire.allow(64 * kib);
        const bool done = notes.by.call().SSL_do_handshake(ssl) == 1;
        return !wire.flush() && done;
    }
    void say(std::string_view text) {
        const tls_call_scope scope(notes);
        std::size_t taken = 0;
        EXPECT_EQ(notes.by.call().SSL_write_ex(ssl, text.data(), text.size(), &taken), 1);
    }
    // Not among the functions that the product needs.
    void update_keys(int times) {
        std::string why;
        const auto library = shared_library::open("libssl.so.3", why);
        const auto update =
            reinterpret_cast<int (*)(ssl_st*, int)>(library.symbol("SSL_key_update"));
        if (!update) GTEST_SKIP() << why;
        const tls_call_scope scope(notes);
        for (int i = 0; i < times; ++i) {
            ASSERT_EQ(update(ssl, 0), 1);
            ASSERT_EQ(notes.by.call().SSL_do_handshake(ssl), 1);
        }
    }

    event_loop& loop;
    tls_wire wire;
    tls_notes notes;
    ssl_st* ssl = nullptr;
};

// What means nothing to the consumer is work nevertheless, and a peer may send of it what it likes.
TEST_F(pipe_tls_test, a_storm_of_key_updates_does_not_hold_the_loop) {
    auto pair = make_memory_pair(loop, {.capacity = 2 * mib});
    raw_client raw(loop, std::move(pair.first), world.key_client());
    server = make_checked_pipe(make_tls_pipe(loop, std::move(pair.second), world.key_server()));
    listener wake(*server);
    ASSERT_TRUE(wait_until(loop, [&] { return raw.shake() && server->has(io_flag::ready); }));
    raw.update_keys(30'000);
    if (IsSkipped()) return;
    raw.say("after all");
    ASSERT_FALSE(raw.wire.flush());
    int turns = 0;
    for (; turns < 1000 && !server->has(io_flag::readable); ++turns)
        loop.turn(loop.now());
    EXPECT_GT(turns, 20) << "30,000 key updates in one go";
    chain c;
    EXPECT_TRUE(server->recv(c, 100).ok());
    EXPECT_EQ(c.to_string(), "after all");
    server->attach({});
}

// -- over datagrams -------------------------------------------------------------------------------

TEST_F(pipe_tls_test, datagrams_below_are_as_full_as_they_may_be) {
    auto [low_a, low_b] = make_memory_pair(loop, {.kind = io_kind::datagram, .max_datagram = 700});
    client = make_checked_pipe(make_tls_pipe(loop, std::move(low_a), world.key_client()));
    const traffic t{8, 100'000};
    traffic_end end(loop, *client, {.out = t, .in = {8, 0}});
    server = make_checked_pipe(make_tls_pipe(loop, std::move(low_b), world.key_server()));
    traffic_end far(loop, *server, {.out = {8, 0}, .in = t});
    EXPECT_TRUE(wait_until(loop, [&] { return end.done() && far.done(); }))
        << end.story() << far.story();
}

TEST_F(pipe_tls_test, a_datagram_without_a_byte_is_no_part_of_a_stream) {
    auto pair = make_memory_pair(loop, {.kind = io_kind::datagram});
    io_pipe& stranger = *pair.second;
    auto pipe = make_checked_pipe(make_tls_pipe(loop, std::move(pair.first), world.key_server()));
    listener wake(*pipe);
    ASSERT_TRUE(wait_until(loop, [&] { return stranger.has(io_flag::writable); }));
    chain nothing;
    EXPECT_TRUE(stranger.send(nothing).ok());
    EXPECT_TRUE(wait_until(loop, [&] { return pipe->has(io_flag::broken); }));
    EXPECT_EQ(pipe->why().why, reason::protocol_error) << to_string(pipe->why());
    EXPECT_TRUE(stranger.has(io_flag::broken));
}

// -- the end --------------------------------------------------------------------------------------

// A peer that says close_notify and then leaves the connection open: the end is not waited for for
// ever.
TEST_F(pipe_tls_test, finishes_though_the_pipe_below_stays_open) {
    auto [low_a, mid_a] = make_memory_pair(loop);
    auto [mid_b, low_b] = make_memory_pair(loop);
    struct no_fin {
        io_pipe &a, &b;
        void on_pipe(io_flags) {
            pass(a, b);
            pass(b, a);
        }
        static void pass(io_pipe& from, io_pipe& to) {
            chain c;
            while (from.has(io_flag::readable) && from.recv(c, 4096).ok())
                EXPECT_TRUE(to.send(c).ok());
        }
    } between{*mid_a, *mid_b};
    mid_a->attach(io_handler::to<&no_fin::on_pipe>(between));
    mid_b->attach(io_handler::to<&no_fin::on_pipe>(between));
    auto a = make_checked_pipe(make_tls_pipe(loop, std::move(low_a), world.key_client()));
    auto b = make_checked_pipe(make_tls_pipe(loop, std::move(low_b), world.key_server()));
    const traffic t{6, 1000};
    traffic_end end_a(loop, *a, {.out = t, .in = t}), end_b(loop, *b, {.out = t, .in = t});
    EXPECT_TRUE(wait_until(loop, [&] { return end_a.done() && end_b.done(); }))
        << end_a.story() << end_b.story();
}

TEST_F(pipe_tls_test, what_waits_below_is_bounded_by_what_was_asked_for) {
    auto [low_a, low_b] = make_memory_pair(loop, {.capacity = 1000});
    auto a = make_tls_pipe(loop, std::move(low_a), world.key_client());
    auto b = make_tls_pipe(loop, std::move(low_b), world.key_server());
    a->keep_unsent(16 * kib);
    const traffic t{7, 1 * mib};
    traffic_end end_a(loop, *a, {.out = t}), end_b(loop, *b, {.in = t, .receive = false});
    EXPECT_TRUE(settle(loop, [&] { return a->has(io_flag::ready) && !a->has(io_flag::writable); }));
    // A batch here; what the far end took in and decrypted without being asked; the pipe between.
    EXPECT_LE(end_a.sent(), (16 + 16 + 64) * kib);
    end_b.start_receiving();
    end_a.finish();
    EXPECT_TRUE(wait_until(loop, [&] { return end_b.sink().complete(); })) << end_b.story();
}

TEST_F(pipe_tls_test, its_credentials_know_how_many_pipes_there_are) {
    EXPECT_EQ(world.key_server().pipes(), 0u);
    connect(world.key_client(), world.key_server());
    EXPECT_EQ(world.key_server().pipes(), 1u);
    server.reset();
    EXPECT_EQ(world.key_server().pipes(), 0u);
}

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// What is counted for OpenSSL's memory is enough.
struct tls_memory_test : pipe_tls_test {
    static constexpr std::size_t pipes = 50;

    void TearDown() override { all.clear(); }
    static std::size_t in_use() {
        const auto now = mallinfo2();
        return now.uordblks + now.hblkhd;
    }
    void turn() {
        for (int i = 0; i < 20; ++i)
            loop.turn(loop.now());
    }
    // Per pipe, since `before`, without what the test's own pipes hold.
    std::size_t since(std::size_t before, std::size_t of = 1) {
        const std::size_t used = now();
        return (used - std::min(used, before)) / pipes / of;
    }
    std::size_t now() {
        loop.blocks().trim();
        return in_use() - loop.blocks().in_use();
    }
    void make_low() {
        for (std::size_t i = 0; i < pipes; ++i) {
            auto [a, b] = make_memory_pair(loop);
            low.push_back({std::move(a), std::move(b)});
        }
        turn();
    }
    void put(std::unique_ptr<io_pipe> lower, const tls_credentials& by) {
        all.push_back(make_tls_pipe(loop, std::move(lower), by, {.name = "localhost"}));
    }

    std::vector<pipe_pair> low;
    std::vector<std::unique_ptr<io_pipe>> all;
};

TEST_F(tls_memory_test, of_open_connections) {
    tls_options c = world.client(), s = world.server();
    c.certificate = world.file("client.pem");
    c.private_key = world.file("client.key");
    s.client_authorities = world.file("authority.pem");
    client_credentials = world.make(c);
    server_credentials = world.make(s);
    make_low();
    const std::size_t before = now();
    for (pipe_pair& p : low) {
        put(std::move(p.a), *client_credentials);
        put(std::move(p.b), *server_credentials);
    }
    ASSERT_TRUE(wait_until(loop, [&] {
        return std::ranges::all_of(all, [](auto& p) { return p->has(io_flag::ready); });
    }));
    turn();
    EXPECT_LT(since(before, 2), tls_open_memory - 17 * kib) << "a record in part takes that much";
    EXPECT_GT(since(before, 2), 5 * kib) << "so this is no longer measured";
    RecordProperty("idle_bytes", static_cast<int>(since(before, 2)));
}

TEST_F(tls_memory_test, of_strangers) {
    make_low();
    const std::size_t before = now();
    for (pipe_pair& p : low)
        put(std::move(p.b), world.key_server());
    turn();
    EXPECT_LT(since(before), 16 * kib) << "a client that says nothing";
    // The longest greeting there is, and a full record of it.
    std::string greeting(5 + 0x3fff, 0);
    greeting.replace(0, 9, std::string("\x16\3\1\x3f\xff\1\2\1\x40", 9));
    for (pipe_pair& p : low) {
        chain said;
        said.append_copy(loop.blocks(), bytes_of(greeting));
        EXPECT_TRUE(p.a->send(said).ok());
    }
    turn();
    EXPECT_FALSE(all[0]->has(io_flag::broken));
    EXPECT_LT(since(before), tls_handshake_memory);
    EXPECT_GT(since(before), 128 * kib) << "so this is no longer measured";
}
#endif

TEST_F(pipe_tls_test, describes_itself) {
    connect(world.key_client(), world.key_server());
    EXPECT_EQ(describe(*client).find("tls < tcp 127.0.0.1:"), 0u) << describe(*client);
}

}  // namespace
}  // namespace libp
