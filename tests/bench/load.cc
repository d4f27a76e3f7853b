// The load side of the benchmarks: a server that sinks and echoes, and clients that measure.
//
//     bench-load serve                      prints "sink PORT" and "echo PORT", serves until its
//                                           stdin ends
//     bench-load bulk HOST PORT BYTES       one flow to a sink; prints seconds
//     bench-load rtt HOST PORT COUNT SIZE   round trips to an echo; prints p50 and p99 in
//                                           microseconds
//     bench-load conns HOST PORT SECONDS N  N at a time: connect, one byte there and back, close;
//                                           prints connections per second
//     bench-load idle HOST PORT N           N connections that once said a byte; prints "ready",
//                                           holds them until stdin ends
//     bench-load greeting                   says "greeting PORT" on stderr, prints what the first
//                                           client says; the recording for:
//     bench-load flood HOST PORT RATE       RATE strangers a second who say what stdin holds and
//                                           wait to be thrown out, until SIGTERM; then prints how
//                                           many came and how many were thrown out
//     bench-load relay PORT HOST PORT       the plainest relay: read(2) 64 KiB, write(2) it, one
//                                           flow after another. PORT 0 is legal; prints "relay
//                                           PORT"
//
// Blocking sockets and threads on purpose: the load must not share the machinery it measures.

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "support/blocking_io.h"

namespace {

using namespace libp;

using steady = std::chrono::steady_clock;

double since(steady::time_point start) {
    return std::chrono::duration<double>(steady::now() - start).count();
}

[[noreturn]] void die(const char* what) {
    std::perror(what);
    std::exit(1);
}

sockaddr_in address(const char* host, int port) {
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(static_cast<std::uint16_t>(port));
    if (inet_pton(AF_INET, host, &a.sin_addr) != 1) die(host);
    return a;
}

int dial(const char* host, int port) {
    const sockaddr_in a = address(host, port);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, reinterpret_cast<const sockaddr*>(&a), sizeof a) != 0) die("connect");
    no_delay(fd);
    return fd;
}

int listen_at(int port, int& bound) {
    sockaddr_in a = address("127.0.0.1", port);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, reinterpret_cast<sockaddr*>(&a), sizeof a) != 0 || listen(fd, 4096) != 0)
        die("listen");
    socklen_t size = sizeof a;
    getsockname(fd, reinterpret_cast<sockaddr*>(&a), &size);
    bound = ntohs(a.sin_port);
    return fd;
}

// -- the server -----------------------------------------------------------------------------------

// Reads to the end, answers how much that was.
void sink(int fd) {
    std::vector<char> buffer(256 * 1024);
    std::uint64_t total = 0;
    for (ssize_t n = 0; (n = read(fd, buffer.data(), buffer.size())) > 0;)
        total += static_cast<std::uint64_t>(n);
    write_all(fd, &total, sizeof total);
    close(fd);
}

// One thread echoes for every connection, so that thousands of idle ones cost it nothing.
void echo_server(int listener) {
    std::vector<pollfd> all{{listener, POLLIN, 0}};
    std::vector<char> buffer(64 * 1024);
    for (;;) {
        if (poll(all.data(), all.size(), -1) < 0) continue;
        if (all[0].revents) {
            const int fd = accept(listener, nullptr, nullptr);
            if (fd < 0) continue;
            no_delay(fd);
            all.push_back({fd, POLLIN, 0});
        }
        for (std::size_t i = 1; i < all.size(); ++i) {
            if (!all[i].revents) continue;
            const ssize_t n = read(all[i].fd, buffer.data(), buffer.size());
            if (n > 0 && write_all(all[i].fd, buffer.data(), static_cast<std::size_t>(n))) continue;
            close(all[i].fd);
            all[i] = all.back();
            all.pop_back();
            --i;
        }
    }
}

int serve() {
    int sink_port = 0, echo_port = 0;
    const int sinks = listen_at(0, sink_port), echoes = listen_at(0, echo_port);
    std::thread([sinks] {
        for (int fd; (fd = accept(sinks, nullptr, nullptr)) >= 0;)
            std::thread(sink, fd).detach();
    }).detach();
    std::thread(echo_server, echoes).detach();
    std::printf("sink %d\necho %d\n", sink_port, echo_port);
    std::fflush(stdout);
    for (char c; read(0, &c, 1) > 0;) {
    }
    std::_Exit(0);
}

