// tcp-striper: a relay, and a pair that stripes every connection over many subflows.
//
//     client --> tcp-striper -c ==subflows over one or more paths==> tcp-striper -s --> target

#include <kit/program.h>
#include <kit/relay_program.h>
#include <kit/stack_argument.h>
#include <kit/stripe_program.h>

#include <algorithm>

namespace {

using namespace libp;
using namespace libp::app;

constexpr const char* program = "tcp-striper";

struct striper_settings {
    char mode = 0;  // 'c', 's', 'r'; 0: none was given
    std::string listen = "0.0.0.0:55555";
    stripe_settings stripe;
};

option_setter into_mode(striper_settings& to, char letter) {
    return [&to, letter](std::string_view value) -> std::string {
        if (to.mode && to.mode != letter) return std::string("excludes -") + to.mode;
        to.mode = letter;
        to.listen = value;
        return value.empty() ? "the value is empty" : "";
    };
}

std::string check_scheduler(std::string_view value) {
    std::string shown = "'" + std::string(value) + "'";
    if (value == "auto" || value == "congestion") return {};
    if (value == "rr" || value == "redundant" || value == "backup")
        return shown + " is unsupported in this version (auto, congestion)";
    return shown + " is not a scheduler (auto, congestion)";
}

option_table make_table(striper_settings& to) {
    option_table table(program,
                       {"[-r LISTEN] [TARGET]", "-c LISTEN PATH [PATH...]", "-s LISTEN TARGET"});
    table.group("Modes (default: relay 0.0.0.0:55555 to 127.0.0.1:22):");
    table.add({'c', {}, "LISTEN", "client side: a stream for each connection", into_mode(to, 'c')});
    table.add({'s', {}, "LISTEN", "server side: subflows in, streams out", into_mode(to, 's')});
    table.add({'r', {}, "LISTEN", "plain relay", into_mode(to, 'r')});
    table.group("Striping:");
    table.add({'n', "subflows", "N", "of a session, dealt over the paths (4, most 64)",
               into_count(to.stripe.subflows, 1, most_subflows)});
    table.add({0, "scheduler", "auto|congestion", "how frames find their subflow (auto)",
               check_scheduler});
    table.add({0, "resume", "DUR", "a session without any subflow lives this long (60s)",
               into_duration(to.stripe.resume)});
    add_daemon_options(table, to.stripe.common);
    table.epilogue(
        "LISTEN is PORT, :PORT, HOST:PORT, [v6]:PORT, /path or a SPEC; with -c also '-', stdin "
        "and\n"
        "stdout as the one stream. PATH and TARGET are HOST:PORT, /path or a SPEC, for example\n"
        "tcp://relay:8443,bind=192.0.2.10,name=dsl or tcp://relay:8443,dev=wwan0.\n"
        "DUR: 250ms 10s 5m. SIZE: 64k 8M 1G.\n");
    return table;
}

int finish(const startup_result& wrong) {
    return report(program, *wrong);
}

int relay(const striper_settings& settings, const std::vector<std::string>& operands) {
    if (operands.size() > 1) return finish(usage_error("too many operands: '" + operands[1] + "'"));
    relay_plan plan;
    plan.program = program;
    plan.purpose = "plain relay";
    plan.settings = settings.stripe.common;
    if (auto e = parse_listen(settings.listen, "55555", false, plan.listen)) return finish(e);
    if (auto e = parse_target(operands.empty() ? "127.0.0.1:22" : operands[0], "22", plan.target))
        return finish(e);
    return plan.settings.explain ? print(explain(plan)) : run_relay(plan);
}

int client(const striper_settings& settings, const std::vector<std::string>& operands) {
    if (operands.empty())
        return finish(usage_error("-c needs a PATH: where the server listens",
                                  "tcp-striper -c " + settings.listen + " relay.example:8443"));
    if (operands.size() > most_subflows) return finish(usage_error("more than 64 paths"));
    stripe_client_plan plan{program, {}, {}, settings.stripe};
    if (auto e = parse_listen(settings.listen, "55555", true, plan.listen)) return finish(e);
    for (const std::string& text : operands) {
        stack_spec path;
        if (auto e = parse_path(text, path)) return finish(e);
        plan.paths.push_back(std::move(path));
    }
    bool first = refuses_crc(plan.paths[0]);
    auto differs = [&](const stack_spec& p) { return refuses_crc(p) != first; };
    if (std::any_of(plan.paths.begin(), plan.paths.end(), differs))
        return finish(usage_error("crc=no on some paths only is unsupported in this version"));
    return plan.settings.common.explain ? print(explain(plan)) : run_stripe_client(plan);
}

int server(const striper_settings& settings, const std::vector<std::string>& operands) {
    if (operands.empty())
        return finish(usage_error("-s needs a TARGET: where the streams go",
                                  "tcp-striper -s " + settings.listen + " 127.0.0.1:22"));
    if (operands.size() > 1) return finish(usage_error("too many operands: '" + operands[1] + "'"));
    stripe_server_plan plan{program, {}, {}, settings.stripe};
    if (auto e = parse_listen(settings.listen, "55555", false, plan.listen)) return finish(e);
    if (!plan.listen.filters.empty())
        return finish(
            startup_error{exit_code::config,
                          "spec: '" + settings.listen + "': layers are unsupported under subflows",
                          {}});
    if (auto e = parse_target(operands[0], "22", plan.target)) return finish(e);
    return plan.settings.common.explain ? print(explain(plan)) : run_stripe_server(plan);
}

}  // namespace

int main(int argc, char** argv) {
    striper_settings settings;
    option_table table = make_table(settings);
    std::vector<std::string> operands;
    if (auto status = parse_command_line(table, settings.stripe.common, argc, argv, operands))
        return *status;
    if (settings.mode == 'c') return client(settings, operands);
    if (settings.mode == 's') return server(settings, operands);
    return relay(settings, operands);
}
