#include <kit/daemon_settings.h>

#include <kit/value_text.h>

#include <algorithm>
#include <vector>

namespace libp::app {

namespace {

option_setter into_verbosity(log_level& to) {
    return [&to](std::string_view) {
        to = to < log_level::debug ? log_level::debug : log_level::trace;
        return std::string();
    };
}

option_setter into_quiet(log_level& to) {
    return [&to](std::string_view) {
        to = log_level::warn;
        return std::string();
    };
}

option_setter into_log_format(log_format& to) {
    return [&to](std::string_view value) {
        if (value != "text" && value != "json")
            return "'" + std::string(value) + "' is neither text nor json";
        to = value == "json" ? log_format::json : log_format::text;
        return std::string();
    };
}

option_setter into_keepalive(tcp_options& to) {
    return [&to](std::string_view value) { return parse_keepalive(value, to); };
}

option_setter into_pin(std::vector<tls_pin>& to) {
    return [&to](std::string_view value) {
        const auto pin = tls_pin::parse(value);
        if (!pin) return "'" + std::string(value) + "' is not sha256: and 44 characters of base64";
        to.push_back(*pin);
        return std::string();
    };
}

void add_tls_options(option_table& table, tls_settings& to) {
    table.group("Encryption (off), by the system's OpenSSL:");
    table.add({0, "tls", {}, "TLS on the side that leads to the other end", into_flag(to.on)});
    table.add({0, "psk-file", "FILE", "TLS with a shared key, the same file at both ends",
               into_text(to.psk_file)});
    table.add({0, "cert", "FILE", "our certificate and its chain", into_text(to.certificate)});
    table.add(
        {0, "key", "FILE", "its private key, if not in the same file", into_text(to.private_key)});
    table.add(
        {0, "ca", "FILE", "trust these authorities, not the system's", into_text(to.authorities)});
    table.add({0, "client-ca", "FILE", "server: demand a certificate from these authorities",
               into_text(to.client_authorities)});
    table.add({0, "server-name", "NAME", "the name that the server's certificate is for",
               into_text(to.server_name)});
    table.add({0, "pin", "sha256:HASH", "trust this public key alone; may be repeated",
               into_pin(to.pins)});
    table.add({0, "insecure", {}, "trust anybody", into_flag(to.insecure)});
    table.add({0, "tls12", {}, "allow TLS 1.2 too", into_flag(to.allow_tls12)});
}

void add_log_options(option_table& table, daemon_settings& to) {
    table.group("Output (stderr, but for --help, --man, --version and --explain):");
    table.add({'v',
               {},
               {},
               "log each dial, accept and stream too; -vv: what limits subflows",
               into_verbosity(to.verbosity)});
    table.add({'q', {}, {}, "log only warnings and errors", into_quiet(to.verbosity)});
    table.add(
        {0, "log-format", "text|json", "key=value or JSON (text)", into_log_format(to.format)});
    table.add({0, "announce", "FD|FILE", "write a line for each bound address there",
               into_text(to.announce)});
    table.add(
        {0, "explain", {}, "say what this command line would do, and exit", into_flag(to.explain)});
    table.add({'h', "help", {}, "this text", into_flag(to.help)});
    table.add({0, "man", {}, "this text as a manual page, for man(1)", into_flag(to.manual)});
    table.add(
        {'V', "version", {}, "the version; with -v, the TLS library too", into_flag(to.version)});
}

}  // namespace

const char daemon_notes[] =
    "Signals:\n"
    "  TERM, INT     stop accepting, let connections finish; once more: cut them\n"
    "  HUP           read keys and certificates again; tcp-striper -c also dials at once\n"
    "  USR1          write the status to the log\n"
    "\n"
    "Exit status:\n"
    "  0             done, or drained\n"
    "  1             the one session of --once was reset, or lost\n"
    "  2, 78         a mistake on the command line; in a spec, a key file or a certificate\n"
    "  68, 69        a name does not resolve; nothing could be reached (with --once)\n"
    "  70, 71        a bug; the system refused\n"
    "  73            cannot listen there\n"
    "  75            a drain cut live connections\n"
    "  76, 77        protocol error; authentication, certificate or permission\n";

void add_daemon_options(option_table& table, daemon_settings& to) {
    table.group("Connections:");
    table.add({'1', "once", {}, "serve one connection, exit with its status", into_flag(to.once)});
    table.add({0, "max-conns", "N", "most at once (1000, or what fd limit and memory allow)",
               into_count(to.max_conns, 1, 1'000'000)});
    table.add({0, "max-memory", "SIZE", "all buffers together (256M)",
               into_size(to.max_memory, mib, 1024 * 1024 * mib)});
    table.add({0, "connect-timeout", "DUR", "name resolution included; 0: no limit (10s)",
               into_duration(to.connect_timeout)});
    table.add({0, "handshake-timeout", "DUR", "for protocols that shake hands (5s)",
               into_duration(to.handshake_timeout, 1ms)});
    table.add({0, "idle-timeout", "DUR", "end what moves nothing for this long; 0: never (0)",
               into_duration(to.idle_timeout)});
    table.add({0, "linger", "DUR", "life after the first FIN when nothing moves (60s)",
               into_duration(to.linger)});
    table.add({0, "keepalive", "IDLE,INTERVAL,N[,DUR]",
               "TCP keepalives; 0: none (30s,10s,3); DUR: TCP_USER_TIMEOUT too",
               into_keepalive(to.tcp)});
    table.add({0, "drain", "DUR", "after TERM or INT, time for connections to end (30s)",
               into_duration(to.drain)});
    add_tls_options(table, to.tls);
    add_log_options(table, to);
}

std::string parse_keepalive(std::string_view text, tcp_options& to) {
    if (text == "0" || text == "off") {
        to.keepalive_idle = to.user_timeout = duration{0};
        return {};
    }
    std::vector<std::string_view> parts;
    for (std::size_t begin = 0; begin <= text.size();) {
        const std::size_t end = std::min(text.find(',', begin), text.size());
        parts.push_back(text.substr(begin, end - begin));
        begin = end + 1;
    }
    if (parts.size() == 3 || parts.size() == 4) {
        auto idle = parse_duration(parts[0]);
        auto interval = parse_duration(parts[1]);
        auto count = parse_count(parts[2]);
        auto user_timeout = parts.size() == 4 ? parse_duration(parts[3]) : duration{0};
        if (idle && interval && count && user_timeout && *idle >= 1s && *interval >= 1s &&
            *idle <= 32767s && *interval <= 32767s && *count >= 1 && *count <= 127) {
            to.keepalive_idle = *idle;
            to.keepalive_interval = *interval;
            to.keepalive_count = static_cast<int>(*count);
            // Not by default: Linux counts a peer that is there but does not read (a paused
            // program, a sleeping laptop's owner) as silent, and would cut a connection that is
            // only waiting.
            to.user_timeout = *user_timeout;
            return {};
        }
    }
    return "'" + std::string(text) + "' is not IDLE,INTERVAL,COUNT[,USER_TIMEOUT] (30s,10s,3)";
}

std::string keepalive_text(const tcp_options& tcp) {
    if (tcp.keepalive_idle == duration{0}) return "off";
    return duration_text(tcp.keepalive_idle) + "," + duration_text(tcp.keepalive_interval) + "," +
           std::to_string(tcp.keepalive_count);
}

}  // namespace libp::app
