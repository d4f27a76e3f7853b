#include <kit/end_code.h>
#include <kit/tls_setup.h>

#include <libp/process.h>

#include <algorithm>
#include <utility>

namespace libp::app {

namespace {

bool says_yes(const layer_spec& layer, std::string_view key, bool otherwise) {
    const std::string* value = layer.find(key);
    return value ? *value == "yes" : otherwise;
}

std::string either(const layer_spec& layer, std::string_view key, const std::string& otherwise) {
    const std::string* value = layer.find(key);
    return value ? *value : otherwise;
}

// Says whom to trust without keys, and so takes no part in the program's.
bool trusts_by_itself(const layer_spec& layer) {
    constexpr std::string_view ways[] = {"cert", "ca", "client-ca", "pin"};
    return !layer.find("psk") &&
           (says_yes(layer, "insecure", false) ||
            std::ranges::any_of(ways, [&](std::string_view w) { return layer.find(w); }));
}

tls_options options_of(const layer_spec& layer, bool server, const tls_settings& settings,
                       const std::string& protocol) {
    tls_options o;
    o.server = server;
    o.certificate = either(layer, "cert", settings.certificate);
    o.private_key = either(layer, "key", settings.private_key);
    o.authorities = server ? "" : either(layer, "ca", settings.authorities);
    o.client_authorities = server ? either(layer, "client-ca", settings.client_authorities) : "";
    o.pins = settings.pins;
    if (layer.find("pin")) {
        o.pins.clear();
        for (const layer_option& option : layer.options)
            if (option.key == "pin") o.pins.push_back(*tls_pin::parse(option.value));
    }
    o.verify = !says_yes(layer, "insecure", settings.insecure);
    o.shared_keys = trusts_by_itself(layer) ? "" : either(layer, "psk", settings.psk_file);
    o.allow_tls12 = says_yes(layer, "tls12", settings.allow_tls12);
    o.protocol = protocol;
    return o;
}

std::string printable(const std::string& text) {
    std::string out;
    for (const char c : text.substr(0, 128))
        out += c > ' ' && c < 0x7f ? c : '?';
    return out;
}

// Of a pipe's description, "tcp 127.0.0.1:5000", what connections have in the log.
std::string_view place_of(std::string_view described) {
    for (const std::string_view kind : {"tcp ", "unix "})
        if (described.starts_with(kind)) return described.substr(kind.size());
    return described;
}

startup_error cannot(const tls_fault& wrong) {
    if (!wrong.exposed)
        return {wrong.not_allowed ? exit_code::no_permission : exit_code::config,
                "tls: " + wrong.what, ""};
    const std::string file = wrong.what.substr(0, wrong.what.rfind(": "));
    return {exit_code::no_permission, "tls: " + wrong.what,
            (owns_file(file) ? "chmod 600 " : "chmod o= ") + file};
}

bool about_authentication(reason why) {
    return why == reason::auth_failed || why == reason::bad_certificate ||
           why == reason::wrong_key || why == reason::tls_wanted || why == reason::no_tls;
}

const char* what_helps(error why) {
    constexpr int handshake_failure = 40, certificate_required = 116;  // alerts
    if (why.why == reason::wrong_key) return "both ends need the same line in their --psk-file";
    if (why.why == reason::tls_wanted)
        return "add --psk-file FILE, with a key that it knows, or --tls";
    if (why.why == reason::no_tls)
        return "give it the same --psk-file, or --tls with --cert; or leave TLS away here too";
    if (why.os_errno == certificate_required) return "add --cert FILE and --key FILE";
    if (why.os_errno == handshake_failure)
        return "if it goes by keys, add --psk-file FILE with one that it knows";
    return "";
}

// Of a stack's own layer: what says nothing there, and what it cannot be without.
startup_result check_layer(const stack_spec& at, bool server, const tls_settings& settings) {
    const layer_spec* layer = at.filter("tls");
    if (!layer) return std::nullopt;
    const auto refused = [&](const layer_option& o, const char* why) {
        return startup_error{exit_code::config,
                             "spec: '" + o.key + "' of 'tls' over " + at.address.to_string() + why,
                             {}};
    };
    const tls_options wanted = options_of(*layer, server, settings, {});
    const bool keys = !wanted.shared_keys.empty();
    if (server && !keys && wanted.certificate.empty())
        return startup_error{exit_code::config, "tls: a server needs a certificate or a shared key",
                             "--cert FILE, or --psk-file FILE at both ends"};
    for (const layer_option& o : layer->options) {
        if (server && (o.key == "ca" || o.key == "name" || o.key == "insecure"))
            return refused(o, " is for the end that connects");
        if (!server && o.key == "client-ca") return refused(o, " is for the end that listens");
        if (keys && o.key != "psk" && o.key != "name")
            return refused(o, " says nothing beside a shared key");
        if (o.key == "key" && wanted.certificate.empty())
            return refused(o, " needs a 'cert' that it is the key of");
    }
    return std::nullopt;
}

}  // namespace

bool tls_settings::any() const noexcept {
    return on || insecure || allow_tls12 || !pins.empty() || !certificate.empty() ||
           !private_key.empty() || !authorities.empty() || !client_authorities.empty() ||
           !server_name.empty() || !psk_file.empty();
}

void add_tls_layer(const tls_settings& settings, stack_spec& spec) {
    if (!settings.on && settings.psk_file.empty()) return;
    if (!spec.filter("tls")) spec.filters.push_back({"tls", {}});
}

startup_result check_tls_used(const tls_settings& settings, std::span<const stack_spec> listening,
                              std::span<const stack_spec> connecting) {
    const auto has_tls = [](const stack_spec& s) { return s.filter("tls") != nullptr; };
    const bool server = std::ranges::any_of(listening, has_tls);
    const bool client = std::ranges::any_of(connecting, has_tls);
    if (!server && !client) {
        if (!settings.any()) return std::nullopt;
        if (settings.on || !settings.psk_file.empty())
            return usage_error("--tls and --psk-file need a side that leads to the other end",
                               "in a relay say which: tls+tcp://HOST:PORT as LISTEN or as TARGET");
        return usage_error("options for TLS, but no TLS: add --tls");
    }
    for (const stack_spec& at : listening)
        if (auto e = check_layer(at, true, settings)) return e;
    for (const stack_spec& at : connecting)
        if (auto e = check_layer(at, false, settings)) return e;
    if (!server && !settings.client_authorities.empty())
        return usage_error("--client-ca is for the end that listens",
                           "for the one that connects: --ca FILE");
    if (!client) {
        for (const auto& [given, name] : {std::pair(!settings.authorities.empty(), "--ca"),
                                          std::pair(!settings.server_name.empty(), "--server-name"),
                                          std::pair(settings.insecure, "--insecure")})
            if (given) return usage_error(std::string(name) + " is for the end that connects");
    }
    if (settings.psk_file.empty()) {
        const auto has_certificate = [](const stack_spec& s) {
            return s.filter("tls") && s.filter("tls")->find("cert");
        };
        if (settings.private_key.empty() || !settings.certificate.empty() ||
            std::ranges::any_of(listening, has_certificate) ||
            std::ranges::any_of(connecting, has_certificate))
            return std::nullopt;
        return usage_error("--key needs --cert: the certificate that it is the key of");
    }
    const auto apart = [](const stack_spec& s) {
        const layer_spec* tls = s.filter("tls");
        return tls && (tls->find("psk") || trusts_by_itself(*tls));
    };
    const auto takes_part = [&](const stack_spec& s) { return s.filter("tls") && !apart(s); };
    if (std::ranges::none_of(listening, takes_part) && std::ranges::none_of(connecting, takes_part))
        return usage_error("--psk-file says nothing where each 'tls' says itself whom to trust");
    // Those that take no part may want the rest.
    if (std::ranges::any_of(listening, apart) || std::ranges::any_of(connecting, apart))
        return std::nullopt;
    for (const auto& [given, name] :
         {std::pair(!settings.certificate.empty(), "--cert"),
          std::pair(!settings.private_key.empty(), "--key"),
          std::pair(!settings.authorities.empty(), "--ca"),
          std::pair(!settings.client_authorities.empty(), "--client-ca"),
          std::pair(!settings.pins.empty(), "--pin"), std::pair(settings.insecure, "--insecure"),
          std::pair(settings.allow_tls12, "--tls12")})
        if (given)
            return usage_error("--psk-file leaves nothing for " + std::string(name) +
                               " to say: the key is what both ends know each other by");
    return std::nullopt;
}

std::string explain_tls(const layer_spec& layer, bool server, const tls_settings& settings) {
    const tls_options o = options_of(layer, server, settings, {});
    if (!o.shared_keys.empty()) return "tls (keys of " + o.shared_keys + ")";
    if (server) {
        std::string text = "tls (certificate " + o.certificate;
        if (!o.client_authorities.empty()) text += ", clients certified by " + o.client_authorities;
        if (!o.pins.empty()) text += ", clients that are pinned";
        return text + ")";
    }
    std::string text = "tls (";
    if (!o.pins.empty())
        text += "the server that is pinned";
    else if (!o.verify)
        text += "insecure: any server";
    else
        text += "server certified by " +
                (o.authorities.empty() ? "the system's authorities" : o.authorities);
    if (!o.certificate.empty()) text += ", own certificate " + o.certificate;
    return text + ")";
}

tls_setup::tls_setup(event_loop& loop, const log& out, const tls_settings& settings,
                     duration handshake_timeout, std::vector<std::string> library_names)
    : loop_(loop),
      log_(out),
      settings_(settings),
      handshake_timeout_(handshake_timeout),
      library_names_(std::move(library_names)) {}

startup_result tls_setup::prepare(const stack_spec& spec, bool server, const std::string& protocol,
                                  stack_tls& to) {
    const layer_spec* layer = spec.filter("tls");
    if (!layer) return std::nullopt;
    if (!library_) library_.emplace(library_names_);
    if (!*library_)
        return startup_error{exit_code::config, "tls: " + library_->why(),
                             "install OpenSSL (Debian: apt install libssl3), or go without TLS"};
    tls_fault wrong;
    auto made =
        tls_credentials::make(*library_, options_of(*layer, server, settings_, protocol), wrong);
    if (!made) return cannot(wrong);

    to.credentials = made.get();
    to.options.handshake_timeout = handshake_timeout_;
    if (!server) to.options.name = either(*layer, "name", settings_.server_name);
    if (!server && to.options.name.empty() && !spec.address.is_unix())
        to.options.name = spec.address.where.host;
    if (made->needs_name() && to.options.name.empty())
        return usage_error("tls: there is no name that the server's certificate could be for",
                           "add --server-name NAME");
    if (!server && !made->options().verify && made->options().pins.empty() && !made->uses_keys())
        log_.write(
            log_level::warn, "tls",
            {{"to", spec.address.to_string()},
             {"why", "insecure: whoever answers is trusted, its certificate is not looked at"}});
    made->on_refusal(tls_credentials::refusal_handler::to<&tls_setup::on_refusal>(*this));
    all_.push_back(std::move(made));
    return std::nullopt;
}

void tls_setup::reload() {
    bool all_read = true;
    for (const auto& credentials : all_) {
        tls_fault wrong;
        if (credentials->reload(wrong)) continue;
        log_.write(log_level::error, "tls", {{"reload", "failed"}, {"why", wrong.what}});
        all_read = false;
    }
    if (all_read && !all_.empty()) log_.write(log_level::info, "tls", {{"reload", "done"}});
}

void tls_setup::on_refusal(const tls_refusal& r) {
    // A client tries again and again: the same once more is no news.
    const bool again = !r.server && last_.why == r.why && last_.peer == r.peer;
    last_ = r;
    const auto [may_log, left_out] = refusals_logged_.ask(loop_.now());
    if (left_out > 0)
        log_.write(log_level::warn, "tls", {{"refused", left_out}, {"why", "not logged"}});
    if (!may_log) return;
    const auto write = [&](auto&&... more) {
        log_.write(again      ? log_level::debug
                   : r.server ? log_level::info
                              : log_level::warn,
                   "tls",
                   {{"end", end_of_attempt(r.why)},
                    {r.server ? "src" : "dst", place_of(r.peer)},
                    {"why", to_string(r.why)},
                    {"detail", r.detail},
                    more...});
    };
    if (r.pin)
        write(log_field("pin", r.pin->to_string()));
    else if (!r.key_id.empty())
        write(log_field("key", printable(r.key_id)));
    else
        write();
}

startup_result auth_error(const std::string& where, error why, const tls_refusal& last) {
    if (!about_authentication(why.why)) return std::nullopt;
    if (why.why != reason::bad_certificate)
        return startup_error{exit_of_attempt(why), "auth: " + where + ": " + to_string(why),
                             what_helps(why)};
    std::string text = to_string(why);
    const std::size_t detail = text.find(": ");
    text = detail == text.npos ? "" : text.substr(detail);
    std::string hint;
    if (last.pin) {
        const std::string pin = last.pin->to_string();
        hint = "if " + pin + " is the server you expect, add --pin " + pin;
    }
    return startup_error{exit_code::no_permission,
                         "auth: certificate of " + where + " does not verify" + text, hint};
}

}  // namespace libp::app
