#include <e2e/peer.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

namespace libp::e2e {

namespace {

constexpr std::size_t chunk = 64 * kib;

[[noreturn]] void fail(const std::string& what) {
    throw failure(what + ": " + std::strerror(errno));
}

bool is_reset(int why) {
    return why == ECONNRESET || why == EPIPE;
}

int milliseconds(duration d) {
    return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(d).count());
}

bool poll_for(int fd, short events, duration patience) {
    pollfd p{fd, events, 0};
    int n;
    do {
        n = poll(&p, 1, milliseconds(patience));
    } while (n < 0 && errno == EINTR);
    return n == 1;
}

}  // namespace

void expect(bool holds, const std::string& what) {
    if (!holds) throw failure(what);
}

socket_address parse_address(const std::string& text) {
    auto parsed = socket_address::parse(text);
    expect(bool(parsed), "not an address: " + text);
    return *parsed;
}

unique_fd make_socket(const socket_address& address) {
    unique_fd fd(::socket(address.raw()->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd) fail("socket for " + address.to_string());
    return fd;
}

// -- peer ----------------------------------------------------------------------------------------

peer::peer(unique_fd fd) : fd_(std::move(fd)) {
    timeval limit{std::chrono::duration_cast<std::chrono::seconds>(test_patience()).count(), 0};
    if (setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
        setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0)
        fail("setsockopt");
}

// A connect() that waits takes a reset that comes right behind for its own failure. Whoever uses
// the connection is to have it, so the waiting is poll's.
peer peer::to(const std::string& address) {
    socket_address at = parse_address(address);
    peer made(make_socket(at));
    const bool waits = at.raw()->sa_family != AF_UNIX;
    if (waits && set_nonblocking(made.fd(), true)) fail("O_NONBLOCK");
    if (connect(made.fd(), at.raw(), static_cast<socklen_t>(at.raw_size())) != 0) {
        if (errno != EINPROGRESS) fail("connect to " + address);
        expect(poll_for(made.fd(), POLLOUT, test_patience()), "no answer from " + address);
    }
    if (waits && set_nonblocking(made.fd(), false)) fail("O_NONBLOCK");
    return made;
}

bool peer::can_reach(const std::string& address) {
    socket_address at = parse_address(address);
    unique_fd fd = make_socket(at);
    return connect(fd.get(), at.raw(), static_cast<socklen_t>(at.raw_size())) == 0;
}

void peer::send(bytes data) {
    while (!data.empty()) {
        ssize_t n = ::send(fd(), data.data(), data.size(), MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) fail("send");
        data = data.subspan(static_cast<std::size_t>(n));
    }
}

void peer::send(const pattern& p, std::uint64_t offset, std::uint64_t count) {
    std::vector<std::uint8_t> part(chunk);
    for (std::uint64_t end = offset + count; offset < end;) {
        std::size_t n = static_cast<std::size_t>(std::min<std::uint64_t>(chunk, end - offset));
        p.fill(offset, {part.data(), n});
        send(bytes{part.data(), n});
        offset += n;
    }
}

void peer::finish() {
    if (shutdown(fd(), SHUT_WR) != 0) fail("shutdown");
}

void peer::reset() {
    linger at_once{1, 0};
    if (setsockopt(fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) != 0) fail("SO_LINGER");
    fd_.reset();
}

std::size_t peer::receive_some(mutable_bytes into, const char* wanting) {
    for (;;) {
        ssize_t n = recv(fd(), into.data(), into.size(), 0);
        if (n >= 0) return static_cast<std::size_t>(n);
        if (errno != EINTR) fail(std::string("wanted ") + wanting + ", but recv failed");
    }
}

std::string peer::receive(std::size_t count) {
    std::string got(count, '\0');
    for (std::size_t have = 0; have < count;) {
        auto into = reinterpret_cast<std::uint8_t*>(got.data()) + have;
        std::size_t n = receive_some({into, count - have}, "bytes");
        expect(n != 0,
               "FIN after " + std::to_string(have) + " of " + std::to_string(count) + " bytes");
        have += n;
    }
    return got;
}

void peer::receive(const pattern& p, std::uint64_t offset, std::uint64_t count) {
    std::vector<std::uint8_t> part(chunk);
    for (std::uint64_t end = offset + count; offset < end;) {
        std::size_t room = static_cast<std::size_t>(std::min<std::uint64_t>(chunk, end - offset));
        std::size_t n = receive_some({part.data(), room}, "bytes");
        expect(n != 0, "FIN at " + std::to_string(offset) + ", before " + std::to_string(end));
        std::size_t good = p.matching(offset, {part.data(), n});
        expect(good == n, "wrong byte at " + std::to_string(offset + good));
        offset += n;
    }
}

ending peer::receive_to_end(const pattern& p, std::uint64_t offset) {
    std::vector<std::uint8_t> part(chunk);
    for (;;) {
        ssize_t n = recv(fd(), part.data(), part.size(), 0);
        if (n == 0) return ending::fin;
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == ECONNRESET) return ending::reset;
        if (n < 0) fail("wanted an end, but recv failed");
        std::size_t size = static_cast<std::size_t>(n),
                    good = p.matching(offset, {part.data(), size});
        expect(good == size, "wrong byte at " + std::to_string(offset + good));
        offset += size;
    }
}

