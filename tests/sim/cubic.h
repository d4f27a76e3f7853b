#pragma once

// CUBIC as a sender runs it: how its window grows between losses, and what a loss leaves of it.
//
// Slow start doubles the window in a round trip, until a loss or, with HyStart, until the queue is
// felt. From then on the window follows a cubic function of time that comes back to where the last
// loss was, and is never less than Reno's would be. A loss leaves 0.7 of it. Windows are in
// segments; the sender keeps its own, and is told what becomes of it.
//
// After RFC 9438; HyStart's figures are those of RFC 9406.

#include <libp/time.h>

#include <algorithm>
#include <cstdint>

namespace libp::sim {

class cubic {
  public:
    explicit cubic(bool hystart) noexcept : hystart_(hystart) {}

    // `segments` were newly acknowledged, without a loss to make good. `limited`: the window was
    // what held the sender back.
    double grown(double window, double segments, bool limited, duration rtt_min, instant now);
    double reduced(double window) noexcept;
    bool starting(double window) const noexcept { return window < threshold_; }
    // The window is about to become smaller for want of use.
    void remember(double window) noexcept { threshold_ = std::max(threshold_, window * 0.75); }
    // Everything was lost: it begins anew.
    void on_timeout() noexcept { epoch_ = never; }

    // A round trip was measured; all before `acknowledged` has arrived, `next` will be sent next.
    // Eight samples into a round the queue is felt.
    void on_round_trip(double window, duration rtt, duration rtt_min, std::uint64_t acknowledged,
                       std::uint64_t next) noexcept;

  private:
    const bool hystart_;
    double threshold_ = 1e9, most_ = 0, origin_ = 0, reach_ = 0, friendly_ = 0;
    instant epoch_ = never, grown_at_{};
    std::uint64_t round_end_ = 0;
    duration round_least_{0};
    int round_samples_ = 0;
};

}  // namespace libp::sim
