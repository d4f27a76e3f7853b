#pragma once

// Which path should give a subflow to which: pure.
//
// A path whose subflows are held back by their congestion windows while it is not full (loss,
// mostly) carries more with more of them. One that is full carries as much with fewer, unless what
// fills is not the path but each connection's own share of it, which nobody can tell from here. So
// a deal is a trial: the dialer counts before and after, and takes back what did not pay.

#include <libp/stripe/engine.h>

#include <utility>
#include <vector>

namespace libp::stripe {

// What is known of a path's subflows.
struct dealt_path {
    std::size_t up = 0;      // of those, so many are limited ...
    std::size_t window = 0;  // ... by their windows
    std::size_t path = 0;    // ... by the path
    bool fixed = false;      // asked for a number of its own: it neither gives nor takes
    bool keeps = false;      // gave one and was the worse for it
    std::uint8_t rank = 0;
};

// Who gives (first) to whom (second), by their places in `paths`. One from each that can, in turn
// to those in need.
std::vector<std::pair<std::size_t, std::size_t>> redeal(const std::vector<dealt_path>& paths);

}  // namespace libp::stripe
