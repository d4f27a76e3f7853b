#include <libp/io_connector.h>

#include <gtest/gtest.h>

#include <filesystem>
#include <future>
#include <optional>

namespace libp {
namespace {

constexpr duration patience = 10s;

// Longer than a label may be: no name server need be asked to know that there is none.
constexpr const char* no_such_name =
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.invalid:80";

class connector : public ::testing::Test {
  protected:
    using outcome = result<std::unique_ptr<io_pipe>>;

    io_connector::done on_done() { return io_connector::done::to<&connector::note>(*this); }
    void note(outcome r) {
        ++calls;
        got.emplace(std::move(r));
        if (destroy_when_done) connecting.reset();
    }
    void connect(std::string_view to, const connector_options& options = {}) {
        result<endpoint> e = endpoint::parse(to);
        ASSERT_TRUE(e) << to;
        connecting = std::make_unique<io_connector>(loop, names, *e, options, on_done());
    }
    void connect(std::vector<socket_address> to, const connector_options& options = {}) {
        connecting = std::make_unique<io_connector>(loop, std::move(to), options, on_done());
    }
    void run() {
        EXPECT_EQ(calls, 0) << "called before the loop ran";
        auto give_up = std::chrono::steady_clock::now() + patience;
        while (calls == 0 && std::chrono::steady_clock::now() < give_up)
            loop.turn(loop.now() + 20ms);
        ASSERT_EQ(calls, 1);
    }
    error failure() const { return got && !*got ? got->error() : error{}; }

    static socket_address at(std::string_view text) { return *socket_address::parse(text); }
    // A loopback port that nobody listens on.
    static socket_address closed_port() {
        return local_address(listen_on(at("127.0.0.1:0"))->get());
    }

    resolver names;
    event_loop loop;
    std::unique_ptr<io_connector> connecting;
    std::optional<outcome> got;
    int calls = 0;
    bool destroy_when_done = false;
};

// Listens, and answers nobody: the backlog is full, so that a connect hangs.
struct deaf_listener {
    explicit deaf_listener(const socket_address& on) : fd(listen_on(on, {.backlog = 0})) {
        for (int i = 0; fd && i < 4; ++i)
            if (auto filler = start_connect(local_address(fd->get())))
                fillers.push_back(std::move(*filler));
    }
    socket_address address() const { return local_address(fd->get()); }

