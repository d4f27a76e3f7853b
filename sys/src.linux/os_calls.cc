#include "os_calls.h"

#include <libp/socket.h>

#include <fcntl.h>
#include <linux/tcp.h>  // its tcp_info is longer than that of <netinet/tcp.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstddef>

namespace libp {

unique_fd open_socket(int family, int type) noexcept {
    return unique_fd(socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

unique_fd accept_one(fd_type listener, sockaddr_storage& peer, socklen_t& size) noexcept {
    return unique_fd(uninterrupted([&] {
        return accept4(listener, reinterpret_cast<sockaddr*>(&peer), &size,
                       SOCK_CLOEXEC | SOCK_NONBLOCK);
    }));
}

std::pair<unique_fd, unique_fd> open_socket_pair() noexcept {
    int raw[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, raw) == -1) return {};
    return {unique_fd(raw[0]), unique_fd(raw[1])};
}

std::pair<unique_fd, unique_fd> open_pipe() noexcept {
    int raw[2];
    if (pipe2(raw, O_CLOEXEC | O_NONBLOCK) == -1) return {};
    return {unique_fd(raw[0]), unique_fd(raw[1])};
}

error bind_to_device(fd_type fd, const std::string& device) noexcept {
    if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device.c_str(),
                   static_cast<socklen_t>(device.size() + 1)) == 0)
        return {};
    if (errno == ENODEV) return {reason::invalid, ENODEV};
    return last_error();
}

error set_user_timeout(fd_type fd, duration timeout) noexcept {
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(timeout).count();
    const auto value = static_cast<unsigned>(std::clamp<long long>(ms, 0, INT_MAX));
    if (setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &value, sizeof value) == 0) return {};
    return last_error();
}

error set_notsent_lowat(fd_type fd, int low) noexcept {
    if (setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &low, sizeof low) == 0) return {};
    return last_error();
}

error set_rto_max(fd_type fd, duration longest) noexcept {
    constexpr int tcp_rto_max_ms = 44;  // newer than most systems' headers
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(longest).count();
    const auto value = static_cast<int>(std::clamp<long long>(ms, 1000, 120'000));
    if (setsockopt(fd, IPPROTO_TCP, tcp_rto_max_ms, &value, sizeof value) == 0) return {};
    return errno == ENOPROTOOPT ? error{} : last_error();  // before Linux 6.15
}

error set_congestion_control(fd_type fd, const std::string& name) noexcept {
    if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name.c_str(),
                   static_cast<socklen_t>(name.size())) == 0)
        return {};
    if (errno == ENOENT) return {reason::invalid, ENOENT};
    return last_error();
}

bool get_tcp_state(fd_type fd, tcp_state& to) noexcept {
    ::tcp_info info{};
    socklen_t size = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return false;
    // The last field of interest came with Linux 4.6.
    if (size < offsetof(::tcp_info, tcpi_min_rtt) + sizeof info.tcpi_min_rtt) return false;
    if (info.tcpi_rtt == 0 || info.tcpi_min_rtt == UINT32_MAX) return false;
    to.rtt = std::chrono::microseconds(info.tcpi_rtt);
    to.rtt_min = std::chrono::microseconds(info.tcpi_min_rtt);
    to.unsent = info.tcpi_notsent_bytes;
    return true;
}

bool has_abstract_paths() noexcept {
    return true;
}

}  // namespace libp
