#pragma once

// A session over several routes, ready to be used, and what tests ask of it.

#include <sim/greedy.h>
#include <sim/routes.h>
#include <sim/stripe_world.h>

#include <map>

namespace libp::stripe::sim {

constexpr double payload_share = 1448.0 / 1500;

// The same paths with delays that differ by up to a thirtieth: where queues overflow a single run
// says little.
std::vector<path_shape> nearly(std::vector<path_shape> paths, unsigned nth);

struct bond {
    explicit bond(const std::vector<path_shape>& paths, std::size_t each = 2,
                  std::uint64_t seed = 1, const engine_options& o = {},
                  const libp::sim::tcp_options& tcp = {});

    std::size_t transfer(bool down, std::uint64_t bytes, duration start = {});
    // 64 bytes every 50 ms, answered.
    std::size_t echo(std::uint64_t times, duration start = {});
    // Until end `to` has read `bytes` of a plan in all; when that was, in seconds, or infinity.
    double until_read(std::size_t plan, int to, std::uint64_t bytes, duration limit = 600s);
    void until(duration at) { w.run_for(instant{} + at - w.now); }
    // Payload that came to `to` and had come before, as a share of what was delivered.
    double duplicates(int to, std::uint64_t delivered) const;
    static duration percentile(std::vector<duration> all, std::size_t p);

    world w;
    routes net;
    // How often a subflow became suspect or stale, by end 0 and end 1.
    std::size_t suspects[2] = {0, 0}, stales[2] = {0, 0};

  private:
    void watch();

    std::map<subflow_id, subflow_state> states_[2];
};

}  // namespace libp::stripe::sim
