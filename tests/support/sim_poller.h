#pragma once

// A poller for simulations: time is a number, and waiting for it takes none.
//
// wait() jumps to the deadline at once, so an hour of timers runs in a blink and every run is the
// same. There are no descriptors: whatever is simulated (links, peers, failures) happens in the
// loop's own timers, posts and deferred calls. A wait without a deadline would be for ever: the
// simulation is stuck, and says so by aborting.

#include <libp/poller.h>

#include <atomic>

namespace libp {

class sim_poller final : public poller {
  public:
    explicit sim_poller(instant start = instant{}) noexcept : now_(start) {}

    error add(poll_slot& slot) override;  // unsupported
    void update(poll_slot& slot) override;
    void remove(poll_slot& slot) override;
    void wait(instant deadline, std::vector<poll_event>& out) override;
    void wake() noexcept override { woken_ = true; }
    instant now() noexcept override { return now_; }
    const char* name() const noexcept override { return "simulated"; }

  private:
    instant now_;
    std::atomic<bool> woken_{false};
};

}  // namespace libp
