#pragma once

// Writes a chain to a descriptor until it is empty or the descriptor takes no more. Private to io.

#include <libp/chain.h>
#include <libp/io_result.h>
#include <libp/os.h>

namespace libp {

using write_call = io_result (*)(fd_type, const chain&, std::size_t max) noexcept;

struct write_outcome {
    std::size_t bytes = 0;   // taken off the front of the chain
    bool congested = false;  // it would not take the rest
    error why{};             // it failed, maybe after it took some
};

write_outcome write_chain(fd_type fd, write_call call, chain& from);

}  // namespace libp
