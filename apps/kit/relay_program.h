#pragma once

// The programs that are relays: listen there, connect here, bridge the two. What they differ in is
// the filters in the two specs.

#include <kit/daemon_settings.h>

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

// What --explain prints. Errors: what would keep the program from starting, as far as that shows
// without binding or connecting.
startup_result explain(const relay_plan& plan, std::string& text);
// The whole life of the program; the status to exit with.
int run_relay(const relay_plan& plan);

}  // namespace libp::app
