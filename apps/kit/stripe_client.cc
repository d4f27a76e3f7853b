#include <kit/announcement.h>
#include <kit/dry_run.h>
#include <kit/end_code.h>
#include <kit/explanation.h>
#include <kit/runtime.h>
#include <kit/stack_argument.h>
#include <kit/stripe_program.h>
#include <kit/striped_upstream.h>
#include <kit/value_text.h>

#include <libp/pipe_fd.h>
#include <libp/stripe/dialer.h>

#include <algorithm>
#include <numeric>

namespace libp::app {

namespace {

constexpr fd_type stdin_fd = 0, stdout_fd = 1;
// Those of one server, and those of the one that takes its place.
constexpr std::size_t client_sessions = 4;

stripe::dialer_options dialer_options_of(const stripe_client_plan& plan) {
    stripe::dialer_options options;
    options.subflows = plan.settings.subflows;
    options.connect.timeout = plan.settings.common.connect_timeout;
    options.connect.tcp = subflow_tcp_options(plan.settings);
    options.one_shot = plan.settings.common.once;
    return options;
}

tls_limits tls_limits_of(const stripe_client_plan& plan) {
    const std::size_t near = plan.listen.filter("tls") ? 1 : 0;
    const bool striped = std::ranges::any_of(
        plan.path_specs, [](const stack_spec& at) { return at.filter("tls") != nullptr; });
    return tls_limits_for({.max_memory = plan.settings.common.max_memory,
                           .listeners = near,
                           .subflows = striped ? most_subflows : 0,
                           .per_conn = near});
}

resource_limits limits_of(const stripe_client_plan& plan) {
    return stripe_limits(plan.settings, tls_limits_of(plan), datagram_memory(plan.listen));
}

stripe::node_options client_node_options(const stripe_client_plan& plan) {
    stripe::node_options options = stripe_node_options(plan.settings, tls_limits_of(plan));
    options.max_sessions = client_sessions;
    return options;
}

bool from_stdin(const stripe_client_plan& plan) {
    return plan.listen.base == stack_spec::base_kind::stdio;
}

// "a:1, b:2 through wwan0": those that failed in the same words, or all if none did.
std::string path_names(const stripe_client_plan& plan, const std::vector<error>& failures,
                       error why) {
    const auto same = [&](error e) { return e && to_string(e) == to_string(why); };
    const bool any = std::ranges::any_of(failures, same);
    std::string all;
    for (std::size_t i = 0; i < plan.paths.size(); ++i)
        if (!any || same(failures[i]))
            all += (all.empty() ? "" : ", ") + plan.paths[i].to.to_string() +
                   explain_source(plan.paths[i].socket);
    return all;
}

// How a one-shot session failed. `joined`: its stream had got to the server, so that what could not
// be reached is the target.
void report_end(const stripe_client_plan& plan, const runtime& base, const std::string& paths,
                exit_code code, error why, bool joined) {
    const bool other = why.why == reason::other_version;
    if (!joined && (why.why == reason::protocol_error || other)) {
        report(plan.program, {code, "connect: " + paths + ": " + to_string(why),
                              other ? "compare: " + plan.program + " --version, at both ends"
                                    : "is it a tcp-striper -s that listens there?"});
        return;
    }
    const bool refused = why.why == reason::not_allowed;
    const bool never_made = joined && why && exit_of_attempt(why) == code &&
                            (code == exit_code::unavailable || code == exit_code::no_host ||
                             code == exit_code::no_permission);
    if (!refused && !never_made) return base.report_session(plan.program, paths, code, why);
    const bool named = !plan.target.empty();
    std::string what = "target: " + (named ? plan.target : refused ? "none named" : "the server's");
    if (!refused) what += ", by way of " + paths;
    report(plan.program, {code, what + ": " + to_string(why),
                          refused && !named ? "name one: --target HOST:PORT" : ""});
}

// The wiring of the program. Members are in the order in which they may refer to each other.
class client {
  public:
    explicit client(const stripe_client_plan& plan)
        : plan_(plan),
          base_(plan.settings.common, limits_of(plan)),
          node_(base_.loop, base_.out, client_node_options(plan)),
          upstream_(base_.loop, node_, base_.settings.connect_timeout, plan.target),
          server_(base_.loop, base_.out,
                  base_.relay_options_for(name_of(plan.listen, from_stdin(plan) ? "-" : "main")),
                  upstream_, base_.life.settled()),
          listeners_(base_.loop, base_.out, plan.listen, base_.settings.tcp,
                     listeners::arrival::to<&relay_server::arrived>(server_), near_tls_,
                     {.strangers = tls_limits_of(plan).strangers}) {}

    int run();

