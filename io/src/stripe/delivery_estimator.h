#pragma once

// How fast a subflow delivers, and how long that takes, from what the peer confirmed and when: pure
// arithmetic.
//
//  -- what is measured --
//
// rate        bytes per second that arrive. A sample is what was delivered between the sending of a
//             frame and its confirmation, over the longer of the time it took to send that much and
//             to have it confirmed (draft-cheng-iccrg-delivery-rate-estimation); the rate is the
//             largest of the last second or ten round trips, as in BBR (draft-ietf-ccwg-bbr). A
//             sample taken while there was too little to send counts only if it is larger.
// srtt        RFC 6298, and rttvar. What the peer held a confirmation back for is subtracted.
// rtt_min     the least of the last ten seconds: what a frame takes when nothing queues before it.
// clump       the most that came in excess of the rate within the last ten rounds, as BBR's
//             extra_acked: radio delivers nothing for a while and then everything at once.
//
//  -- what follows from it --
//
// allowance() how much may be in flight: enough to keep the path busy, and little more. What is in
//             flight beyond rate * rtt_min waits in some queue, the kernel's or a router's, where
//             it delays whatever comes next and cannot be taken back when a better path has room.
// frame()     how large frames should be: what is delivered in 5 ms, so that nothing waits long
//             behind one; and so that two are allowed.
// arrival()   how long from now until a frame that is sent now has arrived.
// patience()  how long its silence may mean nothing: rttvar is for that as large as it has been in
//             this round, and less by a quarter of the difference after each round in which it was
//             smaller, as in Linux's TCP. With many samples a round trip RFC 6298's gains forget
//             within a part of one (RFC 7323, appendix G).

#include <libp/time.h>
#include <libp/types.h>

#include <cstdint>

namespace libp::stripe {

class delivery_estimator {
  public:
    // What has to be remembered of every frame until it is confirmed.
    struct mark {
        instant sent{};
        instant first_sent{};         // when what was confirmed last, then, had been sent
        instant delivered_at{};       // when that was confirmed
        std::uint64_t delivered = 0;  // the count confirmed, then
        bool limited = false;         // there was too little to send
    };

    // `rtt`: the handshake's, 0 if unknown.
    delivery_estimator(duration rtt, instant now) noexcept;

    // A frame is about to be sent; `in_flight` is without it.
    mark on_sent(std::size_t in_flight, instant now) noexcept;
    // Everything up to `count` is confirmed; `newest` is the mark of the last frame that covers,
    // and its confirmation was held back for `held`.
    void on_confirmed(std::uint64_t count, const mark& newest, duration held, instant now) noexcept;
    // There is nothing to send although there would be room; `position` is the count sent so far.
    void on_starved(std::uint64_t position) noexcept { limited_until_ = position ? position : 1; }
    // It was silent and is back: what was measured may not hold any more.
    void restart(instant now) noexcept;

    double rate() const noexcept { return rate_[0] > rate_[1] ? rate_[0] : rate_[1]; }
    duration srtt() const noexcept { return srtt_; }
    duration rttvar() const noexcept { return rttvar_; }
    // 0: not known.
    duration rtt_min() const noexcept;

    // `tight`: somebody waits for small things, so rather let the path idle now and then than
    // queue.
    std::size_t allowance(bool tight = false) const noexcept { return tight ? tight_ : allowance_; }
    std::size_t frame(std::size_t largest) const noexcept;
    // In seconds.
    double arrival(std::size_t in_flight, std::size_t size) const noexcept;
    // The same as rate() and rtt_min(), and a guess where nothing was measured yet.
    duration expected_rtt() const noexcept;
    double expected_rate() const noexcept;
    // Still finding out what the path can do: it may soon be twice as fast.
    bool starting() const noexcept { return starting_; }
    // Silence for longer than this is a stall.
    duration patience() const noexcept;

  private:
    void on_round_trip(duration rtt, instant now) noexcept;
    void on_rate(double sample, bool limited, instant now) noexcept;
    void on_clump(std::uint64_t count, instant arrived) noexcept;
    void update_allowance(instant now) noexcept;

    duration srtt_{0}, rttvar_{0};
    duration round_rttvar_{0}, lasting_rttvar_{0};  // at most in this round; for patience

    // Extremes over a window: of the half that is being filled and of the one before.
    double rate_[2] = {0, 0};
    instant rate_since_{};
    duration rtt_min_[2] = {duration{0}, duration{0}};
    std::int64_t half_;            // of which half of a window rtt_min_[0] is
    instant drain_until_ = never;  // set in the half after one in which a queue stood

    instant epoch_{};  // since when what comes is compared with the rate
    std::uint64_t epoch_count_ = 0;
    double clump_[2] = {0, 0};
    int clump_rounds_ = 0;

    std::uint64_t confirmed_ = 0;
    std::uint64_t limited_until_ = 0;  // confirmed counts up to here say little; 0: none do
    instant confirmed_at_{}, confirmed_sent_{};

    bool measured_ = false;  // by a sample that was not limited
    bool starting_ = true;
    double rate_before_ = 0;  // at the last round in which it had grown
    double leapt_with_;       // what came in the round trip in which it last grew by half
    int rounds_without_growth_ = 0;
    std::uint64_t round_end_ = 0;
    std::size_t allowance_ = first_allowance, tight_ = first_allowance;

    static constexpr std::size_t first_allowance = 32 * kib;
};

}  // namespace libp::stripe
