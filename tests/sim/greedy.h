#pragma once

// What TCP connections that always have something to send reach over given paths: the most that
// anything above them can.

#include <sim/tcp_lane.h>

#include <memory>
#include <vector>

namespace libp::sim {

// An equal number of connections over each path, from the start.
struct greedy_flows {
    greedy_flows(const std::vector<path_shape>& paths, std::size_t connections, std::uint64_t seed,
                 const tcp_options& tcp = {});
    void run_until(duration d);

    timeline time;
    std::vector<std::unique_ptr<route>> all;
    std::vector<std::unique_ptr<tcp_lane>> lanes;
    std::uint64_t got = 0;

  private:
    void add(route& over, const tcp_options& tcp);
};

// Bytes per second of all of them together.
double greedy(const std::vector<path_shape>& paths, std::size_t connections, duration d,
              std::uint64_t seed, const tcp_options& tcp = {});

}  // namespace libp::sim
