#include <kit/announcement.h>
#include <kit/dry_run.h>
#include <kit/explanation.h>
#include <kit/fixed_upstream.h>
#include <kit/requested_upstream.h>
#include <kit/runtime.h>
#include <kit/stack_argument.h>
#include <kit/stripe_program.h>
#include <kit/value_text.h>

#include <libp/process.h>

#include <algorithm>

namespace libp::app {

namespace {

startup_result connector_options_of(const stripe_server_plan& plan, connector_options& to) {
    to.timeout = plan.settings.common.connect_timeout;
    to.tcp = plan.settings.common.tcp;
    return plan.target ? connect_options_of(*plan.target, to.socket) : std::nullopt;
}

tls_limits tls_limits_of(const stripe_server_plan& plan) {
    const auto with_tls = std::ranges::count_if(
        plan.listen, [](const stack_spec& at) { return at.filter("tls") != nullptr; });
    return tls_limits_for({.max_memory = plan.settings.common.max_memory,
                           .listeners = static_cast<std::size_t>(with_tls),
                           .subflows = with_tls > 0 ? static_cast<std::size_t>(-1) : 0,
                           .per_conn = plan.target && plan.target->filter("tls") ? 1u : 0u});
}

resource_limits limits_of(const stripe_server_plan& plan) {
    return stripe_limits(plan.settings, tls_limits_of(plan),
                         plan.target ? datagram_memory(*plan.target) : 0);
}

stripe::node_options server_node_options(const stripe_server_plan& plan) {
    stripe::node_options options = stripe_node_options(plan.settings, tls_limits_of(plan));
    options.node_id = server_node_id(machine_identity(), plan.listen);
    return options;
}

// A server that connects wherever anyone asks it to is a proxy for strangers.
startup_result check_who_chooses(const stripe_server_plan& plan, const stack_spec& at,
                                 const stack_tls& tls, const std::vector<socket_address>& where) {
    if (plan.target || plan.open || (tls.credentials && tls.credentials->knows_clients()) ||
        std::ranges::all_of(where, &socket_address::is_loopback))
        return std::nullopt;
    return startup_error{
        exit_code::config,
        "listen: " + at.address.to_string() +
            ": whoever gets there could choose where streams go, and need not prove who it is",
        "let in those you know with --psk-file F or --client-ca F, or give a TARGET, or say "
        "--open"};
}

// The wiring of the program. Members are in the order in which they may refer to each other. While
// it drains it goes on taking subflows, which the streams that are to finish may need; new streams
// are refused.
class server {
  public:
    server(const stripe_server_plan& plan, const connector_options& connecting)
        : plan_(plan),
          base_(plan.settings.common, limits_of(plan)),
          upstream_(make_upstream(connecting)),
          node_(base_.loop, base_.out, server_node_options(plan),
                stripe::node::stream_handler::to<&server::offered>(*this)),
          streams_(base_.loop, base_.out,
                   base_.relay_options_for(name_of(plan.listen.front(), "main")), *upstream_,
                   base_.life.settled()) {}

    int run();

  private:
    std::unique_ptr<upstream> make_upstream(const connector_options& connecting) {
        if (!plan_.target)
            return std::make_unique<requested_upstream>(base_.loop, base_.names, plan_.rules,
                                                        connecting);
        return std::make_unique<fixed_upstream>(base_.loop, base_.names, *plan_.target, connecting,
                                                target_tls_);
    }
    struct subflow_listener {
        subflow_listener(server& o, const stack_spec& at, const tcp_options& tcp)
            : of(o),
              sockets(o.base_.loop, o.base_.out, at, tcp,
                      listeners::arrival::to<&subflow_listener::arrived>(*this), tls,
                      bounds_of(tls_limits_of(o.plan_))) {}
        static listeners::bounds bounds_of(const tls_limits& tls) {
            return {.strangers = tls.strangers, .pipes = tls.subflows + tls.strangers};
        }
        void arrived(std::unique_ptr<io_pipe> subflow, const socket_address& peer) {
            // What is encrypted is authenticated, which is more than a checksum.
            of.node_.adopt(std::move(subflow),
                           stripe::subflow_path{.name = peer.to_string(),
                                                .payload_crc = tls.credentials == nullptr,
                                                .peer = peer},
                           nullptr, 0);
        }
        server& of;
        stack_tls tls;
        listeners sockets;
    };
    startup_result open();
    void offered(std::unique_ptr<stripe::stream_pipe> stream, const stripe::open_request& request) {
        streams_.offered(std::move(stream), request);
    }
    void status() { log_subflows(base_.out, node_); }
    void farewell(duration limit) {
        for (const auto& l : listeners_)
            l->sockets.close();
        node_.close(delegate<void()>::to<&daemon::end>(base_.life), limit);
    }

