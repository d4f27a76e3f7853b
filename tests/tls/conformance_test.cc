// TLS keeps the contract of io_pipe.h over any pipe, and under any layer. (Below and above
// striping: tests/stripe_node.)

#include <gtest/gtest.h>

#include "support/pipe_conformance.h"
#include "support/tls_world.h"

namespace libp {
namespace {

const faults pieces{.seed = 7, .max_chunk = 3000, .again_one_in = 20};

std::vector<pair_maker> stacks() {
    if (!tls_world::shared().missing().empty()) return {};
    return {
        over_tls(over_checked(memory_pairs())),
        over_tls(over_checked(memory_pairs("memory_small", {.capacity = 100, .max_chunk = 17}))),
        over_tls(over_checked(tcp_pairs())),
        over_tls(unix_pairs()),
        over_tls(over_checked(over_faulty(tcp_pairs(), pieces))),
        over_dgm(over_checked(over_tls(tcp_pairs()))),
        over_tls(over_checked(over_tls(memory_pairs()))),
        over_tls(over_checked(over_dgm(tcp_pairs()))),
        over_tls(over_checked(over_dgm(tcp_pairs(), {.max_datagram = 1000}))),
        over_tls(over_checked(memory_pairs("memory_datagram", {.kind = io_kind::datagram}))),
    };
}

const bool registered = register_pipe_conformance(stacks());

TEST(tls_conformance, runs) {
    if (const std::string& why = tls_world::shared().missing(); !why.empty())
        GTEST_SKIP() << "TLS is untested: " << why;
    EXPECT_TRUE(registered);
}

}  // namespace
}  // namespace libp
