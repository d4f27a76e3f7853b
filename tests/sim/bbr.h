#pragma once

// BBR, version 1, as a sender runs it: a model of the path instead of a reaction to its losses.
//
// The path is known by two figures: the most that it delivered within ten round trips, and the
// least that a round trip took within ten seconds. Their product is what the path holds. Packets
// leave at the path's rate, and twice what it holds is in flight at most; a lost packet is sent
// again and changes neither. To keep the figures fresh the rate is a quarter higher in one round
// trip of eight, and a quarter lower in the next, so that what queued goes; and where ten seconds
// brought no shorter round trip, almost nothing is in flight for a fifth of a second.
//
// After Cardwell, Cheng, Gunn, Yeganeh and Jacobson, "BBR: Congestion-Based Congestion Control",
// ACM Queue 14(5), 2016, and draft-cardwell-iccrg-bbr-congestion-control-00, whose constants these
// are; samples of the rate after draft-cheng-iccrg-delivery-rate-estimation-00. Left out: policers
// (its long-term sampling), and packet conservation in the first round trip of a recovery.

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

    // In bytes. `phase`: where its cycle begins, so that those who share a path do not probe
    // together.
    bbr(double segment, double first_window, unsigned phase) noexcept
        : segment_(segment), first_window_(first_window), window_(first_window), phase_(phase) {}

    double window() const noexcept {
        return now_ == mode::probe_rtt ? std::min(window_, 4 * segment_) : window_;
    }
    // When the next packet may leave.
    instant next() const noexcept { return next_; }

    mark on_sent(double size, double flying, instant now) noexcept;
    // There was room for more than there was to send.
    void on_starved(double flying) noexcept { limited_until_ = delivered_ + flying; }

    // An acknowledgement: first what it says has arrived, one by one, and then on_ack() with what
    // is in flight now.
    void on_arrived(const mark& m, double size) noexcept;
    void on_ack(duration rtt, bool lost, double flying, instant now);

  private:
    enum class mode : std::uint8_t { startup, drain, probe_rate, probe_rtt };

    static constexpr double start_gain = 2.89;  // 2 / ln 2: doubles in a round trip
    static constexpr double cycle[8] = {1.25, 0.75, 1, 1, 1, 1, 1, 1};

    static duration time_of(double s) noexcept {
        return duration(static_cast<std::int64_t>(s * 1e9));
    }
    double rate() const noexcept { return rates_.empty() ? 0 : rates_.front().second; }
    double holds() const noexcept { return rates_.empty() ? 0 : rate() * seconds(least_); }
    double gain() const noexcept;
    double window_gain() const noexcept {
        return now_ == mode::startup || now_ == mode::drain ? start_gain : 2;
    }
    // The largest of ten rounds comes first, and behind each the largest of what came later. A
    // sample taken while there was too little to send says only that the path is no slower.
    void note_rate(double sample);
    // Three rounds without a quarter more.
    void look_whether_full() noexcept;
    void advance(bool expired, bool lost, double flying, instant now) noexcept;
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