    const stripe_server_plan& plan_;
    runtime base_;
    stack_tls target_tls_;
    std::unique_ptr<upstream> upstream_;
    stripe::node node_;
    relay_server streams_;
    std::vector<std::unique_ptr<subflow_listener>> listeners_;
};

startup_result server::open() {
    if (plan_.target)
        if (auto e = base_.tls.prepare(*plan_.target, false, {}, target_tls_)) return e;
    std::vector<socket_address> bound;
    for (const stack_spec& at : plan_.listen) {
        tcp_options tcp = subflow_tcp_options(plan_.settings);
        if (auto e = congestion_control_of(at, tcp.congestion_control)) return e;
        listeners_.push_back(std::make_unique<subflow_listener>(*this, at, tcp));
        subflow_listener& l = *listeners_.back();
        if (auto e = base_.tls.prepare(at, true, stripe_protocol, l.tls)) return e;
        if (auto e = l.sockets.open('s')) return e;
        // What the name means now is what counts.
        if (auto e = check_who_chooses(plan_, at, l.tls, l.sockets.addresses())) return e;
        l.sockets.log_open(name_of(at, "main"));
        for (const socket_address& a : l.sockets.addresses())
            bound.push_back(a);
    }
    return announce(base_.settings.announce, bound);
}

int server::run() {
    base_.life.on_status(delegate<void()>::to<&server::status>(*this));
    base_.life.on_farewell(delegate<void(duration)>::to<&server::farewell>(*this));
    base_.log_limits();
    if (auto e = open()) return report(plan_.program, *e);
    const exit_code code = base_.life.run(streams_);
    if (base_.settings.once)
        base_.report_session(plan_.program, upstream_->name(), code, streams_.last_error());
    return static_cast<int>(code);
}

}  // namespace

startup_result explain(const stripe_server_plan& plan, std::string& text) {
    const daemon_settings& settings = plan.settings.common;
    connector_options connecting;
    if (auto e = connector_options_of(plan, connecting)) return e;
    dry_run start(settings);
    std::string listening;
    for (const stack_spec& at : plan.listen) {
        dry_run::listening made;
        if (auto e = start.listen(at, stripe_protocol, made)) return e;
        if (auto e = check_who_chooses(plan, at, made.tls, made.where)) return e;
        tcp_options tcp = subflow_tcp_options(plan.settings);
        if (auto e = congestion_control_of(at, tcp.congestion_control)) return e;
        listening += "\n  listens   " + explain_listening(at, settings.tls) + ", for subflows";
    }
    if (plan.target)
        if (auto e = start.connect(*plan.target, {})) return e;
    text = plan.program + ": server side, every stream of a session is a connection" + listening +
           "\n  connects  " +
           (plan.target ? explain_connecting(*plan.target, settings.tls)
                        : "to what each stream asks for") +
           explain_patience(settings.connect_timeout) +
           (plan.target ? "" : "\n  allows    " + plan.rules.to_string()) +
           "\n  sends     by the scheduler '" + std::string(name_of(plan.settings.scheduler)) +
           "'\n  resumes   a session without any subflow lives " +
           duration_text(plan.settings.resume) + "\n" + explain_limits(settings, limits_of(plan));
    return std::nullopt;
}

int run_stripe_server(const stripe_server_plan& plan) {
    connector_options connecting;
    if (auto e = connector_options_of(plan, connecting)) return report(plan.program, *e);
    return server(plan, connecting).run();
}

}  // namespace libp::app
