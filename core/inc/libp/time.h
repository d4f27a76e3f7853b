#pragma once

// Time as every layer above sys sees it: a monotonic instant, handed in, never read.
//
// `instant` counts nanoseconds since an origin that only the clock that made it knows (boot for the
// real clock, zero for a simulated one). There is no now() here on purpose: sys/clock.h has the
// only one, the event loop reads it once a turn, and protocol engines are passed the result. That
// is what lets a test run an hour in a millisecond, and a failing run be replayed.

#include <chrono>

namespace libp {

struct monotonic {
    using duration = std::chrono::nanoseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<monotonic>;
    static constexpr bool is_steady = true;
};

using instant = monotonic::time_point;
using duration = monotonic::duration;

inline constexpr instant never = instant::max();

// `at + d` without running past `never`; never + anything is never.
constexpr instant saturating_add(instant at, duration d) noexcept {
    if (at == never) return never;
    return d > duration::zero() && at > never - d ? never : at + d;
}

constexpr double seconds(duration d) noexcept {
    return std::chrono::duration<double>(d).count();
}

using namespace std::chrono_literals;

}  // namespace libp
