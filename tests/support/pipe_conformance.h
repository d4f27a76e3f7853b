#pragma once

// The contract of io_pipe as tests: every scenario runs over every pair of pipes given, on every
// poller there is, with a checked_pipe at each end.
//
// A suite for more stacks is one statement in a test source:
//
//     const bool registered =
//         register_pipe_conformance({stripe_pairs(2), over_dgm(stripe_pairs(2))});
//
// and its tests are called pipe/NAME/POLLER.SCENARIO.

#include <vector>

#include "support/pipe_pair.h"

namespace libp {

// Before main(). Always true.
bool register_pipe_conformance(const std::vector<pair_maker>& makers);

}  // namespace libp
