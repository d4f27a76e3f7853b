#include "sim/greedy.h"

#include <libp/chain.h>

namespace libp::sim {

greedy_flows::greedy_flows(const std::vector<path_shape>& paths, std::size_t connections,
                           std::uint64_t seed, const tcp_options& tcp) {
    test_random random(seed);
    for (const path_shape& p : paths)
        all.push_back(std::make_unique<route>(time, p, p, random.below(UINT64_MAX)));
    for (std::size_t i = 0; i < connections / paths.size() * paths.size(); ++i)
        add(*all[i % all.size()], tcp);
}

void greedy_flows::run_until(duration d) {
    while (time.next() <= instant{} + d)
        time.run_next();
}

void greedy_flows::add(route& over, const tcp_options& tcp) {
    static constexpr std::uint8_t zeros[64 * kib] = {};
    lanes.push_back(std::make_unique<tcp_lane>(time, over.lines[0], over.lines[1], tcp));
    tcp_lane& l = *lanes.back();
    const auto fill = [&l] {
        while (l.writable()) {
            chain data;
            data.append(slice{{}, zeros, sizeof zeros});
            l.send(data);
        }
    };
    l.on_bytes = [this](chain&& data) { got += data.size(); };
    l.on_writable = fill;
    l.keep_unsent(256 * kib);
    fill();
}

double greedy(const std::vector<path_shape>& paths, std::size_t connections, duration d,
              std::uint64_t seed, const tcp_options& tcp) {
    greedy_flows flows(paths, connections, seed, tcp);
    flows.run_until(d);
    return static_cast<double>(flows.got) / seconds(d);
}

}  // namespace libp::sim
