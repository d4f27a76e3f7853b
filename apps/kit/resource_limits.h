#pragma once

// How much a daemon may do at once, worked out from what it is given: descriptors and memory.

#include <cstddef>
#include <string>

namespace libp::app {

struct resource_limits {
    std::size_t max_conns = 0;
    std::size_t window = 0;  // buffered bytes that a direction of a connection always has
    std::size_t plenty = 0;  // in all buffers together: below this, a direction may have 256 KiB
    std::size_t splice_pipes = 0;  // kernel pipes for bulk, lent to connections
    std::string
        warning;  // why there are fewer connections than were asked for; empty: there are not
};

struct resource_request {
    std::size_t max_conns = 0;  // 0: the default, as many as fit but at most 1000
    std::size_t max_memory = 0;
    std::size_t fds = 0;       // the process may have
    std::size_t reserved = 0;  // of them, for other things than connections and the loop
    bool splice = false;
};

// A connection needs two descriptors, a kernel pipe two. Half of max_memory is shared evenly over both directions of all connections: that is
// the window, within 8 KiB and 256 KiB; where it would be less, there are fewer connections. The other half is for whoever moves bulk, first come first served.
resource_limits limits_for(const resource_request& request);

// The loop backend that an event_loop made here will have.
const char* default_backend() noexcept;
// Raises the soft descriptor limit and returns how many this process can use with that loop backend.
std::size_t usable_fds(const char* backend);

}  // namespace libp::app
