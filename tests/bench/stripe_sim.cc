// What the striping engine makes of given paths, in virtual time: for tuning it.
//
//     bench-stripe_sim [ROW|grid|all] [up|down] [NAME=VALUE ...]
//
//     seed=1  subflows=8  mib=60  scheduler=auto|rr|congestion|redundant|backup  cc=cubic|bbr
//     bins=1 (what arrived in each 0.5 s)
//
// Columns: goodput as a fraction of the limit (the sum of the paths' rates x 1448/1500), of what
// greedy TCP connections reach together over the same paths, and of the best path's limit; the
// longest gap in delivery; payload that arrived twice; the 99th percentile of a 64-byte echo every
// 50 ms beside it; retransmissions by TCP; how long it took to compute.

#include <sim/greedy.h>
#include <sim/routes.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

using namespace libp;
using namespace libp::stripe;
using namespace libp::stripe::sim;

namespace {

struct settings {
    bool down = false;
    std::uint64_t seed = 1;
    std::size_t subflows = 8;
    double mib = 60;
    bool bins = false;
    engine_options engine;
    libp::sim::tcp_options tcp{};
};

path_shape jittery(path_shape p, duration jitter) {
    p.jitter = jitter;
    return p;
}

struct row {
    const char* name;
    std::vector<path_shape> paths;
    duration hole_from{0}, hole_for{0};  // what loses everything for a while
    std::vector<std::size_t> holes{};
    bool echo = false;
};

std::vector<row> rows() {
    const std::vector<path_shape> four(4, path(20, 20));
    const std::vector<path_shape> unequal = {path(40, 10), path(20, 30), path(10, 60),
                                             path(5, 100)};
    const duration for_ever = std::chrono::hours(10);
    return {
        {"capped", {path(1000, 20, 4096, 0, 10)}},
        {"four", four},
        {"unequal", unequal},
        {"tiny", {path(50, 5), path(2, 150)}},
        {"queues", {path(20, 10, 64), path(20, 10, 2048)}},
        {"lossy", {path(20, 20, 256, 0.01), path(20, 20, 256, 0.002), path(20, 20), path(20, 20)}},
        {"hole", four, 2s, for_ever, {0}},
        {"alldown", four, 2s, 10s, {0, 1, 2, 3}},
        {"echo", unequal, {}, {}, {}, true},
        {"slowquick", {path(100, 5), path(2, 0.5)}},
        {"single", {path(20, 20)}},
        {"jitter", std::vector<path_shape>(3, jittery(path(50, 20), 100ms))},
        {"shaky", std::vector<path_shape>(3, jittery(path(50, 20), 400ms))},
        {"het", {path(50, 5, 64), path(50, 25, 64)}},
        {"fat", {path(1000, 100, 16 * 1024)}},
    };
}

double limit(const row& r, const settings& s, bool best) {
    double sum = 0, most = 0;
    for (const path_shape& p : r.paths) {
        double rate = p.bits_per_second;
        const double flows = static_cast<double>(s.subflows / r.paths.size());
        if (p.flow_cap > 0) rate = std::min(rate, p.flow_cap * flows);
        sum += rate;
        most = std::max(most, rate);
    }
    return (best ? most : sum) / 8 * 1448 / 1500;
}

struct result {
    double took = 0, goodput = 0, gap = 0, duplicates = 0, p50 = 0, p99 = 0, cpu = 0;
    double first = 0;
    bool done = false;
};

result run(const row& r, const settings& s) {
    const std::clock_t began = std::clock();
    simulation w(s.seed, s.engine, [](const std::string& what) {
        std::fprintf(stderr, "FAILED %s\n", what.c_str());
    });
    w.check_every = 0;
    routes net(w);
    net.tcp = s.tcp;
    // Other seeds are other delays too, by up to a thirtieth: one run says little about a chaotic
    // system.
    std::uint64_t nth = s.seed - 1;
    for (path_shape p : r.paths) {
        p.delay += p.delay * static_cast<std::int64_t>(nth * 7 % 11) / 300;
        nth += s.seed > 1 ? 3 : 0;
        net.add(p);
    }
    net.dial_all(std::max<std::size_t>(1, s.subflows / r.paths.size()));
    const auto bytes = static_cast<std::uint64_t>(s.mib * static_cast<double>(mib));
    const std::size_t bulk = w.plan({.up = s.down ? 0 : bytes, .down = s.down ? bytes : 0});
    std::size_t echo = 0;
    if (r.echo) {
        echo = w.plan({.up = 64 * 1000,
                       .down = 64 * 1000,
                       .interactive = true,
                       .write_chunk = 64,
                       .start = 500ms,
                       .echo_every = 50ms});
    }
    const int to = s.down ? 0 : 1;
    const auto until = [&](duration end) {
        while (w.at(bulk, to).read < bytes && !w.failed() && w.step(instant{} + end)) {
        }
    };
    if (!r.holes.empty()) {
        until(r.hole_from);
        for (std::size_t n : r.holes)
            net.at(n).black_hole(true);
        until(r.hole_from + r.hole_for);
        for (std::size_t n : r.holes)
            net.at(n).black_hole(false);
    }
    until(std::chrono::seconds(600));
    const outcome& o = w.at(bulk, to);
    result out;
    out.done = o.read == bytes;
    out.took = seconds(w.now - instant{});
    out.goodput = static_cast<double>(o.read) / out.took;
    out.gap = seconds(o.longest_gap);
    out.first = seconds(o.first_read - instant{});
    out.duplicates = static_cast<double>(w.received(to)) / static_cast<double>(o.read + 1) - 1;
    if (r.echo) {
        std::vector<duration> l = w.at(echo, 0).latencies;
        std::sort(l.begin(), l.end());
        if (!l.empty()) {
            out.p50 = seconds(l[l.size() / 2]);
            out.p99 = seconds(l[l.size() * 99 / 100]);
        }
    }
    out.cpu = static_cast<double>(std::clock() - began) / CLOCKS_PER_SEC;
    if (s.bins) {
        for (std::size_t i = 0; i < o.by_tenth.size(); i += 5)
            std::printf(" %.2f", static_cast<double>(o.read_between(100ms * i, 100ms * (i + 5))) /
                                     0.5 * 8 / 1e6);
        std::printf(" Mbit/s\n");
        for (subflow_id id : w.path_ids()) {
            const subflow_stats st = w.ends[1 - to]->stats(id);
            const auto& lane = net.flow(id).lane(1 - to);
            std::printf(
                "   subflow %u route %zu: sent %.2f MB (again %.2f) rate %.2f Mbit/s srtt %.0f min "
                "%.0f ms allowance %zu in flight %zu state %d; tcp window %.0f srtt %.0f "
                "again %lu timeouts %lu\n",
                id, net.route_of(id), static_cast<double>(st.data_sent) / 1e6,
                static_cast<double>(st.resent) / 1e6, st.rate * 8 / 1e6, seconds(st.srtt) * 1e3,
                seconds(st.rtt_min) * 1e3, st.allowance, st.in_flight, static_cast<int>(st.state),
                lane.window(), seconds(lane.srtt()) * 1e3, lane.retransmitted, lane.timeouts);
        }
    }
    return out;
}

// What a transfer of that size can reach: its time, given when paths are missing.
double ideal(const row& r, const settings& s, double bytes) {
    const double all = limit(r, s, false);
    if (r.holes.empty()) return bytes / all;
    const double before = seconds(r.hole_from);
    double left = 0;
    for (std::size_t n = 0; n < r.paths.size(); ++n)
        if (std::find(r.holes.begin(), r.holes.end(), n) == r.holes.end())
            left += r.paths[n].bits_per_second / 8 * 1448 / 1500;
    bytes -= before * all;
    const double during = std::min(seconds(r.hole_for), left > 0 ? bytes / left : 1e9);
    bytes -= during * left;
    return before + during + std::max(0.0, bytes / all);
}

void print(const char* name, const row& r, const settings& s) {
    const result x = run(r, s);
    const double bytes = s.mib * static_cast<double>(mib);
    const double best_time = ideal(r, s, bytes);
    std::printf(
        "%-10s %-4s %6.2f s  limit %.3f  tcp %.3f  best %.3f  first %4.0f ms  gap %5.0f ms  "
        "dup %5.2f%%",
        name, s.down ? "down" : "up", x.took, best_time / x.took,
        x.goodput / libp::sim::greedy(r.paths, s.subflows,
                                      duration(static_cast<std::int64_t>(x.took * 1e9)), s.seed,
                                      s.tcp),
        x.goodput / limit(r, s, true), x.first * 1e3, x.gap * 1e3, x.duplicates * 100);
    if (r.echo) std::printf("  echo p50 %.0f p99 %.0f ms", x.p50 * 1e3, x.p99 * 1e3);
    if (!r.holes.empty()) std::printf("  ideal %+.2f s", x.took - best_time);
    std::printf("  (cpu %.2f s)%s\n", x.cpu, x.done ? "" : "  NOT DONE");
    std::fflush(stdout);
}

// Two paths: the other is `rate` times slower and `rtt` times farther than 50 Mbit/s, 5 ms.
void grid(settings s) {
    s.subflows = 2;
    double least_best = 1e9;
    for (const std::size_t window : {256 * kib, 2 * mib, 32 * mib})
        for (const double rate : {1.0, 4.0, 10.0, 30.0, 100.0}) {
            std::printf("window %5zu KiB, rate 1/%-3.0f ", window / kib, rate);
            for (const double rtt : {1.0, 3.0, 10.0, 30.0}) {
                const row r{"", {path(50, 5), path(50 / rate, 5 * rtt)}};
                s.engine.max_window = window;
                s.engine.memory_budget = std::max(s.engine.memory_budget, 2 * window);
                s.mib = 25;
                const result x = run(r, s);
                const double best = x.goodput / limit(r, s, true);
                least_best = std::min(least_best, best);
                std::printf("  rtt x%-2.0f: %.3f of sum %.3f of best", rtt,
                            x.goodput / limit(r, s, false), best);
            }
            std::printf("\n");
            std::fflush(stdout);
        }
    std::printf("least of best: %.3f\n", least_best);
}

bool set(settings& s, const std::string& word) {
    const auto eq = word.find('=');
    if (eq == std::string::npos) return false;
    const std::string name = word.substr(0, eq), value = word.substr(eq + 1);
    const double number = std::strtod(value.c_str(), nullptr);
    if (name == "seed") return s.seed = static_cast<std::uint64_t>(number), true;
    if (name == "subflows") return s.subflows = static_cast<std::size_t>(number), true;
    if (name == "mib") return s.mib = number, true;
    if (name == "bins") return s.bins = number > 0, true;
    if (name == "cc") {
        using enum libp::sim::congestion_control;
        s.tcp.congestion = value == "bbr" ? bbr : cubic;
        return value == "bbr" || value == "cubic";
    }
    if (name != "scheduler") return false;
    const std::vector<std::string> names = {"auto", "rr", "congestion", "redundant", "backup"};
    const auto at = std::find(names.begin(), names.end(), value);
    s.engine.scheduler = static_cast<scheduler>(at - names.begin());
    return at != names.end();
}

}  // namespace

int main(int argc, char** argv) {
    settings s;
    std::string which = "all";
    bool up = true, down = true;
    for (int i = 1; i < argc; ++i) {
        const std::string word = argv[i];
        if (word == "up") {
            down = false;
        } else if (word == "down") {
            up = false;
        } else if (!set(s, word)) {
            which = word;
        }
    }
    bool any = false;
    for (const row& r : rows()) {
        if (which != "all" && which != r.name) continue;
        any = true;
        for (const bool d : {false, true}) {
            if (!(d ? down : up)) continue;
            s.down = d;
            print(r.name, r, s);
        }
    }
    if (which == "grid" || which == "all") grid(s);
    if (!any && which != "grid") {
        std::fprintf(stderr, "no row %s\n", which.c_str());
        return 1;
    }
}