ending peer::discard_to_end() {
    std::vector<std::uint8_t> part(chunk);
    for (;;) {
        ssize_t n = recv(fd(), part.data(), part.size(), 0);
        if (n == 0) return ending::fin;
        if (n < 0 && errno == ECONNRESET) return ending::reset;
        if (n < 0 && errno != EINTR) fail("wanted an end, but recv failed");
    }
}

void peer::stays_quiet(duration for_how_long) {
    expect(!poll_for(fd(), POLLIN, for_how_long),
           "something came, though the other end is silent and has not ended");
}

void peer::expect_fin(const std::string& when) {
    std::uint8_t byte;
    expect(receive_some({&byte, 1}, "a FIN") == 0, when + ": a byte came instead of FIN");
}

void peer::expect_reset(const std::string& when) {
    try {
        expect(discard_to_end() == ending::reset, "a clean end");
    } catch (const failure& why) {
        throw failure(when + ": not a reset but " + why.what());
    }
}

void peer::expect_broken(const std::string& when) {
    // No events asked for: an error or hang-up is always reported.
    expect(poll_for(fd(), 0, test_patience()), when + ": it never broke");
    int why = 0;
    socklen_t size = sizeof why;
    if (getsockopt(fd(), SOL_SOCKET, SO_ERROR, &why, &size) != 0) fail("SO_ERROR");
    expect(is_reset(why), when + ": not a reset but " + std::strerror(why));
}

void peer::send_until_broken() {
    std::vector<std::uint8_t> part(chunk);
    for (;;) {
        if (::send(fd(), part.data(), part.size(), MSG_NOSIGNAL) >= 0 || errno == EINTR) continue;
        if (is_reset(errno)) return;
        fail("sending should fail with a reset, but");
    }
}

void peer::send_until_full(const pattern& p, std::uint64_t offset) {
    std::vector<std::uint8_t> part(chunk);
    while (poll_for(fd(), POLLOUT, 200ms)) {
        p.fill(offset, part);
        ssize_t n = ::send(fd(), part.data(), part.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN && errno != EINTR) fail("send");
        if (n > 0) offset += static_cast<std::uint64_t>(n);
    }
}

// -- transfer ------------------------------------------------------------------------------------

void transfer::run(std::uint64_t count, std::uint64_t most) {
    while (received_ < count) {
        pollfd both[2] = {{from_.fd(), static_cast<short>(sent_ < most ? POLLOUT : 0), 0},
                          {to_.fd(), POLLIN, 0}};
        int n = poll(both, 2, milliseconds(test_patience()));
        if (n < 0 && errno == EINTR) continue;
        expect(n > 0, "nothing moves after " + std::to_string(received_) + " bytes");
        if (both[0].revents) push(most);
        if (both[1].revents) pull(count);
    }
}

void transfer::push(std::uint64_t most) {
    std::uint8_t part[chunk];
    std::size_t size = static_cast<std::size_t>(std::min<std::uint64_t>(chunk, most - sent_));
    pattern_.fill(sent_, {part, size});
    ssize_t n = ::send(from_.fd(), part, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN && errno != EINTR) fail("send");
    if (n > 0) sent_ += static_cast<std::uint64_t>(n);
}

void transfer::pull(std::uint64_t count) {
    std::uint8_t part[chunk];
    std::size_t most = static_cast<std::size_t>(std::min<std::uint64_t>(chunk, count - received_));
    ssize_t n = recv(to_.fd(), part, most, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n < 0) fail("recv after " + std::to_string(received_) + " bytes");
    expect(n != 0, "FIN after " + std::to_string(received_) + " bytes");
    std::size_t size = static_cast<std::size_t>(n);
    std::size_t good = pattern_.matching(received_, {part, size});
    expect(good == size, "wrong byte at " + std::to_string(received_ + good));
    received_ += size;
}

// -- where they listen ----------------------------------------------------------------------------

const char* name_of(family f) noexcept {
    return f == family::ipv4 ? "ipv4" : f == family::ipv6 ? "ipv6" : "unix";
}

bool available(family f) {
    if (f != family::ipv6) return true;
    socket_address at = parse_address("[::1]:0");
    unique_fd fd(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return fd && bind(fd.get(), at.raw(), static_cast<socklen_t>(at.raw_size())) == 0;
}

socket_folder::socket_folder() : path_("/tmp/libp-e2e-XXXXXX") {
    if (!mkdtemp(path_.data())) fail("mkdtemp " + path_);
}

socket_folder::~socket_folder() {
    std::error_code ignored;  // a left-over in /tmp is not what is tested
    std::filesystem::remove_all(path_, ignored);
}

target::target(const std::string& at) {
    socket_address address = parse_address(at);
    fd_ = make_socket(address);
    int on = 1;
    if (setsockopt(fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd(), address.raw(), static_cast<socklen_t>(address.raw_size())) != 0 ||
        listen(fd(), 4096) != 0)
        fail("listen at " + at);
    alignas(8) unsigned char raw[128];
    socklen_t size = sizeof raw;
    auto* name = reinterpret_cast<sockaddr*>(raw);
    if (getsockname(fd(), name, &size) != 0) fail("getsockname");
    address_ = socket_address::from_raw(name, size).to_string();
}

peer target::accept() {
    expect(poll_for(fd(), POLLIN, test_patience()), "nobody connected to the target");
    unique_fd accepted(::accept4(fd(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!accepted) fail("accept");
    return peer(std::move(accepted));
}

}  // namespace libp::e2e
