#pragma once

// Bare descriptors, connected in pairs, for tests that are one of the ends themselves.

#include <libp/fd.h>
#include <libp/types.h>

#include <utility>

namespace libp {

// Over loopback, or of UNIX sockets. The size of their buffers is set (and may be doubled by the
// system), so that how much they hold does not depend on how the machine is tuned.
std::pair<unique_fd, unique_fd> make_tcp_pair(std::size_t buffers = 64 * kib);
std::pair<unique_fd, unique_fd> make_unix_pair(std::size_t buffers = 64 * kib);
// A pipe(2): where to read, where to write.
std::pair<unique_fd, unique_fd> make_os_pipe();

}  // namespace libp
