#include "sim/cubic.h"

#include <cmath>

namespace libp::sim {

double cubic::grown(double window, double segments, bool limited, duration rtt_min, instant now) {
    if (window < threshold_) return limited ? window + segments : window;
    if (epoch_ == never) {
        epoch_ = grown_at_ = now;
        reach_ = window < most_ ? std::cbrt((most_ - window) / 0.4) : 0;
        origin_ = std::max(most_, window);
        friendly_ = window;
    }
    if (!limited) {
        epoch_ += now - grown_at_;  // time in which it had nothing to send does not count
    } else {
        const double t = seconds(now - epoch_ + rtt_min);
        friendly_ += 0.53 * segments / window;
        const double target =
            std::max(origin_ + 0.4 * (t - reach_) * (t - reach_) * (t - reach_), friendly_);
        window += target > window ? std::min((target - window) / window * segments, segments / 2)
                                  : 0.01 * segments / window;
    }
    grown_at_ = now;
    return window;
}

double cubic::reduced(double window) noexcept {
    most_ = window < most_ ? window * 0.85 : window;
    threshold_ = std::max(window * 0.7, 2.0);
    epoch_ = never;
    return threshold_;
}

void cubic::on_round_trip(double window, duration rtt, duration rtt_min, std::uint64_t acknowledged,
                          std::uint64_t next) noexcept {
    if (!hystart_ || window >= threshold_ || window < 16) return;
    if (acknowledged >= round_end_) {
        round_end_ = next;
        round_least_ = never - instant{};
        round_samples_ = 0;
    }
    round_least_ = std::min(round_least_, rtt);
    const duration felt = std::clamp(rtt_min / 8, duration{4ms}, duration{16ms});
    if (++round_samples_ == 8 && round_least_ > rtt_min + felt) threshold_ = window;
}

}  // namespace libp::sim