    result<unique_fd> fd;
    std::vector<unique_fd> fillers;
};

struct temporary_path {
    temporary_path() {
        std::string name = (std::filesystem::temp_directory_path() / "libp-XXXXXX").string();
        folder = mkdtemp(name.data()) ? name : "";
        path = folder + "/sock";
    }
    ~temporary_path() {
        std::error_code ignored;  // a left-over folder in /tmp fails no test
        std::filesystem::remove_all(folder, ignored);
    }
    std::string folder, path;
};

TEST_F(connector, connects_to_a_numeric_address) {
    auto listener = listen_on(at("127.0.0.1:0"));
    ASSERT_TRUE(listener);
    connect(local_address(listener->get()).to_string());
    EXPECT_EQ(connecting->connected_to().family(), address_family::none);
    run();
    ASSERT_TRUE(*got) << to_string(failure());
    io_pipe& pipe = ***got;
    EXPECT_TRUE(pipe.has(io_flag::ready) && pipe.has(io_flag::writable));
    EXPECT_EQ(connecting->connected_to(), local_address(listener->get()));
    EXPECT_EQ(describe(pipe), "tcp " + connecting->connected_to().to_string());
    EXPECT_EQ(accept_from(listener->get()).status, io_status::ok);
}

TEST_F(connector, connects_by_name) {
    auto listener = listen_on(at("127.0.0.1:0"));
    ASSERT_TRUE(listener);
    connect("localhost:" + std::to_string(local_address(listener->get()).port()));
    run();
    ASSERT_TRUE(*got) << to_string(failure());
    EXPECT_EQ(connecting->connected_to(), local_address(listener->get()));
}

TEST_F(connector, connects_to_ipv6) {
    auto listener = listen_on(at("[::1]:0"), {.v6_only = true});
    if (!listener) GTEST_SKIP() << "no IPv6 loopback here";
    connect(local_address(listener->get()).to_string());
    run();
    ASSERT_TRUE(*got) << to_string(failure());
    EXPECT_EQ(connecting->connected_to().family(), address_family::ipv6);
}

TEST_F(connector, connects_to_a_unix_path) {
    temporary_path where;
    auto listener = listen_on(at(where.path));
    ASSERT_TRUE(listener);
    connect(where.path);
    run();
    ASSERT_TRUE(*got) << to_string(failure());
    EXPECT_EQ(connecting->connected_to().path(), where.path);
}

TEST_F(connector, is_refused) {
    connect(closed_port().to_string());
    run();
    EXPECT_EQ(failure().why, reason::refused);
}

TEST_F(connector, a_unix_path_without_a_listener_refuses) {
    temporary_path where;
    connect(where.path);
    run();
    EXPECT_EQ(failure().why, reason::refused);
}

TEST_F(connector, a_name_without_an_address_is_told_as_such) {
    connect(no_such_name);
    run();
    EXPECT_EQ(failure().why, reason::resolve_failed);
    EXPECT_NE(failure().os_errno, 0);
}

// -- addresses that are not to be tried -----------------------------------------------------------

TEST_F(connector, dials_only_what_is_admitted) {
    auto listener = listen_on(at("127.0.0.1:0"));
    ASSERT_TRUE(listener);
    const socket_address open = local_address(listener->get());
    std::vector<std::string> asked;
    const auto admit = [&](const socket_address& a) {
        asked.push_back(a.to_string());
        return a == open;
    };
    const socket_address closed = closed_port();
    connect({closed, open}, {.admit = delegate<bool(const socket_address&)>::of(admit)});
    run();
    ASSERT_TRUE(*got) << "the first address would have refused: " << to_string(failure());
    EXPECT_EQ(connecting->connected_to(), open);
    EXPECT_EQ(asked, (std::vector{closed.to_string(), open.to_string()}));
}

// However it is written: what the resolver makes of it is what counts.
TEST_F(connector, what_is_not_admitted_is_not_dialled) {
    auto listener = listen_on(at("127.0.0.1:0"));
    ASSERT_TRUE(listener);
    const std::string port = std::to_string(local_address(listener->get()).port());
    const auto admit = [](const socket_address& a) { return !a.is_loopback(); };
    for (const char* host : {"127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1"}) {
        SCOPED_TRACE(host);
        connect(host + (":" + port), {.admit = delegate<bool(const socket_address&)>::of(admit)});
        run();
        EXPECT_EQ(failure(), error{reason::not_allowed});
        connecting.reset();
        got.reset();
        calls = 0;
    }
    EXPECT_EQ(accept_from(listener->get()).status, io_status::again) << "somebody came";
}

// -- one timeout for all of it --------------------------------------------------------------------

TEST_F(connector, times_out_on_who_does_not_answer) {
    deaf_listener deaf(at("127.0.0.1:0"));
    connect(deaf.address().to_string(), {.timeout = 100ms});
    instant begun = loop.now();
    run();
    EXPECT_EQ(failure().why, reason::timed_out);
    EXPECT_GE(loop.now() - begun, 100ms);
    EXPECT_LT(loop.now() - begun, 5s);
}

TEST_F(connector, a_connect_may_have_less_time_than_the_whole) {
    deaf_listener deaf(at("127.0.0.1:0"));
    connect(deaf.address().to_string(), {.timeout = 1h, .connect_within = 100ms});
    instant begun = loop.now();
    run();
    EXPECT_EQ(failure().why, reason::timed_out);
    EXPECT_GE(loop.now() - begun, 100ms);
    EXPECT_LT(loop.now() - begun, 5s);
}

TEST_F(connector, times_out_on_a_resolver_that_hangs) {
    resolver busy(1);
    std::promise<void> release;
    // Its only worker is inside this callback for as long as the test wants.
    const auto asked =
        busy.resolve("127.0.0.1", "80", false,
                     [hold = release.get_future().share()](resolver::answer) { hold.wait(); });
    connecting = std::make_unique<io_connector>(loop, busy, *endpoint::parse("localhost:80"),
                                                connector_options{.timeout = 50ms}, on_done());
    run();
    EXPECT_EQ(failure().why, reason::timed_out);
    release.set_value();
}

TEST_F(connector, leaves_no_name_behind_when_it_goes) {
    resolver busy(1);
    std::promise<void> release;
    std::promise<void> begun;
    const auto asked = busy.resolve("127.0.0.1", "80", false,
                                    [&, hold = release.get_future().share()](resolver::answer) {
                                        begun.set_value();
                                        hold.wait();
                                    });
    begun.get_future().wait();
    connecting = std::make_unique<io_connector>(loop, busy, *endpoint::parse("localhost:80"),
                                                connector_options{}, on_done());
    loop.turn(loop.now());
    EXPECT_EQ(busy.waiting(), 1u);
    connecting.reset();
    EXPECT_EQ(busy.waiting(), 0u);
    release.set_value();
}

TEST_F(connector, times_out_on_a_full_unix_backlog) {
    temporary_path where;
    deaf_listener deaf(at(where.path));
    connect(where.path, {.timeout = 100ms});
    run();
    EXPECT_EQ(failure().why, reason::timed_out);
    EXPECT_LT(loop.turns(), 100u) << "it spins";
}

TEST_F(connector, gets_in_when_a_full_unix_backlog_empties) {
    temporary_path where;
    deaf_listener deaf(at(where.path));
    connect(where.path);
    loop.turn(loop.now() + 1ms);
    loop.turn(loop.now() + 1ms);
    ASSERT_EQ(calls, 0);
    while (accept_from(deaf.fd->get()).status == io_status::ok) {
    }
    run();
    EXPECT_TRUE(*got) << to_string(failure());
}

// -- Happy Eyeballs -------------------------------------------------------------------------------

TEST_F(connector, the_next_address_is_tried_at_once_when_one_refuses) {
    auto listener = listen_on(at("127.0.0.1:0"));
    ASSERT_TRUE(listener);
    socket_address open = local_address(listener->get());
    connect({closed_port(), closed_port(), open}, {.stagger = 1h});
    run();
    ASSERT_TRUE(*got) << to_string(failure());
    EXPECT_EQ(connecting->connected_to(), open);
}

TEST_F(connector, a_silent_address_delays_the_next_by_the_stagger_alone) {
    deaf_listener deaf(at("127.0.0.1:0"));
    auto listener = listen_on(at("127.0.0.1:0"));
    ASSERT_TRUE(listener);
    socket_address open = local_address(listener->get());
    connect({deaf.address(), open}, {.stagger = 80ms});
    instant begun = loop.now();
    run();
    ASSERT_TRUE(*got) << to_string(failure());
    EXPECT_EQ(connecting->connected_to(), open);
    EXPECT_GE(loop.now() - begun, 80ms);
}

TEST_F(connector, a_slow_address_may_still_win) {
    temporary_path where;
    deaf_listener deaf(at("127.0.0.1:0"));
    connect({deaf.address(), closed_port()}, {.stagger = 10ms});
    for (int i = 0; i < 5; ++i)
        loop.turn(loop.now() + 10ms);
    ASSERT_EQ(calls, 0) << "the other's refusal is not the end";
    while (accept_from(deaf.fd->get()).status == io_status::ok) {
    }
    run();  // the kernel asks again after a second
    EXPECT_TRUE(*got) << to_string(failure());
}

TEST_F(connector, the_first_addresss_error_is_reported) {
    socket_address nowhere;  // not an address at all: invalid
    connect({closed_port(), nowhere});
    run();
    EXPECT_EQ(failure().why, reason::refused);
    calls = 0;
    connect({nowhere, closed_port()});
    run();
    EXPECT_EQ(failure().why, reason::invalid);
}

// -- going away -----------------------------------------------------------------------------------

TEST_F(connector, destroyed_it_calls_nobody) {
    deaf_listener deaf(at("127.0.0.1:0"));
    auto listener = listen_on(at("127.0.0.1:0"));
    for (const std::string& to :
         {deaf.address().to_string(), local_address(listener->get()).to_string(),
          std::string("localhost:80")})
        for (int turns : {0, 1}) {
            SCOPED_TRACE(to + " after " + std::to_string(turns));
            connect(to);
            for (int i = 0; i < turns; ++i)
                loop.turn(loop.now());
            int before = calls;
            connecting.reset();
            for (int i = 0; i < 5; ++i)
                loop.turn(loop.now() + 5ms);
            EXPECT_EQ(calls, before);
            calls = 0;
        }
}

TEST_F(connector, may_be_destroyed_by_its_own_news) {
    destroy_when_done = true;
    auto listener = listen_on(at("127.0.0.1:0"));
    for (const std::string& to :
         {local_address(listener->get()).to_string(), closed_port().to_string(),
          std::string("localhost:1"), std::string(no_such_name)}) {
        SCOPED_TRACE(to);
        connect(to);
        run();
        EXPECT_FALSE(connecting);
        calls = 0;
    }
}

// The answer comes when the connector is gone, and when even its loop is.
TEST(connector_lifetime, a_late_answer_finds_nobody) {
    for (int round = 0; round < 50; ++round) {
        resolver names(1);
        std::promise<void> release;
        const auto asked =
            names.resolve("127.0.0.1", "80", false,
                          [hold = release.get_future().share()](resolver::answer) { hold.wait(); });
        auto never_called = [](result<std::unique_ptr<io_pipe>>) { FAIL(); };
        {
            event_loop loop;
            io_connector c(loop, names, *endpoint::parse("localhost:80"), {},
                           io_connector::done::of(never_called));
            loop.turn(loop.now());  // it asks
            if (round % 2) release.set_value();
            if (round % 4 == 3) loop.turn(loop.now());
        }
        if (round % 2 == 0) release.set_value();
    }
}

}  // namespace
}  // namespace libp
