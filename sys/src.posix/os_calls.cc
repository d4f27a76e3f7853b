#include "os_calls.h"

#include <libp/socket.h>

#include <fcntl.h>
#include <unistd.h>

namespace libp {

namespace {

// Gives a new descriptor the flags it could not be born with; empty if even that fails.
unique_fd prepared(fd_type raw) noexcept {
    unique_fd fd(raw);
    if (!fd) return fd;
    if (fcntl(fd.get(), F_SETFD, FD_CLOEXEC) == -1 || set_nonblocking(fd.get(), true)) {
        const int e = errno;
        fd.reset();
        errno = e;
    }
    return fd;
}

std::pair<unique_fd, unique_fd> prepared(const int (&raw)[2]) noexcept {
    std::pair<unique_fd, unique_fd> both(prepared(raw[0]), prepared(raw[1]));
    if (!both.first || !both.second) return {};
    return both;
}

}  // namespace

unique_fd open_socket(int family, int type) noexcept {
    return prepared(socket(family, type, 0));
}

unique_fd accept_one(fd_type listener, sockaddr_storage& peer, socklen_t& size) noexcept {
    return prepared(
        uninterrupted([&] { return accept(listener, reinterpret_cast<sockaddr*>(&peer), &size); }));
}

std::pair<unique_fd, unique_fd> open_socket_pair() noexcept {
    int raw[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, raw) == -1) return {};
    return prepared(raw);
}

std::pair<unique_fd, unique_fd> open_pipe() noexcept {
    int raw[2];
    if (pipe(raw) == -1) return {};
    return prepared(raw);
}

error bind_to_device(fd_type, const std::string&) noexcept {
    return {reason::unsupported};
}

error set_user_timeout(fd_type, duration) noexcept {
    return {};
}

error set_notsent_lowat(fd_type, int) noexcept {
    return {};
}

error set_rto_max(fd_type, duration) noexcept {
    return {};
}

error set_congestion_control(fd_type, const std::string&) noexcept {
    return {reason::unsupported};
}

bool get_tcp_state(fd_type, tcp_state&) noexcept {
    return false;
}

bool has_abstract_paths() noexcept {
    return false;
}

}  // namespace libp
