#pragma once

// The programs that are relays: listen there, connect here, bridge the two. What they differ in is the
// filters in the two specs.

#include <kit/daemon_settings.h>
#include <kit/resource_limits.h>

#include <libp/stack.h>

#include <string>

namespace libp::app {

struct relay_plan {
    std::string program;
    std::string purpose;  // "plain streams in, datagrams out", for --explain
    char letter = 'r';    // the option that says where to listen, for hints
    stack_spec listen;
    stack_spec target;
    daemon_settings settings;
};

// What --explain prints. Errors: what would keep the program from starting, as far as that shows without binding or connecting.
startup_result explain(const relay_plan& plan, std::string& text);
// The whole life of the program; the status to exit with.
int run_relay(const relay_plan& plan);

// Parts of explanations that others share.
std::string explain_listening(const stack_spec& spec, const tls_settings& tls);
std::string explain_connecting(const stack_spec& spec, const tls_settings& tls);
// Its filters alone: "dgm,max=64k over tls (keys of /etc/k) over ", or nothing.
std::string explain_layers(const stack_spec& spec, bool listens, const tls_settings& tls);
// " from 192.0.2.10 through wwan0", or nothing.
std::string explain_source(const connect_options& options);
// ", within 10s", or however long it takes.
std::string explain_patience(duration timeout);
std::string explain_limits(const daemon_settings& settings, const resource_limits& limits);

}  // namespace libp::app
