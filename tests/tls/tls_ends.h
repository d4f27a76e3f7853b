#pragma once

// The two ends of a TLS connection, for tests.

#include <libp/pipe_tls.h>

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "support/checked_pipe.h"
#include "support/tls_world.h"

namespace libp {

// Whoever uses a pipe and does nothing with what it says.
struct listener {
    explicit listener(io_pipe& p) { p.attach(io_handler::to<&listener::on_pipe>(*this)); }
    void on_pipe(io_flags) {}
};

// A client and a server of any credentials, over TCP: in memory the alert that says why would go
// with the reset behind it.
struct tls_ends : testing::Test {
    void SetUp() override {
        if (!world.missing().empty()) GTEST_SKIP() << world.missing();
        if (!world.missing_certificates().empty()) GTEST_SKIP() << world.missing_certificates();
    }
    void connect(const tls_credentials& c, const tls_credentials& s,
                 const std::string& name = "localhost") {
        pipe_pair low = tcp_pairs().make(loop);
        client = make_checked_pipe(
            make_tls_pipe(loop, make_checked_pipe(std::move(low.a)), c, {.name = name}));
        server = make_checked_pipe(make_tls_pipe(loop, make_checked_pipe(std::move(low.b)), s));
    }

    tls_world& world = tls_world::shared();
    event_loop loop;
    std::unique_ptr<tls_credentials> client_credentials, server_credentials;
    std::unique_ptr<io_pipe> client, server;
};

}  // namespace libp
