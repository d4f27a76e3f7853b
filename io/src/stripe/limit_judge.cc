#include "stripe/limit_judge.h"

#include <bit>
#include <utility>

namespace libp::stripe {

namespace {

constexpr int enough = 6, too_few = 3;
constexpr duration lapse = 1s;
// A queue is no queue while it makes the round trip longer by less than a quarter, or by what a
// turn of two machines takes.
constexpr duration turn = 2ms;

}  // namespace

bool limit_judge::look(const tcp_state& tcp, std::size_t in_flight, std::size_t allowance,
                       instant now) noexcept {
    const bool waits = tcp.unsent > 0;
    if (!waits && in_flight < allowance / 2) return false;
    if (now - std::exchange(looked_, now) > lapse) window_ = path_ = 0;
    const bool queues = tcp.rtt > tcp.rtt_min + tcp.rtt_min / 4 + turn;
    window_ = static_cast<std::uint8_t>(window_ << 1 | (waits && !queues));
    path_ = static_cast<std::uint8_t>(path_ << 1 | !waits);
    const int window = std::popcount(window_), path = std::popcount(path_);
    subflow_limit next = verdict_;
    if (window >= enough)
        next = subflow_limit::window;
    else if (path >= enough)
        next = subflow_limit::path;
    else if ((next == subflow_limit::window ? window : path) < too_few)
        next = subflow_limit::unknown;
    return std::exchange(verdict_, next) != next;
}

}  // namespace libp::stripe
