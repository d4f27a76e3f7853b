// The traffic of the lab: a server in one namespace, a client in the other, CLOCK_MONOTONIC common
// to both.
//
//     lab-transfer serve PORT [mptcp]       at every address; prints "ready", serves until killed
//     lab-transfer run HOST PORT up|down BYTES [NAME=VALUE...]
//         bind=ADDRESS   the local address
//         mptcp=1        asks the kernel for an MPTCP socket
//         echo=1         beside the transfer, 64 bytes there and back every 50 ms on a connection
//                        of their own
//         warm=BYTES     moves so many first, over a connection of their own, and then
//         idle=SECONDS   waits
//         timeout=SECONDS (300)
//
// The bytes are a pattern that the receiver verifies, to the end of the stream. Prints one line of
// JSON: seconds from before the connect until the receiver has the last byte, ms until it has the
// first, the longest time between two deliveries, and what arrived in every quarter of a second
// (Mbit/s). Exit status 1: it was not exact, or not in time.
//
// Blocking sockets and threads on purpose: the load must not share the machinery it measures.

#include <arpa/inet.h>
#include <linux/mptcp.h>
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
#include <ctime>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "e2e/pattern.h"
#include "support/blocking_io.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#ifndef SOL_MPTCP
#define SOL_MPTCP 284
#endif

namespace {

using libp::no_delay, libp::read_all, libp::write_all;
using nanos = std::int64_t;

nanos clock_now() {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1'000'000'000LL + t.tv_nsec;
}

[[noreturn]] void fail(const std::string& why) {
    std::printf("{\"ok\": false, \"error\": \"%s\"}\n", why.c_str());
    std::fflush(stdout);
    std::_Exit(1);
}

// -- sockets --------------------------------------------------------------------------------------

sockaddr_in address(const char* host, int port) {
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(static_cast<std::uint16_t>(port));
    if (inet_pton(AF_INET, host, &a.sin_addr) != 1) fail(std::string("not an address: ") + host);
    return a;
}

// -- what the two ends tell each other ------------------------------------------------------------

enum class job : std::uint64_t { upload, download, echo };

struct request {
    job what;
    std::uint64_t bytes;
    std::uint64_t seed;
};

constexpr nanos slice = 250'000'000;

// How a stream arrived. The slices count from the first byte.
struct report {
    std::uint64_t bytes = 0;  // that were the right ones
    bool exact = false;       // all of them, and then the end
    nanos first = 0, last = 0, longest_gap = 0, gap_began = 0;
    std::uint64_t slices = 0;
};

struct arrival {
    report facts;
    std::vector<std::uint64_t> slices;
};

arrival receive(int fd, const request& r) {
    const libp::e2e::pattern expected(r.seed);
    std::vector<std::uint8_t> buffer(256 * 1024);
    arrival a;
    report& f = a.facts;
    for (;;) {
        const ssize_t n = read(fd, buffer.data(), buffer.size());
        const nanos now = clock_now();
        if (n <= 0) {
            f.exact = n == 0 && f.bytes == r.bytes;
            break;
        }
        const auto size = static_cast<std::size_t>(n);
        if (f.bytes == 0) f.first = f.last = f.gap_began = now;
        if (now - f.last > f.longest_gap) {
            f.longest_gap = now - f.last;
            f.gap_began = f.last;
        }
        f.last = now;
        const std::size_t at = static_cast<std::size_t>((now - f.first) / slice);
        if (a.slices.size() <= at) a.slices.resize(at + 1);
        a.slices[at] += size;
        const std::size_t good = expected.matching(f.bytes, {buffer.data(), size});
        f.bytes += good;
        if (good != size || f.bytes > r.bytes) break;
    }
    f.slices = a.slices.size();
    return a;
}

bool send_pattern(int fd, const request& r) {
    const libp::e2e::pattern pattern(r.seed);
    std::vector<std::uint8_t> buffer(256 * 1024);
    for (std::uint64_t at = 0; at < r.bytes;) {
        const auto n =
            static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), r.bytes - at));
        pattern.fill(at, {buffer.data(), n});
        if (!write_all(fd, buffer.data(), n)) return false;
        at += n;
    }
    return shutdown(fd, SHUT_WR) == 0;
}

// -- the server -----------------------------------------------------------------------------------

