#pragma once

// Bare descriptors, connected in pairs, for tests that are one of the ends themselves.

#include <libp/fd.h>

#include <utility>

namespace libp {

// Over loopback, with 64 KiB buffers.
std::pair<unique_fd, unique_fd> make_tcp_pair();
// A pipe(2): where to read, where to write.
std::pair<unique_fd, unique_fd> make_os_pipe();

}  // namespace libp
