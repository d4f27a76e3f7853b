#include "stripe/delivery_estimator.h"

#include <libp/stripe/wire.h>

#include <algorithm>
#include <utility>

namespace libp::stripe {

namespace {

constexpr duration rtt_window = 10s;
constexpr duration drain_time = 20ms;
// What takes no time at all has no rate.
constexpr duration least_rtt = 1us;
constexpr duration least_rate_window = 1s;
// A round that is not faster by a quarter is no faster; three of them end the start (BBR).
constexpr double growth = 1.25;
constexpr int rounds_to_settle = 3;
// While starting: what TCP's slow start needs to double in every round trip. (BBR's 2.89 is for
// pacing; here it only fills queues.)
constexpr double start_gain = 2.2;
// Twice as much was in flight, and half as much again came in the same time: then it may be twice
// as much once more, however long that round trip was. Where round trips vary nearly all are longer
// than the shortest, and with what that one holds the start would end where it began. What brought
// less than this may have been a queue. It holds for rounds that had enough to send, and not for a
// start after a silence, when the rate was only thought to be less.
constexpr double leap = 1.5;
// What TCP sends in its first round trip: ten segments (RFC 6928).
constexpr double first_flight = 14480;
// Afterwards: a quarter more than what the path holds finds out whether it has become faster.
constexpr double settled_gain = 1.25;
// ... and where a path delivers in clumps, with round trips that vary, what it holds while it
// delivers nothing. Either alone is none of the path's doing: round trips vary where this end fills
// a queue, which then delivers evenly; and confirmations come in clumps where they are held back.
// As long as it starts a path is not known well enough for that: it only fills queues.
constexpr double wobbles = 4;
constexpr duration most_wobble = 400ms;
constexpr int clump_rounds = 5;
constexpr double tight_start_gain = 1.5, tight_gain = 1.15;
// Confirmations come up to 10 ms late (subflow.cc), and that much is in flight in name only.
constexpr duration confirmation_delay = 10ms;
constexpr duration frame_time = 5ms;
// All that for what comes late. Where much comes in no time a confirmation is never late, and more
// than this only falls out of caches (measured over loopback: some percent slower with 1 MiB).
constexpr double most_slack = 128 * kib;
constexpr std::size_t smallest_frame = 4 * kib;
// Of a subflow that knows nothing: a frame that fits into the first flight.
constexpr std::size_t unknown_frame = 8 * kib;
// Of a subflow of which nothing is known at all.
constexpr duration unknown_rtt = 50ms;
constexpr duration least_patience = 200ms, most_patience = 3s, unknown_patience = 1s;

}  // namespace

delivery_estimator::delivery_estimator(duration rtt, instant now) noexcept
    : rtt_min_{rtt, duration{0}},
      half_(now.time_since_epoch() / (rtt_window / 2)),
      leapt_with_(first_flight) {}

delivery_estimator::mark delivery_estimator::on_sent(std::size_t in_flight, instant now) noexcept {
    if (in_flight == 0) confirmed_at_ = confirmed_sent_ = now;
    return {now, confirmed_sent_, confirmed_at_, confirmed_, limited_until_ != 0};
}

void delivery_estimator::on_confirmed(std::uint64_t count, const mark& newest, duration held,
                                      instant now) noexcept {
    const instant arrived = now - std::clamp(held, duration{0}, now - newest.sent);
    on_round_trip(arrived - newest.sent, now);
    const duration took =
        std::max({arrived - newest.delivered_at, newest.sent - newest.first_sent, least_rtt});
    // Shorter than the shortest round trip cannot be: confirmations were bunched.
    if (took >= rtt_min())
        on_rate(static_cast<double>(count - newest.delivered) / seconds(took), newest.limited, now);
    on_clump(count, arrived);
    confirmed_ = count;
    if (count > limited_until_) limited_until_ = 0;
    confirmed_at_ = arrived;
    confirmed_sent_ = newest.sent;
    if (newest.delivered >= round_end_) {
        round_end_ = count;
        if (round_rttvar_ < lasting_rttvar_)
            lasting_rttvar_ -= (lasting_rttvar_ - round_rttvar_) / 4;
        round_rttvar_ = duration{0};
        if (++clump_rounds_ >= clump_rounds) {
            clump_rounds_ = 0;
            clump_[1] = std::exchange(clump_[0], 0);
        }
        if (newest.limited) leapt_with_ = std::min(leapt_with_, first_flight);
        if (starting_ && !newest.limited) {
            if (rate() >= rate_before_ * growth) {
                if (rate_before_ > 0 && leapt_with_ > 0 && rate() >= rate_before_ * leap)
                    leapt_with_ = static_cast<double>(count - newest.delivered);
                rate_before_ = rate();
                rounds_without_growth_ = 0;
            } else if (++rounds_without_growth_ >= rounds_to_settle) {
                starting_ = false;
            }
        }
    }
    update_allowance(now);
}

void delivery_estimator::on_round_trip(duration rtt, instant now) noexcept {
    rtt = std::max(rtt, least_rtt);
    if (srtt_ == duration{0}) {
        srtt_ = rtt;
        rttvar_ = rtt / 2;
    } else {
        rttvar_ += (std::max(srtt_ - rtt, rtt - srtt_) - rttvar_) / 4;
        srtt_ += (rtt - srtt_) / 8;
    }
    round_rttvar_ = std::max(round_rttvar_, rttvar_);
    lasting_rttvar_ = std::max(lasting_rttvar_, rttvar_);
    const auto least = [](duration a, duration b) { return a == duration{0} ? b : std::min(a, b); };
    if (const auto half = now.time_since_epoch() / (rtt_window / 2); half != half_) {
        half_ = half;
        // A queue that stood all the time would be taken for the path. All subflows let it drain at
        // the same moment, for they may share it; what is seen then is what counts.
        const bool stood = rtt_min_[1] > duration{0} && rtt_min_[0] > rtt_min_[1] * 9 / 8;
        const bool drain = stood && drain_until_ == never;
        drain_until_ = drain ? now + 2 * rtt_min_[1] + drain_time : never;
        if (!drain) rtt_min_[1] = rtt_min_[0];
        rtt_min_[0] = duration{0};
    }
    rtt_min_[0] = least(rtt_min_[0], rtt);
}

void delivery_estimator::on_rate(double sample, bool limited, instant now) noexcept {
    if (limited && sample <= rate()) return;
    measured_ = measured_ || !limited;
    const duration window = std::max(least_rate_window, 10 * rtt_min());
    if (now - rate_since_ >= window / 2) {
        rate_[1] = rate_[0];
        rate_[0] = 0;
        rate_since_ = now;
    }
    rate_[0] = std::max(rate_[0], sample);
}

// While no more has come than the rate says the measuring begins anew.
void delivery_estimator::on_clump(std::uint64_t count, instant arrived) noexcept {
    const double expected = rate() * seconds(arrived - epoch_);
    if (static_cast<double>(confirmed_ - epoch_count_) <= expected || arrived < epoch_) {
        epoch_ = arrived;
        epoch_count_ = confirmed_;
    }
    const double came = static_cast<double>(count - epoch_count_);
    clump_[0] = std::max(clump_[0], came - rate() * seconds(arrived - epoch_));
}

void delivery_estimator::restart(instant now) noexcept {
    for (double& r : rate_)
        r /= 2;
    starting_ = true;
    rate_before_ = leapt_with_ = 0;
    rounds_without_growth_ = 0;
    update_allowance(now);
}

duration delivery_estimator::rtt_min() const noexcept {
    if (rtt_min_[0] == duration{0}) return rtt_min_[1];
    return rtt_min_[1] == duration{0} ? rtt_min_[0] : std::min(rtt_min_[0], rtt_min_[1]);
}

void delivery_estimator::update_allowance(instant now) noexcept {
    if (!measured_) return;
    const double r = rate(), least = seconds(rtt_min());
    const double clump = std::max(clump_[0], clump_[1]) / r;
    const double wobble = std::min({wobbles * seconds(rttvar_), clump, seconds(most_wobble)});
    const double path =
        starting_ ? start_gain * std::max(least, leapt_with_ / r) : settled_gain * least + wobble;
    const auto worth = [r](double time) {
        return std::max<std::size_t>(4 * smallest_frame, static_cast<std::size_t>(r * time));
    };
    if (drain_until_ != never && now < drain_until_) {
        allowance_ = tight_ = worth(least / 2);
        return;
    }
    const auto slack = [r](duration time) { return std::min(seconds(time), most_slack / r); };
    allowance_ = worth(path + slack(confirmation_delay + 2 * frame_time));
    tight_ = worth((starting_ ? tight_start_gain : tight_gain) * least +
                   slack(confirmation_delay + frame_time));
}

std::size_t delivery_estimator::frame(std::size_t largest) const noexcept {
    if (!measured_) return std::min(unknown_frame, largest);
    const auto in_time = static_cast<std::size_t>(rate() * seconds(frame_time));
    // Headers are in flight as well.
    const std::size_t half = tight_ / 2 - wire::header_size - wire::trailer_size;
    return std::clamp(std::min(in_time, half), std::min(smallest_frame, largest), largest);
}

duration delivery_estimator::expected_rtt() const noexcept {
    const duration least = rtt_min();
    return least == duration{0} ? unknown_rtt : least;
}

double delivery_estimator::expected_rate() const noexcept {
    if (measured_) return rate();
    return std::max(rate(), first_flight / seconds(expected_rtt()));
}

double delivery_estimator::arrival(std::size_t in_flight, std::size_t size) const noexcept {
    const double r = expected_rate(), least = seconds(expected_rtt());
    const double queued = static_cast<double>(in_flight + size) - r * least;
    return std::max(0.0, queued) / r + least / 2;
}

duration delivery_estimator::patience() const noexcept {
    if (srtt_ == duration{0}) return std::max(unknown_patience, 4 * rtt_min());
    return std::clamp(srtt_ + 4 * lasting_rttvar_ + 25ms, least_patience, most_patience);
}

}  // namespace libp::stripe
