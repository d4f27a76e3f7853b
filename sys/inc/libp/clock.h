#pragma once

// The two clocks. Only an event loop's poller and the log sink read them: everything else is told
// the time.

#include <libp/time.h>

#include <string>

namespace libp {

// CLOCK_MONOTONIC: never steps, stands still while the machine sleeps.
instant monotonic_now() noexcept;

// The time of day as RFC 3339 in UTC with milliseconds: "2026-11-21T02:05:39.998Z".
std::string wall_clock_text();
// Microseconds since 1970, for the wire's informational send_time.
std::int64_t wall_clock_us() noexcept;

}  // namespace libp
