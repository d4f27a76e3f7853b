#include <kit/explanation.h>

#include <kit/stack_argument.h>
#include <kit/value_text.h>

namespace libp::app {

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

}  // namespace libp::app