// -- the clients ----------------------------------------------------------------------------------

int bulk(const char* host, int port, std::uint64_t bytes) {
    const int fd = dial(host, port);
    const std::vector<char> buffer(256 * 1024, 'x');
    const auto start = steady::now();
    for (std::uint64_t left = bytes; left > 0;) {
        const std::size_t n =
            static_cast<std::size_t>(std::min<std::uint64_t>(left, buffer.size()));
        if (!write_all(fd, buffer.data(), n)) die("write");
        left -= n;
    }
    shutdown(fd, SHUT_WR);
    std::uint64_t arrived = 0;
    if (!read_all(fd, &arrived, sizeof arrived) || arrived != bytes) die("bytes were lost");
    std::printf("%.6f\n", since(start));
    return 0;
}

int rtt(const char* host, int port, int count, std::size_t size) {
    const int fd = dial(host, port);
    std::vector<char> buffer(size, 'x');
    std::vector<double> took;
    for (int i = -count / 10; i < count; ++i) {  // the first tenth warms up
        const auto start = steady::now();
        if (!write_all(fd, buffer.data(), size) || !read_all(fd, buffer.data(), size)) die("echo");
        if (i >= 0) took.push_back(since(start) * 1e6);
    }
    std::sort(took.begin(), took.end());
    std::printf("%.1f %.1f\n", took[took.size() / 2], took[took.size() * 99 / 100]);
    return 0;
}

// One thread for all of them, and a byte that is sent at once: what is measured is to be the relay,
// not how this program is woken.
class connection_load {
  public:
    connection_load(const char* host, int port, std::size_t at_once) : host_(host), port_(port) {
        for (std::size_t i = 0; i < at_once; ++i)
            polled_.push_back({begin(), POLLIN, 0});
        echoed_.resize(at_once);
    }

    void step() {
        if (poll(polled_.data(), polled_.size(), -1) < 0) die("poll");
        for (std::size_t i = 0; i < polled_.size(); ++i)
            if (polled_[i].revents) readable(i);
    }
    long completed() const { return completed_; }

  private:
    int begin() const {
        const int fd = dial(host_, port_);
        if (!write_all(fd, "x", 1)) die("write");
        return fd;
    }
    void readable(std::size_t i) {
        int& fd = polled_[i].fd;
        char c;
        if (read(fd, &c, 1) != (echoed_[i] ? 0 : 1)) die(echoed_[i] ? "end" : "echo");
        if (echoed_[i]) {
            close(fd);
            fd = begin();
            ++completed_;
        } else {
            shutdown(fd, SHUT_WR);
        }
        echoed_[i] = !echoed_[i];
    }

    const char* host_;
    int port_;
    std::vector<pollfd> polled_;
    std::vector<bool> echoed_;
    long completed_ = 0;
};

int conns(const char* host, int port, double seconds, std::size_t at_once) {
    const auto start = steady::now();
    connection_load load(host, port, at_once);
    while (since(start) < seconds)
        load.step();
    std::printf("%.1f\n", static_cast<double>(load.completed()) / since(start));
    return 0;
}

int idle(const char* host, int port, int count) {
    for (int i = 0; i < count; ++i) {
        const int fd = dial(host, port);
        char c = 'x';
        if (!write_all(fd, &c, 1) || !read_all(fd, &c, 1)) die("echo");
    }
    std::printf("ready\n");
    std::fflush(stdout);
    for (char c; read(0, &c, 1) > 0;) {
    }
    return 0;
}

// -- strangers ------------------------------------------------------------------------------------

// A stranger's work must not be the machine's: a greeting made once is as good as a new one to
// whoever is to refuse it.
int greeting() {
    int bound = 0;
    const int listener = listen_at(0, bound);
    std::fprintf(stderr, "greeting %d\n", bound);
    const int fd = accept(listener, nullptr, nullptr);
    char said[16 * 1024];
    const ssize_t n = read(fd, said, sizeof said);
    return n > 0 && write_all(1, said, static_cast<std::size_t>(n)) ? 0 : 1;
}

