#include <kit/announcement.h>
#include <kit/daemon.h>
#include <kit/far_connect.h>
#include <kit/relay_program.h>
#include <kit/stack_argument.h>
#include <kit/stripe_program.h>
#include <kit/value_text.h>

#include <libp/process.h>

namespace libp::app {

namespace {

startup_result connector_options_of(const stripe_server_plan& plan, connector_options& to) {
    to.timeout = plan.settings.common.connect_timeout;
    to.tcp = plan.settings.common.tcp;
    return connect_options_of(plan.target, to.socket);
}

stripe::node_options server_node_options(const stripe_server_plan& plan) {
    stripe::node_options options = stripe_node_options(plan.settings);
    options.node_id = server_node_id(machine_identity(), plan.listen);
    return options;
}

// The wiring of the program. Members are in the order in which they may refer to each other. While it drains it goes on
// taking subflows, which the streams that are to finish may need; new streams are refused.
class server {
  public:
    server(const stripe_server_plan& plan, const connector_options& connecting)
        : plan_(plan),
          settings_(plan.settings.common),
          lines_(settings_.format),
          out_(lines_, settings_.verbosity),
          life_(loop_, out_, settings_.once, settings_.drain),
          limits_(stripe_limits(plan.settings, usable_fds(loop_.backend()))),
          far_(loop_, names_, plan.target, connecting),
          node_(loop_, out_, server_node_options(plan),
                stripe::node::stream_handler::to<&server::offered>(*this)),
          streams_(loop_, out_, relay_options_of(), far_, life_.settled()) {}

    int run();

  private:
    relay_options relay_options_of() const {
        return {.max_conns = limits_.max_conns,
                .once = settings_.once,
                .listener = name_of(plan_.listen.front(), "main"),
                .bridge = {.window = limits_.window,
                           .plenty = limits_.plenty,
                           .idle = settings_.idle_timeout,
                           .linger = settings_.linger}};
    }
    startup_result open();
    void arrived(std::unique_ptr<io_pipe> subflow, const socket_address& peer) {
        node_.adopt(std::move(subflow), peer.to_string());
    }
    void offered(std::unique_ptr<stripe::stream_pipe> stream, const stripe::open_request& request) {
        streams_.offered(std::move(stream), request);
    }
    void status() { log_subflows(out_, node_); }
    void farewell() {
        for (const auto& d : doors_)
            d->close();
        node_.close(delegate<void()>::to<&daemon::end>(life_));
    }

    const stripe_server_plan& plan_;
    const daemon_settings& settings_;
    log_output lines_;
    const log out_;
    event_loop loop_;
    resolver names_;
    daemon life_;
    resource_limits limits_;
    far_connect far_;
    stripe::node node_;
    relay_server streams_;
    std::vector<std::unique_ptr<listeners>> doors_;
};

startup_result server::open() {
    std::vector<socket_address> bound;
    for (const stack_spec& at : plan_.listen) {
        tcp_options tcp = subflow_tcp_options(plan_.settings);
        if (auto e = congestion_control_of(at, tcp.congestion_control)) return e;
        doors_.push_back(std::make_unique<listeners>(
            loop_, out_, at, tcp, listeners::arrival::to<&server::arrived>(*this)));
        if (auto e = doors_.back()->open('s')) return e;
        doors_.back()->log_open(name_of(at, "main"));
        for (const socket_address& a : doors_.back()->addresses())
            bound.push_back(a);
    }
    return announce(settings_.announce, bound);
}

int server::run() {
    life_.on_status(delegate<void()>::to<&server::status>(*this));
    life_.on_farewell(delegate<void()>::to<&server::farewell>(*this));
    log_limits(out_, limits_);
    if (auto e = open()) return report(plan_.program, *e);
    exit_code code = life_.run(streams_);
    if (settings_.once) report_session(plan_.program, far_.name(), code, streams_.last_error());
    return static_cast<int>(code);
}

}  // namespace

std::string explain(const stripe_server_plan& plan) {
    std::string doors;
    for (const stack_spec& at : plan.listen)
        doors += "\n  listens   " + explain_stack(at) + ", for subflows";
    return plan.program + ": server side, every stream of a session is a connection" + doors +
           "\n  connects  " + explain_stack(plan.target) + ", within " +
           duration_text(plan.settings.common.connect_timeout) +
           "\n  sends     by the scheduler '" + std::string(name_of(plan.settings.scheduler)) +
           "'\n  resumes   a session without any subflow lives " +
           duration_text(plan.settings.resume) + "\n" +
           explain_limits(plan.settings.common,
                          stripe_limits(plan.settings, usable_fds(default_backend())));
}

int run_stripe_server(const stripe_server_plan& plan) {
    connector_options connecting;
    if (auto e = connector_options_of(plan, connecting)) return report(plan.program, *e);
    return server(plan, connecting).run();
}

}  // namespace libp::app