void serve_one(int fd) {
    request r{};
    if (read_all(fd, &r, sizeof r)) {
        if (r.what == job::upload) {
            const arrival a = receive(fd, r);
            if (!write_all(fd, &a.facts, sizeof a.facts) ||
                !write_all(fd, a.slices.data(), a.slices.size() * sizeof a.slices[0]))
                std::fprintf(stderr, "lab-transfer: the client left before its report\n");
        } else if (r.what == job::download) {
            if (!send_pattern(fd, r)) std::fprintf(stderr, "lab-transfer: download cut\n");
        } else {
            char buffer[4096];
            for (ssize_t n; (n = read(fd, buffer, sizeof buffer)) > 0;)
                if (!write_all(fd, buffer, static_cast<std::size_t>(n))) break;
        }
    }
    // The peer closes first, so that nothing of ours is cut off.
    shutdown(fd, SHUT_WR);
    for (char c; read(fd, &c, 1) > 0;) {
    }
    close(fd);
}

int serve(int port, bool mptcp) {
    const int listener = socket(AF_INET, SOCK_STREAM, mptcp ? IPPROTO_MPTCP : 0);
    const sockaddr_in a = address("0.0.0.0", port);
    const int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (listener < 0 || bind(listener, reinterpret_cast<const sockaddr*>(&a), sizeof a) != 0 ||
        listen(listener, 256) != 0)
        fail(std::string("listen: ") + std::strerror(errno));
    std::printf("ready\n");
    std::fflush(stdout);
    for (int fd; (fd = accept(listener, nullptr, nullptr)) >= 0;) {
        no_delay(fd);
        std::thread(serve_one, fd).detach();
    }
    return 1;
}

// -- the client -----------------------------------------------------------------------------------

struct target {
    const char* host;
    int port;
    std::string bind;
    bool mptcp;
};

int dial(const target& t) {
    const int fd = socket(AF_INET, SOCK_STREAM, t.mptcp ? IPPROTO_MPTCP : 0);
    const sockaddr_in to = address(t.host, t.port);
    if (!t.bind.empty()) {
        const sockaddr_in from = address(t.bind.c_str(), 0);
        if (bind(fd, reinterpret_cast<const sockaddr*>(&from), sizeof from) != 0)
            fail(std::string("bind: ") + std::strerror(errno));
    }
    if (fd < 0 || connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0)
        fail(std::string("connect: ") + std::strerror(errno));
    no_delay(fd);
    return fd;
}

// -1: it is a plain TCP connection.
int subflows(int fd) {
    mptcp_info info{};
    socklen_t size = sizeof info;
    if (getsockopt(fd, SOL_MPTCP, MPTCP_INFO, &info, &size) != 0) return -1;
    return info.mptcpi_subflows + 1;
}

struct outcome {
    arrival arrived;
    nanos began = 0;
    int subflows = -1;
};

outcome transfer(const target& t, const request& r) {
    outcome o;
    o.began = clock_now();
    const int fd = dial(t);
    if (!write_all(fd, &r, sizeof r)) fail("the request was cut");
    if (r.what == job::download) {
        o.arrived = receive(fd, r);
        o.subflows = subflows(fd);
    } else {
        if (!send_pattern(fd, r)) fail(std::string("the upload was cut: ") + std::strerror(errno));
        o.subflows = subflows(fd);
        auto& a = o.arrived;
        if (!read_all(fd, &a.facts, sizeof a.facts)) fail("the upload's report was cut");
        a.slices.resize(a.facts.slices);
        if (!read_all(fd, a.slices.data(), a.slices.size() * sizeof a.slices[0]))
            fail("the upload's report was cut");
    }
    close(fd);
    if (!o.arrived.facts.exact)
        fail("not exact: right up to " + std::to_string(o.arrived.facts.bytes) + " of " +
             std::to_string(r.bytes));
    return o;
}

// Echoes of 64 bytes at a steady beat, whatever the answers do.
class echo_beat {
  public:
    explicit echo_beat(const target& t) : fd_(dial(t)) {
        const request r{job::echo, 0, 0};
        std::int64_t message[8] = {};
        if (!write_all(fd_, &r, sizeof r) || !write_all(fd_, message, sizeof message) ||
            !read_all(fd_, message, sizeof message))
            fail("the first echo was cut");
        reader_ = std::thread([this] { read_answers(); });
        writer_ = std::thread([this] { beat(); });
    }

