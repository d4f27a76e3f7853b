// tcp-proxy: a relay, and a pair that carries a TCP stream as datagrams.
//
//     client --plain--> tcp-proxy -c --datagrams--> tcp-proxy -s --plain--> target

#include <kit/bug_exit.h>
#include <kit/program.h>
#include <kit/relay_program.h>
#include <kit/resource_limits.h>
#include <kit/stack_argument.h>
#include <kit/value_text.h>

#include <libp/types.h>

namespace {

using namespace libp;
using namespace libp::app;

constexpr char program[] = "tcp-proxy";

struct proxy_settings {
    char mode = 0;  // 'c', 's', 'r'; 0: none was given
    std::string listen = "0.0.0.0:55555";
    std::size_t max_datagram = 512 * kib;
    bool datagrams_given = false;
    daemon_settings common;
};

option_setter into_mode(proxy_settings& to, char letter) {
    return [&to, letter](std::string_view value) -> std::string {
        if (to.mode == letter) return "there is one already, '" + to.listen + "'";
        if (to.mode) return std::string("excludes -") + to.mode;
        to.mode = letter;
        to.listen = value;
        return value.empty() ? "the value is empty" : "";
    };
}

option_table make_table(proxy_settings& to) {
    option_table table(program, "a relay, and a pair that carries TCP streams as datagrams",
                       {"[-c LISTEN | -s LISTEN | -r LISTEN] [HOST [PORT] | HOST:PORT | SPEC]"});
    table.group("Modes (default: -c 0.0.0.0:55555; the target's default is 127.0.0.1:22):");
    table.add({'c', {}, "LISTEN", "client-facing: plain in, datagrams out", into_mode(to, 'c')});
    table.add({'s', {}, "LISTEN", "server-facing: datagrams in, plain out", into_mode(to, 's')});
    table.add({'r', {}, "LISTEN", "raw relay", into_mode(to, 'r')});
    table.add({0, "max-datagram", "SIZE", "longest datagram, the same at both ends (512k)",
               [&to](std::string_view value) {
                   to.datagrams_given = true;
                   return into_size(to.max_datagram, 1, 64 * mib)(value);
               }});
    add_daemon_options(table, to.common);
    table.epilogue(
        "LISTEN is PORT, :PORT, HOST:PORT, [v6]:PORT, /path or a SPEC; a SPEC is layers and a "
        "base,\n"
        "application side first: dgm+tcp://host:443, unix:///run/x.sock, tcp://host:22,dev=eth1.\n"
        "DUR: 250ms 10s 5m. SIZE: 64k 8M 1G.\n\n" +
        std::string(daemon_notes));
    return table;
}

// Datagrams on this side, unless its spec says so already.
startup_result add_datagrams(stack_spec& spec, const proxy_settings& settings) {
    if (!spec.filter("dgm"))
        spec.filters.insert(spec.filters.begin(),
                            {"dgm", {{"max", size_text(settings.max_datagram)}}});
    else if (settings.datagrams_given)
        return usage_error("--max-datagram is for a spec without dgm of its own",
                           "in the spec: dgm,max=SIZE");
    return std::nullopt;
}

startup_result make_plan(const proxy_settings& settings, const std::vector<std::string>& operands,
                         relay_plan& plan) {
    plan.program = program;
    plan.letter = settings.mode ? settings.mode : 'c';
    plan.settings = settings.common;
    if (plan.letter == 'r' && settings.datagrams_given)
        return usage_error("--max-datagram is for -c and -s",
                           "in a relay: dgm,max=SIZE+tcp://HOST:PORT as LISTEN or as TARGET");
    if (operands.size() > 2) return usage_error("too many operands: '" + operands[2] + "'");
    if (auto e = parse_listen(settings.listen, "55555", false, plan.listen)) return e;
    startup_result wrong =
        operands.size() == 2
            ? parse_target_pair(operands[0], operands[1], plan.target)
            : parse_target(operands.empty() ? "127.0.0.1:22" : operands[0], "22", plan.target);
    if (wrong) return wrong;

    plan.purpose = "raw relay";
    if (plan.letter == 'c') {
        plan.purpose = "client-facing, plain streams in, datagrams out";
        add_tls_layer(settings.common.tls, plan.target);
        if (auto e = add_datagrams(plan.target, settings)) return e;
    } else if (plan.letter == 's') {
        plan.purpose = "server-facing, datagrams in, plain streams out";
        add_tls_layer(settings.common.tls, plan.listen);
        if (auto e = add_datagrams(plan.listen, settings)) return e;
    }
    if (auto e =
            check_datagrams(datagram_memory(plan.listen, plan.target), settings.common.max_memory))
        return e;
    return check_tls_used(settings.common.tls, {&plan.listen, 1}, {&plan.target, 1});
}

}  // namespace

int main(int argc, char** argv) {
    exit_on_bugs<program>();
    proxy_settings settings;
    option_table table = make_table(settings);
    std::vector<std::string> operands;
    if (auto status = parse_command_line(table, settings.common, argc, argv, operands))
        return *status;
    relay_plan plan;
    if (auto wrong = make_plan(settings, operands, plan)) return report(program, *wrong);
    if (settings.common.explain) return print_explanation(plan);
    return run_relay(plan);
}
