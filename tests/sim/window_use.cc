#include "sim/window_use.h"

#include <algorithm>

namespace libp::sim {

double window_use::sent(double window, double out, bool full, std::uint64_t acknowledged,
                        std::uint64_t next, cubic& c, bool stays, duration rto,
                        instant now) noexcept {
    if (acknowledged >= round_end_ || full || (!was_full_ && out > most_out_)) {
        was_full_ = full;
        most_out_ = out;
        round_end_ = next;
    }
    if (limited(window, c)) {
        begin_anew(now);
        return window;
    }
    used_ = std::max(used_, out);
    if (stays || now - full_at_ < rto) return window;
    const double used = std::max(used_, first_window_);
    begin_anew(now);
    if (used >= window) return window;
    c.remember(window);
    return (window + used) / 2;
}

double window_use::idled(double window, duration idle, cubic& c, duration rto,
                         instant now) noexcept {
    if (idle <= rto) return window;
    c.remember(window);
    begin_anew(now);
    const double least = std::min(window, first_window_);
    while ((idle -= rto) > duration{0} && window > least)
        window /= 2;
    return std::max(window, least);
}

}  // namespace libp::sim