    std::vector<double> stop() {  // ms, sorted
        over_ = true;
        writer_.join();
        reader_.join();
        close(fd_);
        std::sort(took_.begin(), took_.end());
        return took_;
    }

  private:
    void beat() {
        while (!over_) {
            std::int64_t message[8] = {clock_now()};
            if (!write_all(fd_, message, sizeof message)) fail("an echo was cut");
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
        }
        shutdown(fd_, SHUT_WR);
    }

    void read_answers() {
        for (std::int64_t message[8]; read_all(fd_, message, sizeof message);)
            took_.push_back(static_cast<double>(clock_now() - message[0]) / 1e6);
    }

    int fd_;
    std::atomic<bool> over_{false};
    std::vector<double> took_;
    std::thread reader_, writer_;
};

double ms(nanos n) {
    return static_cast<double>(n) / 1e6;
}

void print(const outcome& o, const std::vector<double>& echoes) {
    const report& f = o.arrived.facts;
    const double seconds = ms(f.last - o.began) / 1e3;
    std::printf("{\"ok\": true, \"bytes\": %llu, \"seconds\": %.4f, \"mbit\": %.3f, ",
                static_cast<unsigned long long>(f.bytes), seconds,
                static_cast<double>(f.bytes) * 8 / 1e6 / seconds);
    std::printf("\"first_byte_ms\": %.1f, \"longest_gap_ms\": %.1f, \"gap_at\": %.2f, ",
                ms(f.first - o.began), ms(f.longest_gap), ms(f.gap_began - o.began) / 1e3);
    if (!echoes.empty())
        std::printf(
            "\"echo_p50_ms\": %.1f, \"echo_p99_ms\": %.1f, \"echo_max_ms\": %.1f, "
            "\"echoes\": %zu, ",
            echoes[echoes.size() / 2], echoes[echoes.size() * 99 / 100], echoes.back(),
            echoes.size());
    std::printf("\"mptcp_subflows\": %d, \"timeline\": [", o.subflows);
    for (std::size_t i = 0; i < o.arrived.slices.size(); ++i)
        std::printf("%s%.1f", i ? ", " : "",
                    static_cast<double>(o.arrived.slices[i]) * 8 / ms(slice) / 1e3);
    std::printf("]}\n");
}

int run(target t, request r, std::map<std::string, std::string> options) {
    const auto value = [&](const char* name) {
        return std::strtod(options[name].c_str(), nullptr);
    };
    t.bind = options["bind"];
    t.mptcp = options["mptcp"] == "1";
    const double timeout = options.count("timeout") ? value("timeout") : 300;
    std::thread([timeout] {
        std::this_thread::sleep_for(std::chrono::duration<double>(timeout));
        fail("timeout");
    }).detach();
    if (value("warm") > 0) {
        request first = r;
        first.bytes = static_cast<std::uint64_t>(value("warm"));
        transfer(t, first);
        std::this_thread::sleep_for(std::chrono::duration<double>(value("idle")));
    }
    if (value("echo") <= 0) {
        print(transfer(t, r), {});
    } else {
        echo_beat echo(t);
        const outcome o = transfer(t, r);
        print(o, echo.stop());
    }
    std::fflush(stdout);
    std::_Exit(0);
}

}  // namespace

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);
    const std::string what = argc > 1 ? argv[1] : "";
    if (what == "serve" && argc >= 3) return serve(std::atoi(argv[2]), argc > 3);
    if (what == "run" && argc >= 6) {
        std::map<std::string, std::string> options;
        for (int i = 6; i < argc; ++i) {
            const std::string_view option = argv[i];
            const auto equals = option.find('=');
            if (equals == option.npos) fail("not an option: " + std::string(option));
            options.emplace(option.substr(0, equals), option.substr(equals + 1));
        }
        const job j = std::string_view(argv[4]) == "down" ? job::download : job::upload;
        const request r{j, std::strtoull(argv[5], nullptr, 10), 0x6c6162};
        return run({argv[2], std::atoi(argv[3]), {}, false}, r, std::move(options));
    }
    std::fprintf(
        stderr,
        "usage: lab-transfer serve PORT [mptcp] |\n"
        "       run HOST PORT up|down BYTES [bind=ADDRESS] [mptcp=1] [echo=1] [warm=BYTES] "
        "[idle=SECONDS] [timeout=SECONDS]\n");
    return 2;
}
