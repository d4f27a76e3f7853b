#pragma once

// Fail at the n-th call below, for every n until none fails: an overlay must never pass on a wrong
// byte or a FIN that was not sent, and breaks for the reason that the pipe below gave.

#include <functional>

#include "support/pipe_pair.h"

namespace libp {

// Puts the overlay over both ends of a pair.
using put_over_both = std::function<pipe_pair(event_loop&, pipe_pair lower)>;

// Transfers both ways with the n-th call to the pipe below one end failing, for n = 0, 1, ... until
// all passes. Expects at least 50 calls.
void expect_clean_failure_at_every_call(const put_over_both& put);

}  // namespace libp
