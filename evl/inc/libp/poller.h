#pragma once

// The seam between the event loop and what waits for it: the system's readiness call, and the
// clock.
//
// Time and readiness are one seam because they are one fact: a wait ends at an instant. The real
// pollers (epoll, select) wait in the kernel and read the monotonic clock; a simulated one returns
// at once and says that its deadline has come. The loop above is the same in both.
//
// A poll_slot is the loop's record of one watched descriptor. A poller keeps pointers to the slots
// added to it and reports them; it never calls anybody.

#include <libp/error.h>
#include <libp/flags.h>
#include <libp/os.h>
#include <libp/time.h>

#include <memory>
#include <vector>

namespace libp {

enum class io_interest : std::uint8_t { read = 1, write = 2 };

// `failed`: an error or hang-up is pending, whatever the interest was. What it means is found by
// taking the socket's error or by reading on. It comes along with the readiness asked for, so that
// who just reads or writes on finds out; select cannot tell it apart and reports that readiness
// alone.
enum class io_ready : std::uint8_t { read = 1, write = 2, failed = 4 };

struct poll_slot {
    fd_type fd = no_fd;
    flags<io_interest> interest{};  // what the poller was last told
};

struct poll_event {
    poll_slot* slot;
    flags<io_ready> ready;
};

class poller {
  public:
    virtual ~poller() = default;

    // Starts watching slot.fd for slot.interest (which may be nothing). Level-triggered. A
    // descriptor has one slot. Errors: limit (select: a descriptor of FD_SETSIZE or above),
    // unsupported (epoll: a regular file), system.
    virtual error add(poll_slot& slot) = 0;
    // The slot's interest has changed. With no interest at all, nothing is reported for it, not
    // even `failed`.
    virtual void update(poll_slot& slot) = 0;
    // Forgets the slot. Legal after the descriptor was closed.
    virtual void remove(poll_slot& slot) = 0;

    // Waits until something is ready, wake() was called, or the deadline has come (`never`: no
    // deadline; an instant in the past: only look). Appends what is ready to `out`, each slot at
    // most once. May return early with nothing.
    // "Past" and the time left are reckoned from the last now(), to spare a reading of the clock: a
    // wait may end late by as long as that reading is old, and never ends early for it.
    virtual void wait(instant deadline, std::vector<poll_event>& out) = 0;
    // Ends the wait under way, or the next one at once. The only call that another thread may make.
    virtual void wake() noexcept = 0;

    // The clock; never runs backwards.
    virtual instant now() noexcept = 0;
    virtual const char* name() const noexcept = 0;
};

// Every system has select; Linux adds epoll. nullptr: not on this system, or no descriptors left.
std::unique_ptr<poller> make_select_poller();
std::unique_ptr<poller> make_epoll_poller();
// The best one here.
std::unique_ptr<poller> make_default_poller();

}  // namespace libp