std::atomic<bool> stopped{false};

int knock(const sockaddr_in& at, const std::string& said) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0) return fd;
    if (connect(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0 && errno != EINPROGRESS)
        die("connect");
    // On loopback it is connected by now, unless the backlog is full: then this one says nothing.
    write_all(fd, said.data(), said.size());
    return fd;
}

int flood(const char* host, int port, double rate) {
    constexpr std::size_t most = 4000;
    std::string said(16 * 1024, 0);
    said.resize(static_cast<std::size_t>(std::max<ssize_t>(0, read(0, said.data(), said.size()))));
    std::signal(SIGTERM, [](int) { stopped = true; });
    const sockaddr_in at = address(host, port);
    std::vector<pollfd> waiting;
    long came = 0, thrown_out = 0;
    char answer[512];
    const auto start = steady::now();
    while (!stopped) {
        while (static_cast<double>(came) < since(start) * rate && waiting.size() < most) {
            const int fd = knock(at, said);
            if (fd >= 0) waiting.push_back({fd, POLLIN, 0});
            ++came;
        }
        poll(waiting.data(), waiting.size(), 0);
        for (std::size_t i = 0; i < waiting.size(); ++i) {
            if (!waiting[i].revents || read(waiting[i].fd, answer, sizeof answer) > 0) continue;
            close(waiting[i].fd);
            waiting[i--] = waiting.back();
            waiting.pop_back();
            ++thrown_out;
        }
        usleep(5000);
    }
    std::printf("%.0f a second came, %ld of %ld were thrown out\n",
                static_cast<double>(came) / since(start), thrown_out, came);
    return 0;
}

// -- the plainest relay ---------------------------------------------------------------------------

void relay_one(int near, int far) {
    std::vector<char> buffer(64 * 1024);
    pollfd ends[2] = {{near, POLLIN, 0}, {far, POLLIN, 0}};
    for (int open = 2; open > 0;) {
        if (poll(ends, 2, -1) < 0) break;
        for (int i = 0; i < 2; ++i) {
            if (!ends[i].revents) continue;
            const ssize_t n = read(i == 0 ? near : far, buffer.data(), buffer.size());
            const int to = i == 0 ? far : near;
            if (n > 0 && write_all(to, buffer.data(), static_cast<std::size_t>(n))) continue;
            shutdown(to, SHUT_WR);
            ends[i].fd = -1;
            --open;
        }
    }
    close(near);
    close(far);
}

int relay(int port, const char* host, int to) {
    int bound = 0;
    const int listener = listen_at(port, bound);
    std::printf("relay %d\n", bound);
    std::fflush(stdout);
    for (int fd; (fd = accept(listener, nullptr, nullptr)) >= 0;)
        relay_one(fd, dial(host, to));
    return 1;
}

}  // namespace

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);
    const std::string what = argc > 1 ? argv[1] : "";
    const auto number = [&](int i) { return std::strtoull(argv[i], nullptr, 10); };
    const auto port = [&](int i) { return static_cast<int>(number(i)); };
    if (what == "serve" && argc == 2) return serve();
    if (what == "bulk" && argc == 5) return bulk(argv[2], port(3), number(4));
    if (what == "rtt" && argc == 6) return rtt(argv[2], port(3), port(4), number(5));
    if (what == "conns" && argc == 6)
        return conns(argv[2], port(3), std::strtod(argv[4], nullptr), number(5));
    if (what == "idle" && argc == 5) return idle(argv[2], port(3), port(4));
    if (what == "greeting" && argc == 2) return greeting();
    if (what == "flood" && argc == 5) return flood(argv[2], port(3), std::strtod(argv[4], nullptr));
    if (what == "relay" && argc == 5) return relay(port(2), argv[3], port(4));
    std::fprintf(stderr,
                 "usage: bench-load serve | bulk HOST PORT BYTES | rtt HOST PORT COUNT SIZE |\n"
                 "       conns HOST PORT SECONDS N | idle HOST PORT N | relay PORT HOST PORT |\n"
                 "       greeting | flood HOST PORT RATE\n");
    return 2;
}
