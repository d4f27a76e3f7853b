#include "stripe_sim/bond.h"

#include <algorithm>
#include <cmath>

namespace libp::stripe::sim {

std::vector<path_shape> nearly(std::vector<path_shape> paths, unsigned nth) {
    for (path_shape& p : paths) {
        p.delay += p.delay * static_cast<std::int64_t>(nth * 7 % 11) / 300;
        nth += nth > 0 ? 3 : 0;
    }
    return paths;
}

bond::bond(const std::vector<path_shape>& paths, std::size_t each, std::uint64_t seed,
           const engine_options& o, const libp::sim::tcp_options& tcp)
    : w(seed, o), net(w) {
    // A step is all that follows from something that happened. Without optimisation looking takes
    // much longer than what is looked at.
    if (debug_build) w.check_every = 50;
    w.budget = o.memory_budget;
    net.tcp = tcp;
    for (const path_shape& p : paths)
        net.add(p);
    net.dial_all(each);
    w.after_step = [this] { watch(); };
}

std::size_t bond::transfer(bool down, std::uint64_t bytes, duration start) {
    return w.plan({.up = down ? 0 : bytes, .down = down ? bytes : 0, .start = start});
}

std::size_t bond::echo(std::uint64_t times, duration start) {
    return w.plan({.up = 64 * times,
                   .down = 64 * times,
                   .interactive = true,
                   .write_chunk = 64,
                   .start = start,
                   .echo_every = 50ms});
}

double bond::until_read(std::size_t plan, int to, std::uint64_t bytes, duration limit) {
    while (w.at(plan, to).read < bytes)
        if (w.failed() || !w.step(instant{} + limit)) return HUGE_VAL;
    return seconds(w.now - instant{});
}

double bond::duplicates(int to, std::uint64_t delivered) const {
    return static_cast<double>(w.received(to)) / static_cast<double>(delivered) - 1;
}

duration bond::percentile(std::vector<duration> all, std::size_t p) {
    std::sort(all.begin(), all.end());
    return all.empty() ? duration::max() : all[std::min(all.size() - 1, all.size() * p / 100)];
}

void bond::watch() {
    for (int side : {0, 1})
        for (subflow_id id : w.path_ids()) {
            const subflow_state s = w.ends[side]->stats(id).state;
            subflow_state& before = states_[side][id];
            if (s == before) continue;
            if (s == subflow_state::suspect && before == subflow_state::good) ++suspects[side];
            if (s == subflow_state::stale) ++stales[side];
            before = s;
        }
}

}  // namespace libp::stripe::sim
