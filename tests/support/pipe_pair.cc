#include "support/pipe_pair.h"

#include <gtest/gtest.h>
#include <libp/clock.h>
#include <libp/pipe_fd.h>
#include <libp/pipe_socket.h>
#include <libp/signals.h>
#include <libp/socket.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "support/checked_pipe.h"
#include "support/socket_pairs.h"

namespace libp {
namespace {

void await(fd_type fd, short events) {
    pollfd p{fd, events, 0};
    ASSERT_EQ(::poll(&p, 1, 10'000), 1) << "nothing came in 10 s";
}

void set_buffers(fd_type fd, std::size_t bytes) {
    const int size = static_cast<int>(bytes);
    ASSERT_EQ(::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    ASSERT_EQ(::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size), 0);
}

}  // namespace

std::pair<unique_fd, unique_fd> make_tcp_pair(std::size_t buffers) {
    result<unique_fd> listener = listen_on(*socket_address::parse("127.0.0.1:0"));
    result<unique_fd> client = start_connect(local_address(listener->get()));
    await(listener->get(), POLLIN);
    accept_result server = accept_from(listener->get());
    EXPECT_EQ(server.status, io_status::ok);
    await(client->get(), POLLOUT);
    EXPECT_FALSE(take_error(client->get()));
    for (const fd_type fd : {client->get(), server.fd.get()}) {
        set_buffers(fd, buffers);
        EXPECT_FALSE(set_tcp_options(fd, {}));
    }
    return {std::move(*client), std::move(server.fd)};
}

std::pair<unique_fd, unique_fd> make_unix_pair(std::size_t buffers) {
    result<std::pair<unique_fd, unique_fd>> ends = socket_pair();
    EXPECT_TRUE(ends);
    for (const fd_type fd : {ends->first.get(), ends->second.get()})
        set_buffers(fd, buffers);
    return std::move(*ends);
}

std::pair<unique_fd, unique_fd> make_os_pipe() {
    int fds[2];
    EXPECT_EQ(::pipe(fds), 0);
    return {unique_fd(fds[0]), unique_fd(fds[1])};
}

pair_maker memory_pairs(std::string name, const memory_pair_options& options) {
    pair_maker m{.name = std::move(name), .make = [options](event_loop& loop) {
                     auto [a, b] = make_memory_pair(loop, options);
                     return pipe_pair{std::move(a), std::move(b)};
                 }};
    m.keeps_received = false;
    m.holds = options.capacity;
    if (options.kind == io_kind::datagram) m.holds += options.max_datagram;
    // A byte at a time is a turn of the loop a byte.
    if (options.max_chunk < 64) m.volume = 3000 * options.max_chunk;
    return m;
}

pair_maker unix_pairs() {
    pair_maker m{.name = "unix", .make = [](event_loop& loop) {
                     auto [a, b] = make_unix_pair();
                     return pipe_pair{make_socket_pipe(loop, std::move(a)),
                                      make_socket_pipe(loop, std::move(b))};
                 }};
    m.tells_a_cut = false;
    return m;
}

pair_maker tcp_pairs() {
    return {.name = "tcp", .make = [](event_loop& loop) {
                auto [a, b] = make_tcp_pair();
                return pipe_pair{make_socket_pipe(loop, std::move(a)),
                                 make_socket_pipe(loop, std::move(b))};
            }};
}

pair_maker fd_pairs() {
    ignore_write_signals();  // write(2) to a pipe has no other way
    pair_maker m{.name = "fd", .make = [](event_loop& loop) {
                     auto [read_a, write_b] = make_os_pipe();
                     auto [read_b, write_a] = make_os_pipe();
                     return pipe_pair{make_fd_pipe(loop, std::move(read_a), std::move(write_a)),
                                      make_fd_pipe(loop, std::move(read_b), std::move(write_b))};
                 }};
    m.tells_a_cut = false;
    return m;
}

namespace {

// Changes both ends of what `lower` makes.
pair_maker over(
    pair_maker lower, const std::string& prefix,
    std::function<std::unique_ptr<io_pipe>(event_loop&, std::unique_ptr<io_pipe>)> wrap) {
    pair_maker m = lower;
    m.name = prefix + lower.name;
    m.make = [make = std::move(lower.make), wrap = std::move(wrap)](event_loop& loop) {
        pipe_pair p = make(loop);
        return pipe_pair{wrap(loop, std::move(p.a)), wrap(loop, std::move(p.b))};
    };
    return m;
}

}  // namespace

pair_maker over_dgm(pair_maker lower, const dgm_options& options) {
    pair_maker m = over(std::move(lower), "dgm_", [options](event_loop& loop, auto pipe) {
        return make_dgm_pipe(loop, std::move(pipe), options);
    });
    // One read and one unfinished datagram at the receiver, one at the sender.
    m.holds += 2 * options.max_datagram + std::min(m.holds, 256 * kib);
    return m;
}

pair_maker over_faulty(pair_maker lower, const faults& f) {
    return over(std::move(lower), "faulty_", [f](event_loop& loop, auto pipe) {
        return make_faulty_pipe(loop, std::move(pipe), f);
    });
}

pair_maker over_checked(pair_maker lower) {
    return over(lower, "", [early = lower.takes_early](event_loop&, auto pipe) {
        return make_checked_pipe(std::move(pipe), early);
    });
}

bool wait_until(event_loop& loop, const std::function<bool()>& holds, duration limit) {
    const instant end = monotonic_now() + limit;
    while (!holds()) {
        if (monotonic_now() >= end) return false;
        loop.turn(end);
    }
    return true;
}

bool settle(event_loop& loop, const std::function<bool()>& also) {
    constexpr duration quiet = 20ms;
    const instant end = monotonic_now() + 30s;
    for (;;) {
        const instant before = monotonic_now();
        loop.turn(before + quiet);
        const instant after = monotonic_now();
        if (after - before >= quiet && (!also || also())) return true;
        if (after >= end) return false;
    }
}

}  // namespace libp
