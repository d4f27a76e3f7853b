#pragma once

// Whether somebody keeps below a rate, but for bursts: what is spent flows in, and leaks out at
// that rate (the continuous-state leaky bucket of ITU-T I.371, in bytes).

#include <libp/time.h>

#include <algorithm>
#include <cstddef>

namespace libp::stripe {

class leaky_bucket {
  public:
    // In bytes a second, and bytes.
    constexpr leaky_bucket(double rate, double burst) noexcept : rate_(rate), burst_(burst) {}

    bool is_within(instant now) const noexcept {
        return level_ - rate_ * seconds(now - at_) <= burst_;
    }
    void spent(std::size_t bytes, instant now) noexcept {
        level_ = std::max(0.0, level_ - rate_ * seconds(now - at_)) + static_cast<double>(bytes);
        at_ = now;
    }

  private:
    const double rate_, burst_;
    double level_ = 0;  // at `at_`
    instant at_{};
};

}  // namespace libp::stripe
