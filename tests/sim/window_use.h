#pragma once

// What becomes of a congestion window that is not used, as Linux has it (tcp_cwnd_validate and
// tcp_cwnd_restart in net/ipv4).
//
// It grows only if it was full at some time of the last round trip, in slow start if half of it was
// in flight. One that was never full for as long as a timeout comes halfway down to what was in
// flight (RFC 2861); and where nothing was sent for longer, it is halved for every timeout that
// passed. Windows are in segments, positions in bytes.

#include <sim/cubic.h>

#include <cstdint>

namespace libp::sim {

class window_use {
  public:
    explicit window_use(double first_window) noexcept : first_window_(first_window) {}

    // Whether what arrived may make it grow.
    bool limited(double window, const cubic& c) const noexcept {
        return c.starting(window) ? window < 2 * most_out_ : was_full_;
    }
    // Segments were sent and `out` of them are not acknowledged as a whole; `full`: there is no
    // room for another. Everything before `acknowledged` has been, `next` will be sent next.
    // Returns what is left of the window; in recovery, and for another than CUBIC, it `stays`.
    double sent(double window, double out, bool full, std::uint64_t acknowledged,
                std::uint64_t next, cubic& c, bool stays, duration rto, instant now) noexcept;
    // Something is about to be sent after nothing was in flight; the last was sent `idle` ago.
    double idled(double window, duration idle, cubic& c, duration rto, instant now) noexcept;

  private:
    void begin_anew(instant now) noexcept {
        used_ = 0;
        full_at_ = now;
    }

    const double first_window_;
    // In flight at most in the round that ends when `round_end_` is acknowledged, and whether the
    // window was full.
    double most_out_ = 0;
    bool was_full_ = false;
    std::uint64_t round_end_ = 0;
    double used_ = 0;  // at most, since it was last full
    instant full_at_{};
};

}  // namespace libp::sim
