#include <libp/socket.h>

#include "os_calls.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace libp {

namespace {

socket_address ask(int (*call)(int, sockaddr*, socklen_t*), fd_type fd) noexcept {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    if (call(fd, reinterpret_cast<sockaddr*>(&storage), &size) == -1) return {};
    return socket_address::from_raw(reinterpret_cast<const sockaddr*>(&storage), size);
}

error set_tcp(fd_type fd, int level, int name, int value) noexcept {
    if (setsockopt(fd, level, name, &value, sizeof value) == 0) return {};
    return errno == ENOPROTOOPT ? error{} : last_error();
}

// Whole seconds, rounded up, in the range that every system takes.
int keepalive_seconds(duration d) noexcept {
    constexpr long long most = 32767;
    const auto whole = std::chrono::ceil<std::chrono::seconds>(d).count();
    return static_cast<int>(std::clamp<long long>(whole, 1, most));
}

error set_keepalive(fd_type fd, const tcp_options& options) noexcept {
    if (options.keepalive_idle <= duration::zero()) return {};
    if (const error why = set_tcp(fd, SOL_SOCKET, SO_KEEPALIVE, true)) return why;
#ifdef TCP_KEEPIDLE
    if (const error why =
            set_tcp(fd, IPPROTO_TCP, TCP_KEEPIDLE, keepalive_seconds(options.keepalive_idle)))
        return why;
#endif
#ifdef TCP_KEEPINTVL
    if (const error why =
            set_tcp(fd, IPPROTO_TCP, TCP_KEEPINTVL, keepalive_seconds(options.keepalive_interval)))
        return why;
#endif
#ifdef TCP_KEEPCNT
    if (const error why =
            set_tcp(fd, IPPROTO_TCP, TCP_KEEPCNT, std::clamp(options.keepalive_count, 1, 127)))
        return why;
#endif
    return {};
}

}  // namespace

error shutdown_write(fd_type fd) noexcept {
    return shutdown(fd, SHUT_WR) == 0 ? error{} : last_error();
}

void close_with_reset(unique_fd fd) noexcept {
    if (fd) reset_on_close(fd.get(), true);
}

void reset_on_close(fd_type fd, bool on) noexcept {
    const linger at_once{.l_onoff = on, .l_linger = 0};
    // Fails only for what is no socket or has no connection any more: then there is nothing to
    // reset.
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

error take_error(fd_type fd) noexcept {
    int code = 0;
    socklen_t size = sizeof code;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size) == -1) return last_error();
    errno = code;
    return code == 0 ? error{} : last_error();
}

socket_address local_address(fd_type fd) noexcept {
    return ask(getsockname, fd);
}

socket_address peer_address(fd_type fd) noexcept {
    return ask(getpeername, fd);
}

error set_tcp_options(fd_type fd, const tcp_options& options) noexcept {
    if (const error why = set_tcp(fd, IPPROTO_TCP, TCP_NODELAY, options.no_delay))
        return why.os_errno == EOPNOTSUPP ? error{} : why;  // a UNIX socket, which has none of them
    if (options.reset_on_close) reset_on_close(fd, true);
    // Zero is the system's default, which a new socket has already.
    if (const error why = set_keepalive(fd, options)) return why;
    if (options.user_timeout > duration::zero())
        if (const error why = set_user_timeout(fd, options.user_timeout)) return why;
    if (options.rto_max > duration::zero())
        if (const error why = set_rto_max(fd, options.rto_max)) return why;
    if (!options.congestion_control.empty())
        return set_congestion_control(fd, options.congestion_control);
    return {};
}

error check_congestion_control(const std::string& name) noexcept {
    const unique_fd fd = open_socket(AF_INET);
    return fd ? set_congestion_control(fd.get(), name) : last_error();
}

error check_device(const std::string& name) noexcept {
    const unique_fd fd = open_socket(AF_INET);
    return fd ? bind_to_device(fd.get(), name) : last_error();
}

error limit_unsent(fd_type fd, std::size_t most) noexcept {
    const error why =
        set_notsent_lowat(fd, static_cast<int>(std::clamp<std::size_t>(most, 1, INT_MAX)));
    return why.os_errno == EOPNOTSUPP ? error{} : why;  // a UNIX socket
}

}  // namespace libp
