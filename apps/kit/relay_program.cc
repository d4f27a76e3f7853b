#include <kit/relay_program.h>

#include <kit/announcement.h>
#include <kit/dry_run.h>
#include <kit/far_connect.h>
#include <kit/runtime.h>
#include <kit/stack_argument.h>
#include <kit/value_text.h>

namespace libp::app {

namespace {

constexpr std::size_t listener_fds = 8;

tls_limits tls_limits_of(const relay_plan& plan) {
    const std::size_t near = plan.listen.filter("tls") ? 1 : 0;
    const std::size_t far = plan.target.filter("tls") ? 1 : 0;
    return tls_limits_for(
        {.max_memory = plan.settings.max_memory, .listeners = near, .per_conn = near + far});
}

resource_limits limits_of(const relay_plan& plan, std::size_t fds) {
    const tls_limits tls = tls_limits_of(plan);
    const std::size_t datagrams = datagram_memory(plan.listen, plan.target);
    return limits_for({.max_conns = plan.settings.max_conns,
                       .max_memory = plan.settings.max_memory - tls.memory,
                       .fds = fds,
                       .reserved = listener_fds,
                       .overlay = tls.overlay + datagrams,
                       .splice = true});
}

startup_result connector_options_of(const relay_plan& plan, connector_options& to) {
    to.timeout = plan.settings.connect_timeout;
    to.tcp = plan.settings.tcp;
    return connect_options_of(plan.target, to.socket);
}

}  // namespace

std::string explain_layers(const stack_spec& spec, bool listens, const tls_settings& tls) {
    std::string text;
    for (const layer_spec& f : spec.filters) {
        text += f.name == "tls" ? explain_tls(f, listens, tls) : f.name;
        for (const layer_option& o : f.options)
            if (f.name != "tls") text += "," + o.key + "=" + o.value;
        text += " over ";
    }
    return one_line(text);
}

std::string explain_source(const connect_options& options) {
    std::string text;
    if (options.source) {
        const std::string at = options.source->to_string();
        text += " from " + (options.source->port() == 0 ? at.substr(0, at.rfind(':')) : at);
    }
    if (!options.device.empty()) text += " through " + options.device;
    return one_line(text);
}

std::string explain_patience(duration timeout) {
    return timeout > duration{0} ? ", within " + duration_text(timeout) : ", however long it takes";
}

std::string explain_listening(const stack_spec& spec, const tls_settings& tls) {
    const std::string text = explain_layers(spec, true, tls);
    if (spec.base == stack_spec::base_kind::stdio) return text + "stdin and stdout";
    return text + (spec.address.is_unix() ? "unix " : "tcp ") + one_line(spec.address.to_string());
}

std::string explain_connecting(const stack_spec& spec, const tls_settings& tls) {
    connect_options how;
    // What cannot be had was refused before.
    if (connect_options_of(spec, how)) return {};
    return explain_layers(spec, false, tls) + (spec.address.is_unix() ? "unix " : "tcp ") +
           one_line(spec.address.to_string()) + explain_source(how);
}

std::string explain_limits(const daemon_settings& settings, const resource_limits& limits) {
    std::string text = (settings.once ? std::string("  serves    one connection, ")
                                      : "  at most   " + std::to_string(limits.max_conns) +
                                            " connections at once, ") +
                       size_text(limits.window) + " buffered each way, " +
                       size_text(settings.max_memory) + " in all\n";
    text +=
        "  ends      idle " +
        (settings.idle_timeout == duration{0} ? std::string("never")
                                              : "after " + duration_text(settings.idle_timeout)) +
        ", half closed and silent after " + duration_text(settings.linger) + ", keepalive " +
        keepalive_text(settings.tcp) + "\n";
    text += std::string("  exits     ") +
            (settings.once ? "with its status"
                           : "on TERM or INT, connections get " + duration_text(settings.drain) +
                                 " to finish") +
            "\n";
    return text;
}

startup_result explain(const relay_plan& plan, std::string& text) {
    const daemon_settings& settings = plan.settings;
    connector_options connecting;
    if (auto e = connector_options_of(plan, connecting)) return e;
    dry_run start(settings);
    dry_run::listening near;
    if (auto e = start.listen(plan.listen, {}, near)) return e;
    if (auto e = start.connect(plan.target, {})) return e;
    text = plan.program + ": " + plan.purpose + "\n  listens   " +
           explain_listening(plan.listen, settings.tls) + "\n  connects  " +
           explain_connecting(plan.target, settings.tls) +
           explain_patience(settings.connect_timeout) + "\n" +
           explain_limits(settings, limits_of(plan, usable_fds(default_backend())));
    return std::nullopt;
}

int run_relay(const relay_plan& plan) {
    auto failed = [&](const startup_error& e) { return report(plan.program, e); };
    connector_options connecting;
    if (auto e = connector_options_of(plan, connecting)) return failed(*e);

    runtime base(plan.settings);
    const resource_limits limits = limits_of(plan, usable_fds(base.loop.backend()));
    splice_pool pool(limits.splice_pipes);
    stack_tls near_tls, far_tls;
    if (auto e = base.tls.prepare(plan.listen, true, {}, near_tls)) return failed(*e);
    if (auto e = base.tls.prepare(plan.target, false, {}, far_tls)) return failed(*e);
    far_connect far(base.loop, base.names, plan.target, connecting, far_tls);
    relay_options options = base.relay_options_for(name_of(plan.listen, "main"), limits);
    options.bridge.splice = &pool;
    relay_server server(base.loop, base.out, options, far, base.life.settled());
    listeners doors(base.loop, base.out, plan.listen, plan.settings.tcp,
                    listeners::arrival::to<&relay_server::arrived>(server), near_tls,
                    {.strangers = tls_limits_of(plan).strangers});
    server.hold_back(doors);

    if (auto e = doors.open(plan.letter)) return failed(*e);
    doors.log_open(options.listener);
    base.log_limits(limits);
    if (auto e = announce(plan.settings.announce, doors.addresses())) return failed(*e);

    const exit_code code = base.life.run(server);
    if (plan.settings.once)
        base.report_session(plan.program,
                            server.last_client().empty() ? far.name() : server.last_client(), code,
                            server.last_error());
    return static_cast<int>(code);
}

}  // namespace libp::app
