#include <apps/test_socket.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace libp::app {

namespace {

constexpr int patience_seconds = 20;

struct any_address {
    sockaddr_storage raw{};
    socklen_t size = 0;
    sockaddr* get() { return reinterpret_cast<sockaddr*>(&raw); }
};

any_address unix_address(const std::string& path) {
    any_address a;
    auto* un = reinterpret_cast<sockaddr_un*>(&a.raw);
    un->sun_family = AF_UNIX;
    std::strncpy(un->sun_path, path.c_str(), sizeof(un->sun_path) - 1);
    a.size = sizeof(sockaddr_un);
    return a;
}

any_address tcp_address(const std::string& host, unsigned port) {
    any_address a;
    auto* in = reinterpret_cast<sockaddr_in*>(&a.raw);
    in->sin_family = AF_INET;
    in->sin_port = htons(static_cast<std::uint16_t>(port));
    inet_pton(AF_INET, host.c_str(), &in->sin_addr);
    a.size = sizeof(sockaddr_in);
    return a;
}

any_address parse(const std::string& text) {
    if (text.starts_with('/')) return unix_address(text);
    std::size_t colon = text.rfind(':');
    if (colon == std::string::npos) throw std::runtime_error("no address: " + text);
    return tcp_address(text.substr(0, colon),
                       static_cast<unsigned>(std::stoul(text.substr(colon + 1))));
}

void limit_waits(int fd) {
    timeval limit{patience_seconds, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

std::string address_of(int fd) {
    any_address a;
    a.size = sizeof a.raw;
    getsockname(fd, a.get(), &a.size);
    return "127.0.0.1:" + std::to_string(ntohs(reinterpret_cast<sockaddr_in*>(&a.raw)->sin_port));
}

int bound(any_address at) {
    int fd = socket(at.raw.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, at.get(), at.size) != 0) throw std::runtime_error("bind");
    return fd;
}

}  // namespace

test_socket::test_socket(test_socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

test_socket& test_socket::operator=(test_socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
}

test_socket::~test_socket() {
    close();
}

test_socket test_socket::connect(const std::string& address) {
    any_address to = parse(address);
    test_socket s(socket(to.raw.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    limit_waits(s.fd_);
    if (::connect(s.fd_, to.get(), to.size) != 0) s.close();
    return s;
}

bool test_socket::send(const std::string& data) {
    std::size_t sent = 0;
    while (sent < data.size()) {
        ssize_t n = ::send(fd_, data.data() + sent, data.size() - sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        sent += static_cast<std::size_t>(n);
    }
    return true;
}

std::string test_socket::receive(std::size_t size) {
    std::string data(size, '\0');
    std::size_t got = 0;
    while (got < size) {
        ssize_t n = recv(fd_, data.data() + got, size - got, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        got += static_cast<std::size_t>(n);
    }
    data.resize(got);
    return data;
}

std::string test_socket::receive_all(std::string* how_it_ended) {
    std::string data;
    for (;;) {
        char buffer[65536];
        ssize_t n = recv(fd_, buffer, sizeof buffer, 0);
        if (n > 0) {
            data.append(buffer, static_cast<std::size_t>(n));
            continue;
        }
        if (n < 0 && errno == EINTR) continue;
        const char* how = n == 0 ? "fin" : errno == EAGAIN ? "timeout" : "reset";
        if (how_it_ended) *how_it_ended = how;
        return data;
    }
}

std::string test_socket::wait_end() {
    std::string how;
    receive_all(&how);
    return how;
}

void test_socket::send_fin() {
    shutdown(fd_, SHUT_WR);
}

void test_socket::reset() {
    linger now{1, 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
}

void test_socket::close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
}

test_listener::test_listener(const std::string& path) {
    fd_ = bound(path.empty() ? tcp_address("127.0.0.1", 0) : unix_address(path));
    if (listen(fd_, 256) != 0) throw std::runtime_error("listen");
    address_ = path.empty() ? address_of(fd_) : path;
}

test_listener::~test_listener() {
    ::close(fd_);
    if (address_.starts_with('/')) unlink(address_.c_str());
}

test_socket test_listener::accept() {
    pollfd p{fd_, POLLIN, 0};
    if (poll(&p, 1, patience_seconds * 1000) != 1) return {};
    test_socket s(::accept(fd_, nullptr, nullptr));
    if (s.is_open()) limit_waits(s.fd());
    // Or a child started later would hold the connection open.
    if (s.is_open()) fcntl(s.fd(), F_SETFD, FD_CLOEXEC);
    return s;
}

refusing_port::refusing_port()
    : fd_(bound(tcp_address("127.0.0.1", 0))), address_(address_of(fd_)) {}

refusing_port::~refusing_port() {
    ::close(fd_);
}

}  // namespace libp::app
