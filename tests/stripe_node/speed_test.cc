// What bytes cost where nothing but the machine limits them.

#include <libp/stripe/dialer.h>

#include <algorithm>
#include <ctime>

#include "stripe_node/real_world.h"

namespace libp::stripe {
namespace {

// Sends the same block over and over, or drops what comes: nothing that costs more than the striper
// itself.
class pump {
  public:
    pump(std::unique_ptr<io_pipe> pipe, std::uint64_t to_send)
        : pipe_(std::move(pipe)), left_(to_send) {
        pipe_->attach(io_handler::to<&pump::on_pipe>(*this));
    }
    std::uint64_t received() const noexcept { return received_; }

  private:
    void on_pipe(io_flags) {
        static constexpr std::uint8_t zeros[256 * kib] = {};
        while (pipe_->has(io_flag::readable)) {
            chain in;
            const io_result r = pipe_->recv(in, 256 * kib);
            if (!r.ok()) break;
            received_ += r.bytes;
        }
        while (pipe_->has(io_flag::writable) && left_ > 0) {
            if (out_.empty())
                out_.append(slice{{}, zeros, std::min<std::uint64_t>(sizeof zeros, left_)});
            left_ -= pipe_->send(out_).bytes;
        }
    }

    std::unique_ptr<io_pipe> pipe_;
    std::uint64_t left_, received_ = 0;
    chain out_;
};

// Both ends are in this process, so that is what a transfer of `size` over TCP on loopback costs,
// in seconds of the processor. It is what limits a transfer over a fast network; and others on this
// machine do not disturb it much.
double cost(std::size_t subflows, std::uint64_t size) {
    real_world w;
    server s(w.loop);
    s.end->answers = false;
    dialer d(w.loop, w.names, w.client.it, w.client.out, {{s.where()}}, {.subflows = subflows});
    EXPECT_TRUE(w.run([&] { return d.up() == subflows; }));
    pump from(w.client.it.open_stream({}, 5s), size);
    EXPECT_TRUE(w.run([&] { return !s.end->offered.empty(); }));
    s.end->offered[0]->accept();
    pump to(std::move(s.end->offered[0]), 0);
    // The first bytes find windows small and memory untouched.
    EXPECT_TRUE(w.run([&] { return to.received() >= size / 4; }));
    const std::clock_t began = std::clock();
    const std::uint64_t before = to.received();
    EXPECT_TRUE(w.run([&] { return to.received() == size; }));
    return static_cast<double>(std::clock() - began) / CLOCKS_PER_SEC /
           static_cast<double>(size - before) * 1e9;
}

// Where there is nothing to be gained by four subflows they cost next to nothing. Asked is 0.95 of
// the throughput of one, which `make bench` measures on an idle machine. Here others use the caches
// too, which moves a figure by a quarter, but hardly ever down: so it is the best of each that is
// compared, with a wider bound, and measured until it shows, five times at least and twenty at
// most.
TEST(StripeSpeed, S28FourSubflowsOfALanAreAsFastAsOne) {
    constexpr std::uint64_t size = debug_build ? 32 * mib : 256 * mib;
    constexpr double bound = 0.8;
    double one = 1e9, four = 1e9;
    for (int round = 0; round < 5 || (round < 20 && one < bound * four); ++round) {
        one = std::min(one, cost(1, size));
        four = std::min(four, cost(4, size));
    }
    RecordProperty("one_cpu_ms_per_gb", static_cast<int>(one * 1e3));
    RecordProperty("four_cpu_ms_per_gb", static_cast<int>(four * 1e3));
    EXPECT_GE(one, bound * four) << one << " s/GB over one, " << four << " over four";
}

}  // namespace
}  // namespace libp::stripe
