// Goal: whatever is sent arrives, exact and in order, both ways at once, through every kind of
// relay over IPv4, IPv6 and UNIX sockets, in chunks of odd sizes, and each direction ends when its
// sender ends it.

#include <e2e/testbed.h>
#include <e2e/traffic.h>

#include <gtest/gtest.h>

namespace libp::e2e {
namespace {

constexpr std::uint64_t bulk = debug_build ? 4 * mib : 32 * mib;

TEST(bytes, are_exact_over_every_route) {
    for (const route& via : every_route()) {
        // One after another: each has the machine to itself, and a stall shows.
        on_every_route({via}, {}, [](testbed& bed) {
            expect_exact_traffic(bed.address(), bed.server(), {.bytes = bulk, .seed = 1});
        });
    }
}

TEST(bytes, are_exact_on_many_connections_at_once) {
    on_every_route(every_kind(), {}, [](testbed& bed) {
        expect_exact_traffic(bed.address(), bed.server(),
                             {.connections = 50, .bytes = bulk / 50 + 7, .seed = 2});
    });
}

TEST(bytes, are_exact_through_a_chain_of_relays) {
    on_every_route({{relay_kind::raw}}, {}, [](testbed& last) {
        auto far = start_far(relay_kind::striped, "127.0.0.1:0", last.address());
        auto near = start_near(relay_kind::striped, "127.0.0.1:0", far->address());
        auto first = start_far(relay_kind::raw, "127.0.0.1:0", near->address());
        expect_exact_traffic(first->address(), last.server(),
                             {.connections = 3, .bytes = bulk / 2, .seed = 3});
    });
}

// Datagrams of every size that --max-datagram allows are the same bytes in the end.
TEST(bytes, are_exact_in_small_datagrams) {
    on_every_route({{relay_kind::datagram}}, {.args = {"--max-datagram", "1k"}}, [](testbed& bed) {
        expect_exact_traffic(bed.address(), bed.server(), {.bytes = bulk / 8, .seed = 4});
    });
}

}  // namespace
}  // namespace libp::e2e
