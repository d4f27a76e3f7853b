// Pipes of subflows that are no longer: what was queued goes, then our FIN, and then the peer's is
// awaited for a bounded time.

#include <libp/pipe_memory.h>

#include <gtest/gtest.h>

#include "stripe/parting_pipe.h"
#include "support/sim_poller.h"

namespace libp::stripe {
namespace {

struct parting {
    explicit parting(std::size_t arrives) {
        std::unique_ptr<io_pipe> near;
        std::tie(near, far) = make_memory_pair(loop, {.capacity = 16 * mib});
        chain out;
        out.append_copy(loop.blocks(), std::vector<std::uint8_t>(arrives));
        far->send(out);
        chain rest;
        rest.append_copy(loop.blocks(), bytes_of("the rest"));
        it = std::make_unique<parting_pipe>(loop, std::move(near), std::move(rest), 5s,
                                            parting_pipe::gone::to<&parting::on_gone>(*this));
    }
    void on_gone(parting_pipe&) { loop.retire(std::move(it)); }
    void idle(duration d) {
        for (const instant end = loop.now() + d; loop.now() < end;)
            loop.turn(end);
    }

    event_loop loop{std::make_unique<sim_poller>()};
    std::unique_ptr<io_pipe> far;
    std::unique_ptr<parting_pipe> it;
};

TEST(StripeParting, HoweverMuchStillArrivesItIsGoneWhenThePeerIs) {
    for (const std::size_t arrives : {std::size_t{0}, 200 * kib, 300 * kib, 8 * mib}) {
        parting p(arrives);
        p.far->send_fin();
        p.idle(1ms);
        chain got;
        EXPECT_TRUE(p.far->recv(got, mib).ok());
        EXPECT_EQ(got.to_string(), "the rest");
        EXPECT_EQ(p.far->recv(got, mib).status, io_status::fin);
        p.idle(1ms);
        EXPECT_FALSE(p.it) << arrives;
        EXPECT_TRUE(p.far->finished());
    }
}

TEST(StripeParting, APeerThatStaysIsNotWaitedForLong) {
    parting p(8 * mib);
    p.idle(4999ms);
    EXPECT_TRUE(p.it);
    p.idle(2ms);
    EXPECT_FALSE(p.it);
    EXPECT_TRUE(p.far->has(io_flag::broken));
}

}  // namespace
}  // namespace libp::stripe
