#include <kit/relay_program.h>

#include <kit/announcement.h>
#include <kit/dry_run.h>
#include <kit/explanation.h>
#include <kit/fixed_upstream.h>
#include <kit/runtime.h>
#include <kit/stack_argument.h>

namespace libp::app {

namespace {

constexpr std::size_t listener_fds = 8;

tls_limits tls_limits_of(const relay_plan& plan) {
    const std::size_t near = plan.listen.filter("tls") ? 1 : 0;
    const std::size_t far = plan.target.filter("tls") ? 1 : 0;
    return tls_limits_for(
        {.max_memory = plan.settings.max_memory, .listeners = near, .per_conn = near + far});
}

resource_limits limits_of(const relay_plan& plan) {
    const tls_limits tls = tls_limits_of(plan);
    const std::size_t datagrams = datagram_memory(plan.listen, plan.target);
    return limits_for({.max_conns = plan.settings.max_conns,
                       .max_memory = plan.settings.max_memory - tls.memory,
                       .fds = usable_fds(),
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
           explain_limits(settings, limits_of(plan));
    return std::nullopt;
}

int run_relay(const relay_plan& plan) {
    auto failed = [&](const startup_error& e) { return report(plan.program, e); };
    connector_options connecting;
    if (auto e = connector_options_of(plan, connecting)) return failed(*e);

    runtime base(plan.settings, limits_of(plan));
    splice_pool pool(base.limits.splice_pipes);
    stack_tls near_tls, target_tls;
    if (auto e = base.tls.prepare(plan.listen, true, {}, near_tls)) return failed(*e);
    if (auto e = base.tls.prepare(plan.target, false, {}, target_tls)) return failed(*e);
    fixed_upstream target(base.loop, base.names, plan.target, connecting, target_tls);
    relay_options options = base.relay_options_for(name_of(plan.listen, "main"));
    options.bridge.splice = &pool;
    relay_server server(base.loop, base.out, options, target, base.life.settled());
    listeners near(base.loop, base.out, plan.listen, plan.settings.tcp,
                   listeners::arrival::to<&relay_server::arrived>(server), near_tls,
                   {.strangers = tls_limits_of(plan).strangers});
    server.hold_back(near);

    if (auto e = near.open(plan.letter)) return failed(*e);
    near.log_open(options.listener);
    base.log_limits();
    if (auto e = announce(plan.settings.announce, near.addresses())) return failed(*e);

    const exit_code code = base.life.run(server);
    if (plan.settings.once)
        base.report_session(plan.program,
                            server.last_client().empty() ? target.name() : server.last_client(),
                            code, server.last_error());
    return static_cast<int>(code);
}

}  // namespace libp::app
