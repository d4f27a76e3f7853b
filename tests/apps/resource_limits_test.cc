#include <gtest/gtest.h>
#include <kit/resource_limits.h>
#include <libp/os.h>
#include <libp/pipe_tls.h>
#include <libp/types.h>

namespace libp::app {
namespace {

TEST(resource_limits, a_thousand_connections_where_there_is_room) {
    resource_limits l = limits_for({.max_memory = 256 * mib, .fds = 1 << 20, .splice = true});
    EXPECT_EQ(l.max_conns, 1000u);
    EXPECT_EQ(l.window, 65 * kib);
    EXPECT_EQ(l.plenty, 128 * mib);
    EXPECT_EQ(l.splice_pipes, os_has_splice ? 64u : 0u);
    EXPECT_EQ(l.warning, "");
}

TEST(resource_limits, everything_fits_the_descriptors_whatever_they_are) {
    for (std::size_t fds : {64u, 100u, 256u, 1024u, 2000u, 4096u}) {
        resource_limits l =
            limits_for({.max_memory = 256 * mib, .fds = fds, .reserved = 8, .splice = true});
        EXPECT_GE(l.max_conns, 10u) << fds;
        EXPECT_LE(2 * l.max_conns + 2 * l.splice_pipes + 28, fds);
        EXPECT_EQ(l.warning, "") << "the default is not a wish";
    }
}

TEST(resource_limits, a_wish_that_does_not_fit_is_cut_and_said_why) {
    resource_limits l = limits_for({.max_conns = 5000, .max_memory = 256 * mib, .fds = 1024});
    EXPECT_LT(l.max_conns, 512u);
    EXPECT_EQ(l.warning, "the descriptor limit is 1024");
    l = limits_for({.max_conns = 5000, .max_memory = 1 * mib, .fds = 1 << 20});
    EXPECT_EQ(l.max_conns, 32u);
    EXPECT_EQ(l.warning, "--max-memory is 1M");
}

TEST(resource_limits, all_windows_together_fit_the_memory) {
    for (std::size_t memory : {1 * mib, 16 * mib, 256 * mib, 1024 * mib})
        for (std::size_t conns : {0u, 1u, 10u, 1000u, 50000u}) {
            resource_limits l =
                limits_for({.max_conns = conns, .max_memory = memory, .fds = 1 << 20});
            EXPECT_LE(l.plenty + 2 * l.max_conns * l.window, memory);
            EXPECT_GE(l.window, 8 * kib);
            EXPECT_LE(l.window, 256 * kib);
        }
}

TEST(resource_limits, datagrams_that_have_not_come_as_a_whole_fit_the_memory) {
    const auto at = [](const char* text) { return std::get<stack_spec>(parse_stack(text)); };
    const stack_spec plain = at("tcp://a:1"), usual = at("dgm+tcp://a:1");
    EXPECT_EQ(datagram_memory(plain), 0u);
    EXPECT_EQ(datagram_memory(usual), 528 * kib);
    EXPECT_EQ(datagram_memory(at("dgm,max=64k+tls+tcp://a:1")), 80 * kib);
    EXPECT_EQ(datagram_memory(plain, usual), 528 * kib);
    EXPECT_EQ(datagram_memory(usual, usual), 4 * 528 * kib);
    const resource_limits l =
        limits_for({.max_memory = 8 * mib, .fds = 1 << 20, .overlay = 528 * kib});
    EXPECT_EQ(l.max_conns, 7u);
    EXPECT_LE(l.plenty + l.max_conns * (2 * l.window + 528 * kib), 8 * mib);
    EXPECT_FALSE(check_datagrams(2 * mib, 8 * mib));
    EXPECT_EQ(check_datagrams(3 * mib, 8 * mib)->what,
              "a connection's datagrams need 3M, more than a quarter of --max-memory");
}

TEST(resource_limits, what_tls_holds_comes_off_the_memory_first) {
    for (std::size_t memory : {1 * mib, 16 * mib, 256 * mib, 1024 * mib})
        for (std::size_t listeners : {0u, 1u, 3u})
            for (std::size_t subflows : {std::size_t{0}, std::size_t{64}, std::size_t(-1)}) {
                const tls_limits t = tls_limits_for({.max_memory = memory,
                                                     .listeners = listeners,
                                                     .subflows = subflows,
                                                     .per_conn = 2});
                EXPECT_LE(t.memory, memory / 2);
                EXPECT_EQ(t.strangers > 0, listeners > 0);
                EXPECT_EQ(t.subflows > 0, subflows > 0);
                if (memory >= 16 * mib) {
                    const std::size_t doors = std::max<std::size_t>(listeners, 1);
                    EXPECT_LE(listeners * t.strangers * tls_handshake_memory +
                                  doors * t.subflows * tls_open_memory,
                              t.memory);
                }
                const resource_limits l = limits_for(
                    {.max_memory = memory - t.memory, .fds = 1 << 20, .overlay = t.overlay});
                EXPECT_LE(t.memory + l.plenty + l.max_conns * (2 * l.window + t.overlay), memory);
                EXPECT_GE(l.window, 8 * kib);
            }
    EXPECT_EQ(tls_limits_for({.max_memory = 256 * mib, .listeners = 1}).strangers, 64u);
    EXPECT_EQ(tls_limits_for({.max_memory = 256 * mib, .subflows = 64}).subflows, 64u);
    EXPECT_EQ(tls_limits_for({.max_memory = 256 * mib}).memory, 0u);
}

TEST(resource_limits, there_is_always_one_connection) {
    EXPECT_EQ(limits_for({.max_memory = mib, .fds = 5, .splice = true}).max_conns, 1u);
}

}  // namespace
}  // namespace libp::app
