#pragma once

// BBR, version 1, as a sender runs it: a model of the path instead of a reaction to its losses.
//
// The path is known by two figures: the most that it delivered within ten round trips, and the least that a round trip took within ten seconds. Their
// product is what the path holds. Packets leave at the path's rate, and twice what it holds is in flight at most; a lost packet is sent
// again and changes neither. To keep the figures fresh the rate is a quarter higher in one round trip of eight, and a quarter lower in the next, so that what
// queued goes; and where ten seconds brought no shorter round trip, almost nothing is in flight for a fifth of a second.
//
// After Cardwell, Cheng, Gunn, Yeganeh and Jacobson, "BBR: Congestion-Based Congestion Control", ACM Queue 14(5), 2016, and
// draft-cardwell-iccrg-bbr-congestion-control-00, whose constants these are; samples of the rate after draft-cheng-iccrg-delivery-rate-estimation-00.
// Left out: policers (its long-term sampling), and packet conservation in the first round trip of a recovery.

#include <libp/time.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <utility>

namespace libp::sim {

class bbr {
  public:
    // What has to be remembered of every transmission until it is acknowledged.
    struct mark {
        instant sent{}, first_sent{}, delivered_at{};
        double delivered = 0;
        bool limited = false;  // there was too little to send
    };

    // In bytes. `phase`: where its cycle begins, so that those who share a path do not probe together.
    bbr(double segment, double first_window, unsigned phase) noexcept
        : segment_(segment), first_window_(first_window), window_(first_window), phase_(phase) {}

    double window() const noexcept {
        return now_ == mode::probe_rtt ? std::min(window_, 4 * segment_) : window_;
    }
    // When the next packet may leave.
    instant next() const noexcept { return next_; }

    mark on_sent(double size, double flying, instant now) noexcept {
        if (flying <= 0) first_sent_ = delivered_at_ = now;
        next_ = std::max(next_, now);
        if (pace_ > 0) next_ += time_of(size / pace_);
        return {now, first_sent_, delivered_at_, delivered_, delivered_ <= limited_until_};
    }
    // There was room for more than there was to send.
    void on_starved(double flying) noexcept { limited_until_ = delivered_ + flying; }

    // An acknowledgement: first what it says has arrived, one by one, and then on_ack() with what is in flight now.
    void on_arrived(const mark& m, double size) noexcept {
        delivered_ += size;
        if (acked_ == 0 || m.delivered > newest_.delivered) newest_ = m;
        acked_ += size;
    }
    void on_ack(duration rtt, bool lost, double flying, instant now) {
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
        const duration took =
            std::max(newest_.sent - newest_.first_sent, now - newest_.delivered_at);
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

  private:
    enum class mode : std::uint8_t { startup, drain, probe_rate, probe_rtt };

    static constexpr double start_gain = 2.89;  // 2 / ln 2: doubles in a round trip
    static constexpr double cycle[8] = {1.25, 0.75, 1, 1, 1, 1, 1, 1};

    static duration time_of(double s) noexcept {
        return duration(static_cast<std::int64_t>(s * 1e9));
    }
    double rate() const noexcept { return rates_.empty() ? 0 : rates_.front().second; }
    double holds() const noexcept { return rates_.empty() ? 0 : rate() * seconds(least_); }
    double gain() const noexcept {
        if (now_ == mode::startup) return start_gain;
        if (now_ == mode::drain) return 1 / start_gain;
        return now_ == mode::probe_rate ? cycle[phase_ % 8] : 1;
    }
    double window_gain() const noexcept {
        return now_ == mode::startup || now_ == mode::drain ? start_gain : 2;
    }
    // The largest of ten rounds comes first, and behind each the largest of what came later. A sample taken while there was too little to send says
    // only that the path is no slower.
    void note_rate(double sample) {
        if (newest_.limited && sample < rate()) return;
        while (!rates_.empty() && rates_.back().second <= sample)
            rates_.pop_back();
        rates_.emplace_back(rounds_, sample);
        while (rates_.front().first + 10 <= rounds_)
            rates_.pop_front();
    }
    // Three rounds without a quarter more.
    void look_whether_full() noexcept {
        if (rate() >= rate_before_ * 1.25) {
            rate_before_ = rate();
            rounds_without_growth_ = 0;
        } else {
            full_ = ++rounds_without_growth_ >= 3;
        }
    }
    void advance(bool expired, bool lost, double flying, instant now) noexcept {
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
    void begin(mode m, instant at) noexcept {
        now_ = m;
        since_ = at;
    }

    const double segment_, first_window_;
    double window_, pace_ = 0;
    instant next_{};
    mode now_ = mode::startup;
    instant since_{};  // of its mode, or of its phase
    unsigned phase_;
    bool full_ = false;
    double rate_before_ = 0;
    int rounds_without_growth_ = 0;

    std::deque<std::pair<std::uint64_t, double>> rates_;  // by round
    std::uint64_t rounds_ = 0;
    double round_end_ = 0;
    duration least_ = duration::max();
    instant least_at_{};

    double delivered_ = 0, acked_ = 0, limited_until_ = -1;
    instant delivered_at_{}, first_sent_{};
    mark newest_;
};

}  // namespace libp::sim
