// tcp-striper: a relay, and a pair that stripes every connection over many subflows.
//
//     client --> tcp-striper -c ==subflows over one or more paths==> tcp-striper -s --> target

#include <kit/bug_exit.h>
#include <kit/program.h>
#include <kit/relay_program.h>
#include <kit/resource_limits.h>
#include <kit/stack_argument.h>
#include <kit/stripe_program.h>

#include <algorithm>
#include <numeric>

namespace {

using namespace libp;
using namespace libp::app;

constexpr char program[] = "tcp-striper";

struct striper_settings {
    char mode = 0;                      // 'c', 's', 'r'; 0: none was given
    std::vector<std::string> listen;    // one, and for -s perhaps more
    std::string target;                 // -c
    target_rules rules;                 // -s
    bool open = false;                  // -s
    std::vector<std::string> striping;  // which of the options were given that are about it
    stripe_settings stripe;
};

option_setter into_mode(striper_settings& to, char letter) {
    return [&to, letter](std::string_view value) -> std::string {
        if (to.mode && to.mode != letter) return std::string("excludes -") + to.mode;
        to.mode = letter;
        if (letter != 's' && !to.listen.empty())
            return "there is one already, '" + to.listen[0] + "'; -s alone may be repeated";
        to.listen.emplace_back(value);
        return value.empty() ? "the value is empty" : "";
    };
}

option_setter into_target(std::string& to) {
    return [&to](std::string_view value) -> std::string {
        const auto target = target_name::parse(value);
        if (!target) return "'" + std::string(value) + "' is not HOST:PORT";
        to = target->to_string();
        return {};
    };
}

option_setter into_rules(target_rules& to) {
    return [&to](std::string_view value) { return to.add(value); };
}

option_setter into_scheduler(stripe::scheduler& to) {
    return [&to](std::string_view value) -> std::string {
        const auto s = scheduler_called(value);
        if (!s)
            return "'" + std::string(value) +
                   "' is not a scheduler (auto, rr, congestion, redundant, backup)";
        to = *s;
        return {};
    };
}

// Notes that it was given, too.
option_setter noted(std::vector<std::string>& given, std::string name, option_setter set) {
    return [&given, name = std::move(name), set = std::move(set)](std::string_view value) {
        given.push_back(name);
        return set(value);
    };
}

option_table make_table(striper_settings& to) {
    option_table table(
        program, "carries TCP connections over many TCP connections at once",
        {"[-r LISTEN] [TARGET]", "-c LISTEN PATH [PATH...]", "-s LISTEN [-s LISTEN...] [TARGET]",
         "keygen     (a new key for --psk-file)"});
    table.group("Modes (default: relay 0.0.0.0:55555 to 127.0.0.1:22):");
    table.add({'c', {}, "LISTEN", "client side: a stream for each connection", into_mode(to, 'c')});
    table.add({'s',
               {},
               "LISTEN",
               "server side: subflows in, streams out; may be repeated",
               into_mode(to, 's')});
    table.add({'r', {}, "LISTEN", "plain relay", into_mode(to, 'r')});
    table.group("Where streams go (the server's TARGET; without one, where the client asks):");
    table.add(
        {0, "target", "HOST:PORT", "-c: ask the server for this target", into_target(to.target)});
    table.add({0, "allow", "RULE", "-s: let clients go there; may be repeated (public), see below",
               into_rules(to.rules)});
    table.add(
        {0, "open", {}, "-s: let anyone choose, who need not prove who it is", into_flag(to.open)});
    table.group("Striping:");
    table.add({'n', "subflows", "N", "-c: of a session, dealt over the paths (4, most 64)",
               noted(to.striping, "-n", into_count(to.stripe.subflows, 1, most_subflows))});
    table.add({0, "scheduler", "NAME",
               "which subflow carries what this end sends (auto), see below",
               noted(to.striping, "--scheduler", into_scheduler(to.stripe.scheduler))});
    table.add({0, "resume", "DUR", "a session without any subflow lives this long (60s)",
               noted(to.striping, "--resume", into_duration(to.stripe.resume))});
    add_daemon_options(table, to.stripe.common);
    table.epilogue(
        "LISTEN is PORT, :PORT, HOST:PORT, [v6]:PORT, /path or a SPEC; with -c also '-', stdin "
        "and\n"
        "stdout as the one stream, as with --once. PATH and TARGET are HOST:PORT, /path or a\n"
        "SPEC, for example tcp://relay:8443,bind=192.0.2.10,name=dsl or\n"
        "tcp://relay:8443,dev=wwan0,backup.\n"
        "\n"
        "Options of a PATH, behind commas:\n"
        "  bind=ADDR     connect from this address\n"
        "  dev=NAME      connect through this network device\n"
        "  name=NAME     what logs call it, at both ends\n"
        "  n=K           exactly K subflows; what is left of -n is dealt over the others\n"
        "  weight=W      its share of the subflows that are dealt, relative to the others' (1)\n"
        "  backup        spared while a path that is no backup lives, in both directions\n"
        "  cc=NAME       congestion control of its subflows, what this end sends (bbr, cubic ...)\n"
        "  crc=no        no checksums over what this end sends; for what checks itself, such as "
        "ssh\n"
        "LISTEN of -s takes cc=NAME too: for what the server sends.\n"
        "\n"
        "RULE is one of these, with :PORTS behind it for some ports only (:22,8000-8100):\n"
        "  10.0.0.0/8    a network, or one address; [2001:db8::7]:22\n"
        "  .example.com  that name and those below it, except to loopback and link-local\n"
        "  public        all but loopback, link-local, private and reserved addresses\n"
        "\n"
        "Schedulers, each end's for what it sends itself:\n"
        "  auto          whatever brings the bytes there first\n"
        "  rr            in turn, frame by frame\n"
        "  congestion    whichever subflow is not congested\n"
        "  redundant     every frame on every subflow\n"
        "  backup        the first PATH that lives, in the order of the command line\n"
        "\n"
        "DUR: 250ms 10s 5m. SIZE: 64k 8M 1G.\n"
        "\n"
        "For example, ssh over eight connections:\n"
        "  the server's end   tcp-striper -s :22222 127.0.0.1:22\n"
        "  your end           tcp-striper -c 127.0.0.1:11111 -n 8 server:22222\n"
        "  then               ssh -p 11111 127.0.0.1\n"
        "\n" +
        std::string(daemon_notes));
    return table;
}

int finish(const startup_result& wrong) {
    return report(program, *wrong);
}

// Options that say nothing where they stand are a mistake: somebody thinks that they do.
startup_result check_targets(const striper_settings& settings, bool has_target) {
    if (settings.mode != 'c' && !settings.target.empty())
        return usage_error("--target is for -c", "to relay to it: tcp-striper " + settings.target);
    if (settings.rules.empty() && !settings.open) return std::nullopt;
    if (settings.mode != 's') return usage_error("--allow and --open are for -s");
    if (has_target)
        return usage_error("--allow and --open are for a server without a TARGET of its own");
    return std::nullopt;
}

startup_result check_striping(const striper_settings& settings) {
    if (settings.striping.empty() || settings.mode == 'c') return std::nullopt;
    if (std::ranges::find(settings.striping, "-n") != settings.striping.end())
        return usage_error("-n is for -c: how many subflows there are the client says");
    if (settings.mode == 's') return std::nullopt;
    return usage_error(settings.striping[0] + " is for -c and -s: a relay has no subflows");
}

int relay(const striper_settings& settings, const std::vector<std::string>& operands) {
    if (auto e = check_targets(settings, true)) return finish(e);
    if (operands.size() > 1) return finish(usage_error("too many operands: '" + operands[1] + "'"));
    relay_plan plan;
    plan.program = program;
    plan.purpose = "plain relay";
    plan.settings = settings.stripe.common;
    const std::string listen = settings.listen.empty() ? "0.0.0.0:55555" : settings.listen[0];
    if (auto e = parse_listen(listen, "55555", false, plan.listen)) return finish(e);
    if (auto e = parse_target(operands.empty() ? "127.0.0.1:22" : operands[0], "22", plan.target))
        return finish(e);
    if (auto e = check_tls_used(plan.settings.tls, {&plan.listen, 1}, {&plan.target, 1}))
        return finish(e);
    if (auto e =
            check_datagrams(datagram_memory(plan.listen, plan.target), plan.settings.max_memory))
        return finish(e);
    return plan.settings.explain ? print_explanation(plan) : run_relay(plan);
}

// As they were named, backups behind the others.
void rank_in_order(std::vector<stripe::path>& paths) {
    const auto spare = [](const stripe::path& p) { return p.rank > 0; };
    const auto backups = std::count_if(paths.begin(), paths.end(), spare);
    std::uint8_t first = 0;
    auto next = static_cast<std::uint8_t>(static_cast<std::ptrdiff_t>(paths.size()) - backups);
    for (stripe::path& p : paths)
        p.rank = spare(p) ? next++ : first++;
}

int client(const striper_settings& settings, const std::vector<std::string>& operands) {
    if (operands.empty())
        return finish(usage_error("-c needs a PATH: where the server listens",
                                  "tcp-striper -c " + settings.listen[0] + " relay.example:8443"));
    if (auto e = check_targets(settings, false)) return finish(e);
    stripe_client_plan plan{program, {}, {}, {}, settings.target, settings.stripe};
    const tls_settings& tls = settings.stripe.common.tls;
    if (auto e = parse_listen(settings.listen[0], "55555", true, plan.listen)) return finish(e);
    if (plan.listen.base == stack_spec::base_kind::stdio) {
        if (!plan.settings.common.announce.empty())
            return finish(usage_error("--announce has nothing to say: stdin has no address"));
        // One connection, and no more.
        plan.settings.common.once = true;
    }
    for (const std::string& text : operands) {
        stack_spec spec;
        stripe::path path;
        if (auto e = parse_path(text, spec)) return finish(e);
        add_tls_layer(tls, spec);
        if (auto e = path_of(spec, path)) return finish(e);
        plan.paths.push_back(std::move(path));
        plan.path_specs.push_back(std::move(spec));
    }
    if (auto e = check_tls_used(tls, {&plan.listen, 1}, plan.path_specs)) return finish(e);
    if (auto e = check_datagrams(datagram_memory(plan.listen), settings.stripe.common.max_memory))
        return finish(e);
    if (settings.stripe.scheduler == stripe::scheduler::backup) rank_in_order(plan.paths);
    const auto dealt = stripe::deal_subflows(plan.paths, settings.stripe.subflows);
    if (std::accumulate(dealt.begin(), dealt.end(), std::size_t{0}) > most_subflows)
        return finish(usage_error("the paths have more than 64 subflows"));
    return plan.settings.common.explain ? print_explanation(plan) : run_stripe_client(plan);
}

int server(const striper_settings& settings, const std::vector<std::string>& operands) {
    if (operands.size() > 1) return finish(usage_error("too many operands: '" + operands[1] + "'"));
    if (auto e = check_targets(settings, !operands.empty())) return finish(e);
    stripe_server_plan plan{program, {}, {}, settings.rules, settings.open, settings.stripe};
    for (const std::string& text : settings.listen) {
        stack_spec listen;
        if (auto e = parse_subflow_listen(text, "55555", listen)) return finish(e);
        add_tls_layer(settings.stripe.common.tls, listen);
        plan.listen.push_back(std::move(listen));
    }
    stack_spec target;
    if (!operands.empty()) {
        if (auto e = parse_target(operands[0], "22", target)) return finish(e);
        plan.target = target;
    }
    if (auto e = check_tls_used(settings.stripe.common.tls, plan.listen, {&target, 1}))
        return finish(e);
    if (auto e = check_datagrams(datagram_memory(target), settings.stripe.common.max_memory))
        return finish(e);
    return plan.settings.common.explain ? print_explanation(plan) : run_stripe_server(plan);
}

}  // namespace

int main(int argc, char** argv) {
    exit_on_bugs<program>();
    striper_settings settings;
    option_table table = make_table(settings);
    std::vector<std::string> operands;
    if (auto status = parse_command_line(table, settings.stripe.common, argc, argv, operands))
        return *status;
    if (auto e = check_striping(settings)) return finish(e);
    if (settings.mode == 'c') return client(settings, operands);
    if (settings.mode == 's') return server(settings, operands);
    if (settings.mode == 0 && operands == std::vector<std::string>{"keygen"}) {
        if (argc > 2) return finish(usage_error("keygen takes no options"));
        return print(program, new_tls_key() + "\n");
    }
    return relay(settings, operands);
}
