#pragma once

// A pipe that does what the pipe below it does, and watches that it keeps io_pipe.h's contract:
// flags fall only inside calls and only those that may, edges are exactly what rose, the handler
// runs alone, broken and fin are final. It may be put between any two layers. A breach fails the
// running test (not fatally) and names the pipe; a use the contract calls a bug fails it too, on
// the consumer's account.

#include <libp/io_pipe.h>

#include <memory>

namespace libp {

// `early`: it may be writable before it is ready.
std::unique_ptr<io_pipe> make_checked_pipe(std::unique_ptr<io_pipe> lower, bool early = false);

}  // namespace libp
