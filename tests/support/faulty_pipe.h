#pragma once

// A pipe that makes trouble with the pipe below it, all within the contract: it moves bytes in
// small pieces, says `again` where there was more and comes back later, and breaks at the N-th
// call. What it does follows from its seed.

#include <libp/event_loop.h>
#include <libp/io_pipe.h>

#include <memory>

namespace libp {

struct faults {
    std::uint64_t seed = 1;
    std::size_t max_chunk = static_cast<std::size_t>(-1);  // streams: 1 to this many bytes a call
    std::uint64_t again_one_in = 0;                        // 0: never
    duration delay{50us};                                  // until what said `again` is ready again
    // The call of recv, send or send_fin, counted from 0, that breaks the pipe, as a reset does.
    std::size_t fail_at = static_cast<std::size_t>(-1);
    error failure{reason::peer_reset};
};

std::unique_ptr<io_pipe> make_faulty_pipe(event_loop& loop, std::unique_ptr<io_pipe> lower,
                                          const faults& f);

}  // namespace libp
