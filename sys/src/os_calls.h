#pragma once

// The calls that differ between POSIX.1-2008 and a system that does better:
// sys/src.posix/os_calls.cc has the plain versions, sys/src.$OS/os_calls.cc replaces them.
// Everything else in the POSIX sources is the same on both.
//
// A call that returns descriptors returns them non-blocking and close-on-exec, or empty with errno
// set. POSIX has to set the flags in a second step, so there a fork in another thread may leak one;
// Linux sets them at birth.

#include <libp/error.h>
#include <libp/fd.h>
#include <libp/socket_address.h>
#include <libp/time.h>

#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <utility>

namespace libp {

// Calls again for as long as a signal handler got in the way. Not for connect(2), which goes on by
// itself.
template <class Call>
auto uninterrupted(Call call) noexcept {
    for (;;) {
        const auto n = call();
        if (n != -1 || errno != EINTR) return n;
    }
}

// errno as an error. Running out of descriptors, memory or queue (EAGAIN) is a limit: it may pass.
error last_error() noexcept;

unique_fd open_socket(int family, int type = SOCK_STREAM) noexcept;
unique_fd accept_one(fd_type listener, sockaddr_storage& peer, socklen_t& size) noexcept;
std::pair<unique_fd, unique_fd> open_socket_pair() noexcept;
// Read end, write end.
std::pair<unique_fd, unique_fd> open_pipe() noexcept;

// Binds outgoing packets to an interface. Errors: unsupported, permission, invalid (no such
// interface).
error bind_to_device(fd_type fd, const std::string& device) noexcept;
// TCP_USER_TIMEOUT, TCP_NOTSENT_LOWAT and TCP_RTO_MAX_MS; nothing where there are none.
error set_user_timeout(fd_type fd, duration timeout) noexcept;
error set_notsent_lowat(fd_type fd, int low) noexcept;
error set_rto_max(fd_type fd, duration longest) noexcept;
// TCP_CONGESTION. Errors: unsupported, permission, invalid (no such algorithm).
error set_congestion_control(fd_type fd, const std::string& name) noexcept;

// Whether a UNIX address may be in the abstract namespace.
bool has_abstract_paths() noexcept;

}  // namespace libp
