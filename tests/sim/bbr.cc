#include "sim/bbr.h"

#include <algorithm>

namespace libp::sim {

bbr::mark bbr::on_sent(double size, double flying, instant now) noexcept {
    if (flying <= 0) first_sent_ = delivered_at_ = now;
    next_ = std::max(next_, now);
    if (pace_ > 0) next_ += time_of(size / pace_);
    return {now, first_sent_, delivered_at_, delivered_, delivered_ <= limited_until_};
}

void bbr::on_arrived(const mark& m, double size) noexcept {
    delivered_ += size;
    if (acked_ == 0 || m.delivered > newest_.delivered) newest_ = m;
    acked_ += size;
}

void bbr::on_ack(duration rtt, bool lost, double flying, instant now) {
    delivered_at_ = now;
    first_sent_ = newest_.sent;
    const bool round = newest_.delivered >= round_end_;
    if (round) {
        round_end_ = delivered_;
        ++rounds_;
    }
    const bool expired = now - least_at_ > 10s && least_ != duration::max();
    if (rtt <= least_ || expired) {
        if (pace_ == 0) pace_ = start_gain * first_window_ / seconds(rtt);
        least_ = rtt;
        least_at_ = now;
    }
    const duration took = std::max(newest_.sent - newest_.first_sent, now - newest_.delivered_at);
    if (took >= least_) note_rate((delivered_ - newest_.delivered) / seconds(took));
    if (round && !full_ && !newest_.limited) look_whether_full();
    advance(expired, lost, flying, now);
    const double target = window_gain() * holds() + 3 * segment_;
    if (full_)
        window_ = std::min(window_ + acked_, target);
    else if (window_ < target || delivered_ < first_window_)
        window_ += acked_;
    window_ = std::max(window_, 4 * segment_);
    const double pace = gain() * rate();
    if (full_ || pace > pace_) pace_ = pace;
    acked_ = 0;
}

double bbr::gain() const noexcept {
    if (now_ == mode::startup) return start_gain;
    if (now_ == mode::drain) return 1 / start_gain;
    return now_ == mode::probe_rate ? cycle[phase_ % 8] : 1;
}

void bbr::note_rate(double sample) {
    if (newest_.limited && sample < rate()) return;
    while (!rates_.empty() && rates_.back().second <= sample)
        rates_.pop_back();
    rates_.emplace_back(rounds_, sample);
    while (rates_.front().first + 10 <= rounds_)
        rates_.pop_front();
}

void bbr::look_whether_full() noexcept {
    if (rate() >= rate_before_ * 1.25) {
        rate_before_ = rate();
        rounds_without_growth_ = 0;
    } else {
        full_ = ++rounds_without_growth_ >= 3;
    }
}

void bbr::advance(bool expired, bool lost, double flying, instant now) noexcept {
    if (now_ == mode::startup && full_) now_ = mode::drain;
    if (now_ == mode::drain && flying <= holds()) begin(mode::probe_rate, now);
    if (now_ == mode::probe_rate) {
        bool over = now - since_ > least_;
        if (gain() > 1) over = over && (lost || flying >= gain() * holds());
        if (gain() < 1) over = over || flying <= holds();
        if (over) ++phase_, since_ = now;
    }
    if (expired && now_ != mode::probe_rtt) begin(mode::probe_rtt, never);
    if (now_ != mode::probe_rtt) return;
    if (since_ == never && flying <= 4 * segment_) since_ = now;
    if (since_ == never || now - since_ < std::max(duration{200ms}, least_)) return;
    least_at_ = now;
    begin(full_ ? mode::probe_rate : mode::startup, now);
}

}  // namespace libp::sim
