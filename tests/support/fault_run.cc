#include "support/fault_run.h"

#include <gtest/gtest.h>

#include "support/byte_traffic.h"
#include "support/checked_pipe.h"

namespace libp {
namespace {

constexpr error failure{reason::timed_out};

// True: nothing failed.
bool transfer(const put_over_both& put, std::size_t fail_at) {
    const traffic up{41, 20'000, 3000}, down{42, 15'000, 3000};
    event_loop loop;
    auto [low_a, low_b] = make_memory_pair(loop, {.capacity = 1000});
    pipe_pair ends = put(
        loop,
        {make_faulty_pipe(
             loop, std::move(low_a),
             {.seed = 3, .max_chunk = 700, .delay = 0ns, .fail_at = fail_at, .failure = failure}),
         std::move(low_b)});
    const auto a = make_checked_pipe(std::move(ends.a)), b = make_checked_pipe(std::move(ends.b));
    traffic_end end_a(loop, *a, {.out = up, .in = down});
    traffic_end end_b(loop, *b, {.out = down, .in = up});
    EXPECT_TRUE(wait_until(loop,
                           [&] {
                               const bool a_over = end_a.done() || a->has(io_flag::broken);
                               const bool b_over = end_b.done() || end_b.break_received();
                               return a_over && b_over;
                           }))
        << end_a.story() << "\n"
        << end_b.story();
    EXPECT_EQ(end_a.sink().fault(), "");
    EXPECT_EQ(end_b.sink().fault(), "");
    // Whoever got a FIN got all.
    EXPECT_TRUE(!end_a.fin_received() || end_a.sink().complete());
    EXPECT_TRUE(!end_b.fin_received() || end_b.sink().complete());
    if (!end_a.done()) {
        EXPECT_EQ(a->why(), failure);
    }
    return end_a.done() && end_b.done();
}

}  // namespace

void expect_clean_failure_at_every_call(const put_over_both& put) {
    std::size_t n = 0;
    for (;; ++n) {
        SCOPED_TRACE("fail at call " + std::to_string(n));
        ASSERT_LT(n, 10'000u);
        if (transfer(put, n) || testing::Test::HasFailure()) break;
    }
    EXPECT_GT(n, 50u);
}

}  // namespace libp
