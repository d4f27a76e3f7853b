#pragma once

// Two pipes joined back to back in memory: what is sent into one is received from the other. For
// tests, and for a program that talks to itself through a stack.
//
// Each direction holds at most `capacity` bytes (or that many bytes of datagrams, of which one is
// always taken, and an empty one counts as a byte); a full direction is congested until the other
// end receives. Slices are moved, not copied. reset(), or destroying an unfinished end, breaks the
// other with peer_reset; what it had not yet received is gone.

#include <libp/event_loop.h>
#include <libp/io_pipe.h>

#include <memory>
#include <utility>

namespace libp {

struct memory_pair_options {
    io_kind kind = io_kind::stream;
    std::size_t capacity = 64 * kib;
    std::size_t max_chunk =
        static_cast<std::size_t>(-1);  // most bytes one recv or send moves (streams): 1 finds bugs
    std::size_t max_datagram = 64 * kib;
};

// Both on one loop; each end has its own owner and may die first.
std::pair<std::unique_ptr<io_pipe>, std::unique_ptr<io_pipe>> make_memory_pair(
    event_loop& loop, const memory_pair_options& options = {});

}  // namespace libp
