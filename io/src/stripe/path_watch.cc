#include "stripe/path_watch.h"

#include <libp/stripe/node.h>

#include <algorithm>
#include <utility>

namespace libp::stripe {

namespace {

// Whether paths are used is looked at this often, where so much was sent.
constexpr duration use_interval = 5s;
constexpr std::uint64_t use_bytes = 1 * mib;
constexpr std::size_t paths_remembered = 256;

// What was added to a count; a subflow that died took its own along.
std::uint64_t added(std::uint64_t& was, std::uint64_t is) noexcept {
    const std::uint64_t before = std::exchange(was, is);
    return is < before ? is : is - before;
}

}  // namespace

// Of the subflows of one path.
struct path_watch::sum {
    subflow_state state = subflow_state::stale;
    duration quiet = duration::max(), rtt{0};
    std::uint64_t sent = 0, declined = 0;
    double rate = 0;
    bool lives = false;
};

void path_watch::look(const std::vector<sight>& subflows, instant now) {
    std::vector<sum> sums(notes_.size());
    for (const sight& s : subflows) {
        auto at = std::ranges::find(notes_, s.path, &note::name);
        if (at == notes_.end()) {
            at = notes_.insert(at, {s.path});
            sums.emplace_back();
        }
        sum& b = sums[static_cast<std::size_t>(at - notes_.begin())];
        b.lives = true;
        b.state = std::min(b.state, s.stats.state);
        b.quiet = std::min(b.quiet, s.quiet);
        b.rtt = std::max(b.rtt, s.stats.srtt);
        b.sent += s.stats.data_sent;
        b.declined += s.stats.declined;
        b.rate += s.stats.rate;
    }
    for (std::size_t i = 0; i < notes_.size(); ++i) {
        if (!sums[i].lives || sums[i].state == notes_[i].state) continue;
        const subflow_state was = std::exchange(notes_[i].state, sums[i].state);
        log_.write(sums[i].state > was ? log_level::warn : log_level::info, "path",
                   {{"name", notes_[i].name},
                    {"state", name_of(sums[i].state)},
                    {"was", name_of(was)},
                    {"quiet", seconds(sums[i].quiet)},
                    {"rtt", seconds(sums[i].rtt)},
                    {"session", session_}});
    }
    if (now - use_looked_at_ >= use_interval) {
        use_looked_at_ = now;
        look_at_use(sums);
    }
    for (std::size_t i = notes_.size(); i-- > 0 && notes_.size() > paths_remembered;)
        if (!sums[i].lives) notes_.erase(notes_.begin() + static_cast<std::ptrdiff_t>(i));
}

// A path that could carry something while much is sent, and is given nothing: why is worth a line.
void path_watch::look_at_use(const std::vector<sum>& sums) {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> counts;  // sent, declined
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < notes_.size(); ++i) {
        counts.emplace_back(added(notes_[i].sent, sums[i].sent),
                            added(notes_[i].declined, sums[i].declined));
        total += counts.back().first;
    }
    for (std::size_t i = 0; i < notes_.size(); ++i) {
        if (!sums[i].lives || total < use_bytes) continue;
        const auto [sent, declined] = counts[i];
        const bool unused = declined > 0 && sent < total / 100;
        if (std::exchange(notes_[i].unused, unused) == unused) continue;
        log_.write(unused ? log_level::warn : log_level::info, "path",
                   {{"name", notes_[i].name},
                    {"state", unused ? "unused" : "used"},
                    {"why", unused ? "what it is given arrives after all else" : "it helps again"},
                    {"rtt", seconds(sums[i].rtt)},
                    {"rate", sums[i].rate},
                    {"session", session_}});
    }
}

}  // namespace libp::stripe
