#pragma once

// How much a daemon may do at once, worked out from what it is given: descriptors and memory.

#include <kit/startup_error.h>

#include <libp/stack.h>

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
    std::size_t overlay = 0;   // bytes a connection holds besides its buffers
    bool splice = false;
};

// A connection needs two descriptors, a kernel pipe two. Half of max_memory is shared evenly over
// both directions of all connections: that is the window, within 8 KiB and 256 KiB; where it would
// be less, there are fewer connections. The other half is for whoever moves bulk, first come first
// served.
resource_limits limits_for(const resource_request& request);

// What OpenSSL holds is counted by the pipe (pipe_tls.h) and comes off max_memory first: a
// sixteenth is for strangers who shake hands, an eighth at most for subflows. What connections hold
// is their `overlay`.
struct tls_limits {
    std::size_t strangers = 0;  // at each listener, at least one
    std::size_t subflows =
        0;                    // at each listener of a server for subflows; of a client all together
    std::size_t overlay = 0;  // of a connection
    std::size_t memory = 0;   // for strangers and subflows; no more than half of max_memory
};

struct tls_request {
    std::size_t max_memory = 0;
    std::size_t listeners = 0;  // with TLS
    std::size_t subflows = 0;   // with TLS; 0: none, npos: as many as may come
    std::size_t per_conn = 0;   // a connection's ends with TLS
};
tls_limits tls_limits_for(const tls_request& request);

// What the dgm layers of a connection's ends may hold, which is part of its `overlay`: what an end
// received and is not whole, and where both are such ends, as much again that one has handed over
// and the other could not send yet.
std::size_t datagram_memory(const stack_spec& end);
std::size_t datagram_memory(const stack_spec& near, const stack_spec& far);
// Whether that much fits at all: into what connections share, which is a quarter of max_memory at
// least.
startup_result check_datagrams(std::size_t needed, std::size_t max_memory);

// Raises the soft descriptor limit, and looks whether that leaves enough to begin with.
startup_result check_descriptors();
// Raises the soft descriptor limit and returns how many this process can use, with its loop.
std::size_t usable_fds();

}  // namespace libp::app
