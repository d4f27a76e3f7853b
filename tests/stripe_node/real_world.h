#pragma once

// Nodes over real sockets on the real loop, and what talks over their streams.

#include <gtest/gtest.h>
#include <libp/assert.h>
#include <libp/endpoint.h>
#include <libp/io_listener.h>
#include <libp/pipe_socket.h>
#include <libp/resolver.h>
#include <libp/socket.h>

#include <cstdlib>
#include <filesystem>

#include "stripe_node/world.h"

namespace libp::stripe {

// A node behind a listener: on a TCP port of the system's choice, or where it is told.
struct server {
    explicit server(event_loop& l, const socket_address& at = *socket_address::parse("127.0.0.1:0"),
                    const node_options& options = {})
        : loop(l),
          end(std::make_unique<node_end>(l, options)),
          listener(l, *listen_on(at), io_listener::accepted::to<&server::on_accept>(*this), {}) {}
    void on_accept(unique_fd fd, const socket_address&) {
        ++accepted;
        if (end) end->it.adopt(make_socket_pipe(loop, std::move(fd)), {});
    }
    // A new process, as far as anybody can tell.
    void restart() {
        end.reset();
        end = std::make_unique<node_end>(loop, node_options{});
    }
    endpoint where() const { return *endpoint::parse(listener.address().to_string()); }

    event_loop& loop;
    std::unique_ptr<node_end> end;
    std::size_t accepted = 0;
    io_listener listener;
};

struct real_world {
    explicit real_world(const node_options& options = {}) : client(loop, options) {}

    template <class F>
    bool run(F done, duration limit = 20s) {
        const instant end = loop.now() + limit;
        while (!done()) {
            if (loop.now() >= end) return false;
            loop.turn(std::min(end, loop.now() + 1s));
        }
        return true;
    }

    event_loop loop;
    resolver names;
    node_end client;
};

struct scratch_folder {
    scratch_folder() { check(::mkdtemp(path.data()) != nullptr, "mkdtemp"); }
    ~scratch_folder() { std::filesystem::remove_all(path); }
    std::string path = "/tmp/libp-test-XXXXXX";
};

}  // namespace libp::stripe
