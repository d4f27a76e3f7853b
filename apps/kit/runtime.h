#pragma once

// What every daemon here stands on. Members are in the order in which they may refer to each other.

#include <kit/daemon.h>
#include <kit/daemon_settings.h>
#include <kit/resource_limits.h>

#include <libp/resolver.h>

namespace libp::app {

struct runtime {
    // `given` outlives this.
    runtime(const daemon_settings& given, const resource_limits& most)
        : settings(given), limits(most) {
        life.on_hangup(delegate<void()>::to<&tls_setup::reload>(tls));
    }

    // For what comes in by that name.
    relay_options relay_options_for(std::string listener) const;
    // Warns of fewer connections than were asked for.
    void log_limits() const;
    // Reports how a one-shot session to `where` failed; silent when it did not.
    void report_session(std::string_view program, const std::string& where, exit_code code,
                        error why) const;

    const daemon_settings& settings;
    const resource_limits limits;
    log_output lines{settings.format};
    const log out{lines, settings.verbosity};
    event_loop loop;
    resolver names;
    tls_setup tls{loop, out, settings.tls, settings.handshake_timeout};
    daemon life{loop, out, settings.once, settings.drain};
};

}  // namespace libp::app
