#include <kit/announcement.h>
#include <kit/daemon.h>
#include <kit/far_stream.h>
#include <kit/relay_program.h>
#include <kit/stack_argument.h>
#include <kit/stripe_program.h>
#include <kit/value_text.h>

#include <libp/pipe_fd.h>
#include <libp/stripe/dialer.h>

#include <algorithm>

namespace libp::app {

namespace {

constexpr fd_type stdin_fd = 0, stdout_fd = 1;
// Those of one server, and those of the one that takes its place.
constexpr std::size_t client_sessions = 4;

startup_result paths_of(const stripe_client_plan& plan, std::vector<stripe::path>& to) {
    for (const stack_spec& spec : plan.paths) {
        stripe::path p;
        p.to = spec.address;
        p.name = name_of(spec, {});
        if (auto e = connect_options_of(spec, p.socket)) return e;
        to.push_back(std::move(p));
    }
    return std::nullopt;
}

stripe::dialer_options dialer_options_of(const stripe_client_plan& plan) {
    stripe::dialer_options options;
    options.subflows = std::max(plan.settings.subflows, plan.paths.size());
    options.connect.timeout = plan.settings.common.connect_timeout;
    options.connect.tcp = subflow_tcp_options(plan.settings);
    return options;
}

stripe::node_options client_node_options(const stripe_client_plan& plan) {
    stripe::node_options options = stripe_node_options(plan.settings);
    options.max_sessions = client_sessions;
    options.payload_crc = !refuses_crc(plan.paths[0]);
    return options;
}

bool from_stdin(const stripe_client_plan& plan) {
    return plan.listen.base == stack_spec::base_kind::stdio;
}

std::string path_names(const stripe_client_plan& plan) {
    std::string all;
    for (const stack_spec& p : plan.paths)
        all += (all.empty() ? "" : ", ") + p.address.to_string();
    return all;
}

// The wiring of the program. Members are in the order in which they may refer to each other.
class client {
  public:
    client(const stripe_client_plan& plan, std::vector<stripe::path> paths)
        : plan_(plan),
          settings_(plan.settings.common),
          lines_(settings_.format),
          out_(lines_, settings_.verbosity),
          life_(loop_, out_, settings_.once || from_stdin(plan), settings_.drain),
          limits_(stripe_limits(plan.settings, usable_fds(loop_.backend()))),
          node_(loop_, out_, client_node_options(plan)),
          dialer_(loop_, names_, node_, out_, std::move(paths), dialer_options_of(plan)),
          far_(loop_, node_, settings_.connect_timeout),
          server_(loop_, out_, relay_options_of(), far_, life_.settled()),
          doors_(loop_, out_, plan.listen, settings_.tcp,
                 listeners::arrival::to<&relay_server::arrived>(server_)) {}

    int run();

  private:
    relay_options relay_options_of() const {
        return {.max_conns = limits_.max_conns,
                .once = settings_.once || from_stdin(plan_),
                .listener = name_of(plan_.listen, from_stdin(plan_) ? "-" : "main"),
                .bridge = {.window = limits_.window,
                           .plenty = limits_.plenty,
                           .idle = settings_.idle_timeout,
                           .linger = settings_.linger}};
    }
    startup_result open();
    void hangup() { dialer_.retry_now(); }
    void status() { log_subflows(out_, node_); }
    void farewell() {
        dialer_.stop();
        node_.close(delegate<void()>::to<&daemon::end>(life_));
    }

    const stripe_client_plan& plan_;
    const daemon_settings& settings_;
    log_output lines_;
    const log out_;
    event_loop loop_;
    resolver names_;
    daemon life_;
    resource_limits limits_;
    stripe::node node_;
    stripe::dialer dialer_;
    far_stream far_;
    relay_server server_;
    listeners doors_;
};

startup_result client::open() {
    if (from_stdin(plan_)) {
        server_.arrived(make_fd_pipe(loop_, unique_fd(stdin_fd), unique_fd(stdout_fd)), {});
        return std::nullopt;
    }
    server_.hold_back(doors_);
    if (auto e = doors_.open('c')) return e;
    doors_.log_open(server_.options().listener);
    return announce(settings_.announce, doors_.addresses());
}

int client::run() {
    life_.on_hangup(delegate<void()>::to<&client::hangup>(*this));
    life_.on_status(delegate<void()>::to<&client::status>(*this));
    life_.on_farewell(delegate<void()>::to<&client::farewell>(*this));
    log_limits(out_, limits_);
    if (auto e = open()) return report(plan_.program, *e);
    exit_code code = life_.run(server_);
    if (server_.options().once)
        report_session(plan_.program, path_names(plan_), code, server_.last_error());
    return static_cast<int>(code);
}

}  // namespace

std::string explain(const stripe_client_plan& plan) {
    stripe::dialer_options dials = dialer_options_of(plan);
    std::string text = plan.program + ": client side, each connection is a stream, striped over " +
                       std::to_string(dials.subflows) + " subflows\n  listens   " +
                       explain_stack(plan.listen) + "\n";
    for (std::size_t i = 0; i < plan.paths.size(); ++i) {
        // Dealt in turn: the first paths have the odd ones.
        std::size_t n =
            dials.subflows / plan.paths.size() + (i < dials.subflows % plan.paths.size() ? 1 : 0);
        text += "  path      " + explain_stack(plan.paths[i]) + ", " + std::to_string(n) +
                (n == 1 ? " subflow\n" : " subflows\n");
    }
    text += "  resumes   a session without any subflow lives " +
            duration_text(plan.settings.resume) + "\n";
    return text + explain_limits(plan.settings.common,
                                 stripe_limits(plan.settings, usable_fds(default_backend())));
}

int run_stripe_client(const stripe_client_plan& plan) {
    std::vector<stripe::path> paths;
    if (auto e = paths_of(plan, paths)) return report(plan.program, *e);
    return client(plan, std::move(paths)).run();
}

}  // namespace libp::app
