#pragma once

// What a program asks about its own process.

#include <libp/error.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace libp {

// RLIMIT_NOFILE: raises the soft limit to the hard one and returns it (at most 1,048,576).
std::size_t raise_fd_limit() noexcept;
std::size_t fd_limit() noexcept;
// Whether `n` descriptors more can be had now, or why not.
error check_fds(std::size_t n);

// Opens /dev/null in the place of whichever of stdin, stdout and stderr is closed. Otherwise the
// first sockets get their numbers, and what is written to stderr goes to a stranger. For reading
// alone: who writes there is told, as before, that nobody gets it. Before anything else is opened.
void open_standard_fds() noexcept;

// What stays the same for this machine from start to start and differs, as a rule, from any
// other's: its machine-id (/etc/machine-id) and its host name. Empty where there is no machine-id.
std::string machine_identity();

// Whether the file is this process's user's own. False too if there is none.
bool owns_file(const std::string& path) noexcept;

// CPU seconds (user plus system) of this process so far.
double cpu_seconds() noexcept;
int process_id() noexcept;

}  // namespace libp