  private:
    startup_result open();
    void hangup() {
        base_.tls.reload();
        dialer_->retry_now();
    }
    void status() { log_subflows(base_.out, node_); }
    void farewell(duration limit) {
        dialer_->stop();
        node_.close(delegate<void()>::to<&daemon::end>(base_.life), limit);
    }

    const stripe_client_plan& plan_;
    runtime base_;
    stack_tls near_tls_;
    stripe::node node_;
    std::optional<stripe::dialer> dialer_;  // from open() on
    striped_upstream upstream_;
    relay_server server_;
    listeners listeners_;
};

startup_result client::open() {
    std::vector<stripe::path> paths = plan_.paths;
    if (auto e = base_.tls.prepare(plan_.listen, true, {}, near_tls_)) return e;
    for (std::size_t i = 0; i < paths.size(); ++i) {
        stack_tls tls;
        if (auto e = base_.tls.prepare(plan_.path_specs[i], false, stripe_protocol, tls)) return e;
        paths[i].tls = tls.credentials;
        paths[i].tls_options = tls.options;
    }
    dialer_.emplace(base_.loop, base_.names, node_, base_.out, std::move(paths),
                    dialer_options_of(plan_));
    if (from_stdin(plan_)) {
        auto pipe = make_fd_pipe(base_.loop, unique_fd(stdin_fd), unique_fd(stdout_fd));
        server_.arrived(wrap_in_filters(base_.loop, std::move(pipe), plan_.listen, near_tls_), {});
        return std::nullopt;
    }
    server_.hold_back(listeners_);
    if (auto e = listeners_.open('c')) return e;
    listeners_.log_open(server_.options().listener);
    return announce(base_.settings.announce, listeners_.addresses());
}

int client::run() {
    base_.life.on_hangup(delegate<void()>::to<&client::hangup>(*this));
    base_.life.on_status(delegate<void()>::to<&client::status>(*this));
    base_.life.on_farewell(delegate<void(duration)>::to<&client::farewell>(*this));
    base_.log_limits();
    if (auto e = open()) return report(plan_.program, *e);
    const exit_code code = base_.life.run(server_);
    const error why = server_.last_error();
    if (base_.settings.once)
        report_end(plan_, base_, path_names(plan_, dialer_->failures(), why), code, why,
                   server_.last_joined());
    return static_cast<int>(code);
}

// "tcp relay:8443 as lte from 192.0.2.10 through wwan0, 2 subflows, backup"
std::string explain_path(const stripe::path& p, std::size_t subflows, bool in_order) {
    std::string text = (p.to.is_unix() ? "unix " : "tcp ") + p.to.to_string();
    if (!p.name.empty()) text += " as " + p.name;
    text = one_line(text) + explain_source(p.socket);
    text += ", " + std::to_string(subflows) + (subflows == 1 ? " subflow" : " subflows");
    if (!p.congestion_control.empty()) text += " with " + p.congestion_control;
    if (in_order) text += ", choice " + std::to_string(p.rank + 1);
    if (p.rank > 0 && !in_order) text += ", backup";
    if (!p.payload_crc) text += ", without payload checksums";
    return text;
}

}  // namespace

startup_result explain(const stripe_client_plan& plan, std::string& text) {
    const daemon_settings& settings = plan.settings.common;
    dry_run start(settings);
    dry_run::listening near;
    if (auto e = start.listen(plan.listen, {}, near)) return e;
    for (const stack_spec& at : plan.path_specs)
        if (auto e = start.connect(at, stripe_protocol)) return e;
    const std::vector<std::size_t> dealt =
        stripe::deal_subflows(plan.paths, plan.settings.subflows);
    const std::size_t all = std::accumulate(dealt.begin(), dealt.end(), std::size_t{0});
    const bool in_order = plan.settings.scheduler == stripe::scheduler::backup;
    text = plan.program +
           (from_stdin(plan) ? ": client side, stdin and stdout are one stream, striped over "
                             : ": client side, each connection is a stream, striped over ") +
           std::to_string(all) + " subflows\n";
    text += (from_stdin(plan) ? "  carries   " : "  listens   ") +
            explain_listening(plan.listen, settings.tls) + "\n";
    for (std::size_t i = 0; i < plan.paths.size(); ++i)
        text += "  path      " + explain_layers(plan.path_specs[i], false, settings.tls) +
                explain_path(plan.paths[i], dealt[i], in_order) + "\n";
    if (!plan.target.empty()) text += "  asks for  " + plan.target + "\n";
    text += "  sends     by the scheduler '" + std::string(name_of(plan.settings.scheduler)) +
            "'\n  resumes   a session without any subflow lives " +
            duration_text(plan.settings.resume) + "\n";
    text += explain_limits(settings, limits_of(plan));
    return std::nullopt;
}

int run_stripe_client(const stripe_client_plan& plan) {
    return client(plan).run();
}

}  // namespace libp::app
