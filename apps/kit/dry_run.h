#pragma once

// What --explain tries of a start: all of it but binding and connecting, so that a command line
// that would not come up is not explained away.

#include <kit/daemon_settings.h>
#include <kit/startup_error.h>

#include <libp/event_loop.h>
#include <libp/stack.h>

#include <string>
#include <vector>

namespace libp::app {

class dry_run {
  public:
    // `settings` outlives this.
    explicit dry_run(const daemon_settings& settings) : settings_(settings) {}

    // What a LISTEN would have, for as long as this lives.
    struct listening {
        stack_tls tls{};
        std::vector<socket_address> where{};  // none for stdin
    };
    startup_result listen(const stack_spec& at, const std::string& protocol, listening& to);
    startup_result connect(const stack_spec& to, const std::string& protocol);

  private:
    const daemon_settings& settings_;
    event_loop loop_;
    const log nowhere_;
    tls_setup tls_{loop_, nowhere_, settings_.tls, settings_.handshake_timeout};
};

}  // namespace libp::app
