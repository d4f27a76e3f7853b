#include <libp/socket.h>

#include "os_calls.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace libp {

namespace {

constexpr error in_use{reason::address_in_use, EADDRINUSE};

bool set_option(fd_type fd, int level, int name, int value) noexcept {
    return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

unique_fd socket_for(const socket_address& at) noexcept {
    return open_socket(at.raw()->sa_family);
}

int connect_to(fd_type fd, const socket_address& to) noexcept {
    return connect(fd, to.raw(), static_cast<socklen_t>(to.raw_size()));
}

int bind_to(fd_type fd, const socket_address& at) noexcept {
    return bind(fd, at.raw(), static_cast<socklen_t>(at.raw_size()));
}

result<unique_fd> bound_socket(const socket_address& at, const listen_options& options) {
    unique_fd fd = socket_for(at);
    if (!fd) return last_error();
    if (at.is_ip() && !set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1)) return last_error();
    // Failing to make [::] take IPv4 too means a system that cannot: it is v6_only there.
    if (at.family() == address_family::ipv6 &&
        !set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, options.v6_only) && options.v6_only)
        return last_error();
    if (bind_to(fd.get(), at) == -1) return last_error();
    return fd;
}

// Makes way for a bind to a path that exists, if it is a socket that nobody listens on.
error remove_left_over(const socket_address& at) {
    const std::string path = at.path();
    if (path.empty() || path[0] == '@') return in_use;

    // Of another type, so that whoever listens there is not connected to: that is EPROTOTYPE. A
    // server of one connection would take it for the one.
    const unique_fd probe = open_socket(AF_UNIX, SOCK_DGRAM);
    if (!probe) return last_error();
    if (connect_to(probe.get(), at) == 0) return in_use;
    if (errno == ENOENT) {
        // A symbolic link to nowhere is somebody's doing; a path that has just gone is free.
        struct stat link {};
        return lstat(path.c_str(), &link) == 0 ? in_use : error{};
    }
    if (errno == EACCES || errno == EPERM) return last_error();
    if (errno != ECONNREFUSED) return in_use;

    // A file that is no socket refuses as well, and a link must not be taken for what it points at.
    struct stat file {};
    if (lstat(path.c_str(), &file) == -1) return errno == ENOENT ? error{} : last_error();
    if (!S_ISSOCK(file.st_mode)) return in_use;
    if (unlink(path.c_str()) == -1 && errno != ENOENT) return last_error();
    return {};
}

}  // namespace

result<unique_fd> listen_on(const socket_address& at, const listen_options& options) {
    if (at.family() == address_family::none) return error{reason::invalid};
    auto fd = bound_socket(at, options);
    if (!fd && fd.error().why == reason::address_in_use && !at.is_ip()) {
        if (const error why = remove_left_over(at)) return why;
        fd = bound_socket(at, options);
    }
    if (!fd) return fd;
    if (listen(fd->get(), options.backlog) == -1) return last_error();
    return fd;
}

accept_result accept_from(fd_type listener) {
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    accept_result out;
    out.fd = accept_one(listener, peer, size);
    if (out.fd) {
        out.status = io_status::ok;
        out.peer = socket_address::from_raw(reinterpret_cast<const sockaddr*>(&peer), size);
        return out;
    }
    switch (errno) {
        case EAGAIN:
#if EWOULDBLOCK != EAGAIN
        case EWOULDBLOCK:
#endif
        // It was there and went away, or the network did. Linux hands such errors of the new
        // connection to accept(2); the listener itself is well.
        case ECONNABORTED:
        case ECONNRESET:
        case EPROTO:
        case EPERM:
        case ENETDOWN:
        case ENETUNREACH:
        case EHOSTUNREACH:
        case ENOPROTOOPT:
        case ETIMEDOUT:
#ifdef EHOSTDOWN
        case EHOSTDOWN:
#endif
#ifdef ENONET
        case ENONET:
#endif
            out.status = io_status::again;
            break;
        default:
            out.status = io_status::broken;
            out.why = last_error();
    }
    return out;
}

result<unique_fd> start_connect(const socket_address& to, const connect_options& options) {
    if (to.family() == address_family::none) return error{reason::invalid};
    unique_fd fd = socket_for(to);
    if (!fd) return last_error();
    if (!options.device.empty()) {
        if (!to.is_ip()) return error{reason::unsupported};
        if (const error why = bind_to_device(fd.get(), options.device)) return why;
    }
    if (options.source) {
        // A port that was asked for may have a connection in TIME_WAIT from the last time.
        if (options.source->port() != 0 && !set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1))
            return last_error();
        if (bind_to(fd.get(), *options.source) == -1) return last_error();
    }
    // An interrupted connect goes on in the background like any other.
    if (connect_to(fd.get(), to) == 0 || errno == EINPROGRESS || errno == EINTR) return fd;
    // No file is the UNIX way of saying that nobody listens there.
    if (errno == ENOENT) return error{reason::refused, ENOENT};
    return last_error();
}

result<std::pair<unique_fd, unique_fd>> socket_pair() {
    auto ends = open_socket_pair();
    if (!ends.first) return last_error();
    return ends;
}

}  // namespace libp
