#include "support/sim_poller.h"

#include <libp/assert.h>

namespace libp {

error sim_poller::add(poll_slot&) {
    return {reason::unsupported, 0};
}

void sim_poller::update(poll_slot&) {
    fail("a simulated poller has no descriptors");
}

void sim_poller::remove(poll_slot&) {
    fail("a simulated poller has no descriptors");
}

void sim_poller::wait(instant deadline, std::vector<poll_event>&) {
    if (woken_.exchange(false) || deadline <= now_) return;
    check(deadline != never, "the simulation is stuck: no timer is armed and nothing is deferred");
    now_ = deadline;
}

}  // namespace libp
