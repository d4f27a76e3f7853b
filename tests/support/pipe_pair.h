#pragma once

// Connected pairs of pipes by recipe: what the conformance suite, and any test that wants to run
// over several stacks, is given. A recipe for a new stack is one line: over_dgm(tcp_pairs()), or a
// pair_maker of its own.

#include <libp/event_loop.h>
#include <libp/io_pipe.h>
#include <libp/pipe_dgm.h>
#include <libp/pipe_memory.h>

#include <functional>
#include <memory>
#include <string>

#include "support/faulty_pipe.h"

namespace libp {

struct pipe_pair {
    std::unique_ptr<io_pipe> a, b;
};

struct pair_maker {
    std::string name;
    std::function<pipe_pair(event_loop&)> make;  // may turn the loop

    // What may be expected of it:
    bool tells_a_cut = true;        // an end that dies is seen as a break, not as a FIN
    bool keeps_received = true;     // what arrived before a break can be received after it
    bool takes_early = false;       // an end may be writable before it is ready
    std::size_t holds = 1 * mib;    // the most bytes under way while nobody receives
    std::size_t holds_at_rest = 0;  // the most bytes of blocks while nothing is under way
    std::size_t volume = 2 * mib;   // how much a bulk test sends
};

pair_maker memory_pairs(std::string name = "memory", const memory_pair_options& options = {});
pair_maker unix_pairs();
pair_maker tcp_pairs();  // 64 KiB buffers, so that congestion comes soon
pair_maker fd_pairs();   // two pipe(2) pairs

pair_maker over_dgm(pair_maker lower, const dgm_options& options = {});
pair_maker over_faulty(pair_maker lower, const faults& f);
// A checked_pipe around each end.
pair_maker over_checked(pair_maker lower);

// Turns the loop until `holds()`. False: it did not within `limit`.
bool wait_until(event_loop& loop, const std::function<bool()>& holds, duration limit = 30s);
// Turns the loop until nothing has happened for 20 ms, and `also()` if it is given. False: that
// never came, which without `also` is a loop that spins. On a busy machine 20 ms may pass with work
// undone: a test that needs more than rest says what.
bool settle(event_loop& loop, const std::function<bool()>& also = {});

}  // namespace libp
