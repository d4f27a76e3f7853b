#include <kit/runtime.h>

namespace libp::app {

relay_options runtime::relay_options_for(std::string listener) const {
    return {.max_conns = limits.max_conns,
            .once = settings.once,
            .listener = std::move(listener),
            .bridge = {.window = limits.window,
                       .plenty = limits.plenty,
                       .idle = settings.idle_timeout,
                       .linger = settings.linger}};
}

void runtime::log_limits() const {
    if (limits.warning.empty()) return;
    out.write(log_level::warn, "limit", {{"max-conns", limits.max_conns}, {"why", limits.warning}});
}

void runtime::report_session(std::string_view program, const std::string& where, exit_code code,
                             error why) const {
    if (code == exit_code::ok || !why) return;
    if (auto e = auth_error(where, why, tls.last_refusal())) {
        report(program, *e);
        return;
    }
    bool connected = code != exit_code::unavailable && code != exit_code::no_host;
    std::string what = connected ? "session" : "connect: " + where;
    report(program, {code, what + ": " + to_string(why), {}});
}

}  // namespace libp::app
