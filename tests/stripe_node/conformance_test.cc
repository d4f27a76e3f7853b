// A stream over any subflows keeps the contract of io_pipe.h, and keeps to it towards the pipes
// below.

#include <gtest/gtest.h>
#include <libp/stripe/node.h>

#include <utility>

#include "support/forwarding_pipe.h"
#include "support/pipe_conformance.h"
#include "support/tls_world.h"

namespace libp::stripe {
namespace {

// Two nodes that live as long as either end of the stream between them.
struct joined_nodes {
    joined_nodes(event_loop& loop, std::size_t subflows, const pair_maker& lower)
        : client(loop, out, {}),
          server(loop, out, {}, node::stream_handler::to<&joined_nodes::on_stream>(*this)) {
        for (std::size_t i = 0; i < subflows; ++i) {
            pipe_pair p = lower.make(loop);
            client.adopt(std::move(p.a), {});
            server.adopt(std::move(p.b), {});
        }
    }
    void on_stream(std::unique_ptr<stream_pipe> s, const open_request&) {
        s->accept();
        accepted = std::move(s);
    }

    log out;
    node client, server;
    std::unique_ptr<stream_pipe> accepted;
};

struct nodes_share {
    std::shared_ptr<joined_nodes> nodes;
};

// The share is the first base: it goes when the pipe has gone.
class end_of_nodes final : nodes_share, public forwarding_pipe {
  public:
    end_of_nodes(std::unique_ptr<io_pipe> pipe, std::shared_ptr<joined_nodes> of)
        : nodes_share{std::move(of)}, forwarding_pipe(std::move(pipe)) {}
};

pair_maker over_stripe(std::size_t subflows, pair_maker lower) {
    pair_maker m = lower;
    m.name = "stripe" + std::to_string(subflows) + "_" + lower.name;
    m.tells_a_cut = m.keeps_received = m.takes_early = true;
    m.holds = 4 * mib + 256 * kib;  // the first window, and what waits behind it
    m.holds_at_rest = 2 * 4 * kib;  // each engine's block of frame headers
    m.make = [subflows, lower = std::move(lower)](event_loop& loop) {
        auto nodes = std::make_shared<joined_nodes>(loop, subflows, lower);
        std::unique_ptr<io_pipe> ours = nodes->client.open_stream({}, 10s);
        EXPECT_TRUE(wait_until(loop, [&] { return bool(nodes->accepted); }));
        std::unique_ptr<io_pipe> theirs = std::move(nodes->accepted);
        return pipe_pair{std::make_unique<end_of_nodes>(std::move(ours), nodes),
                         std::make_unique<end_of_nodes>(std::move(theirs), nodes)};
    };
    return m;
}

const faults pieces{.seed = 11, .max_chunk = 3000, .again_one_in = 20};

const bool registered = register_pipe_conformance({
    over_stripe(1, over_checked(memory_pairs())),
    over_stripe(4, over_checked(memory_pairs())),
    over_stripe(2, memory_pairs("memory_61", {.capacity = 1000, .max_chunk = 61})),
    over_stripe(3, over_checked(over_faulty(memory_pairs(), pieces))),
    over_stripe(4, over_checked(tcp_pairs())),
    over_stripe(2, unix_pairs()),
    over_dgm(over_checked(over_stripe(2, memory_pairs()))),
});

// TLS below a session, and above a stream.
std::vector<pair_maker> encrypted() {
    if (!tls_world::shared().missing().empty()) return {};
    return {
        over_stripe(2, over_checked(over_tls(tcp_pairs()))),
        over_tls(over_checked(over_stripe(2, memory_pairs()))),
    };
}

const bool registered_encrypted = register_pipe_conformance(encrypted());

}  // namespace
}  // namespace libp::stripe
