#include <kit/stack_argument.h>
#include <kit/value_text.h>

#include <algorithm>
#include <initializer_list>
#include <utility>

namespace libp::app {

namespace {

startup_error bad_spec(const std::string& what) {
    return {exit_code::config, "spec: " + what, {}};
}

startup_result parse(std::string_view text, std::string_view default_port, stack_spec& to) {
    auto parsed = parse_stack(text, default_port);
    if (auto* e = std::get_if<spec_error>(&parsed)) return bad_spec(e->to_string(text));
    to = std::move(std::get<stack_spec>(parsed));
    return std::nullopt;
}

// A fault of the place, not of the spec: in columns [begin, end) of `text`.
startup_error out_of_place(std::string_view text, std::size_t begin, std::size_t end,
                           std::string message) {
    return bad_spec(spec_error{std::move(message), begin, end - begin}.to_string(text));
}

// Whatever the parser lets through for any place must make sense in this one.
startup_result only_options(const stack_spec& spec, std::string_view text,
                            std::initializer_list<std::string_view> keys, const char* place) {
    const layer_option* wrong = nullptr;  // the first; said again, the last
    for (const layer_option& o : spec.base_options)
        if (wrong ? o.key == wrong->key : std::ranges::find(keys, o.key) == keys.end()) wrong = &o;
    if (!wrong) return std::nullopt;
    return out_of_place(text, wrong->column, wrong->column + wrong->key.size(),
                        "option '" + wrong->key + "' does not apply to " + place);
}

startup_result only_tls(const stack_spec& spec, std::string_view text, const char* place) {
    for (const layer_spec& f : spec.filters)
        if (&f != &spec.filters.front() || f.name != "tls")
            return out_of_place(text, f.column, f.column + f.name.size(),
                                std::string("no layer but one tls goes under ") + place);
    return std::nullopt;
}

startup_result parse_connecting(std::string_view text, std::string_view default_port,
                                stack_spec& to) {
    if (auto e = parse(text, default_port, to)) return e;
    if (to.listens)
        return out_of_place(text, to.base_column, text.find("://", to.base_column),
                            "this listens, but is to connect");
    if (to.base == stack_spec::base_kind::stdio)
        return out_of_place(text, to.base_column, text.size(), "there is nothing to connect to");
    if (to.base == stack_spec::base_kind::tcp && to.address.where.port == "0")
        return out_of_place(text, to.base_column, text.size(), "port 0 is for those who listen");
    return std::nullopt;
}

startup_result parse_any_listen(std::string_view text, std::string_view default_port,
                                bool stdio_too, stack_spec& to) {
    if (auto e = parse(text, default_port, to)) return e;
    if (to.connects)
        return out_of_place(text, to.base_column, text.find("://", to.base_column),
                            "this connects, but is to listen");
    if (to.base == stack_spec::base_kind::stdio && !stdio_too)
        return out_of_place(text, to.base_column, text.size(), "there is nothing to listen on");
    std::string& host = to.address.where.host;
    if (to.base == stack_spec::base_kind::tcp && (host.empty() || host == "*")) host = "0.0.0.0";
    return std::nullopt;
}

}  // namespace

startup_result parse_listen(std::string_view text, std::string_view default_port, bool stdio_too,
                            stack_spec& to) {
    if (auto e = parse_any_listen(text, default_port, stdio_too, to)) return e;
    return only_options(to, text, {"name"}, "a listener");
}

startup_result parse_subflow_listen(std::string_view text, std::string_view default_port,
                                    stack_spec& to) {
    if (auto e = parse_any_listen(text, default_port, false, to)) return e;
    if (auto e = only_tls(to, text, "subflows")) return e;
    return only_options(to, text, {"name", "cc"}, "a listener for subflows");
}

startup_result parse_target(std::string_view text, std::string_view default_port, stack_spec& to) {
    if (auto e = parse_connecting(text, default_port, to)) return e;
    return only_options(to, text, {"name", "bind", "dev"}, "a target");
}

startup_result parse_path(std::string_view text, stack_spec& to) {
    if (auto e = parse_connecting(text, {}, to)) return e;
    if (auto e = only_options(
            to, text, {"name", "bind", "dev", "cc", "n", "weight", "backup", "crc"}, "a path"))
        return e;
    return only_tls(to, text, "a path");
}

startup_result parse_target_pair(std::string_view host, std::string_view port, stack_spec& to) {
    if (endpoint::is_path(host))
        return bad_spec("'" + std::string(host) + "' is a UNIX socket's path: it has no port");
    // An IPv6 address needs no brackets here, and may have them.
    bool bare_v6 = host.find(':') != std::string_view::npos && !host.starts_with('[');
    std::string text = bare_v6 ? "[" + std::string(host) + "]" : std::string(host);
    return parse_target(text + ":" + std::string(port), {}, to);
}

startup_result connect_options_of(const stack_spec& target, connect_options& to) {
    if (const std::string* device = target.find("dev")) to.device = *device;
    const std::string* source = target.find("bind");
    if (!source) return std::nullopt;
    const auto at = parse_source(*source);
    if (!at) return bad_spec("bind=" + *source + " is not a numeric address");
    to.source = *at;
    return std::nullopt;
}

startup_result congestion_control_of(const stack_spec& spec, std::string& to) {
    const std::string* name = spec.find("cc");
    if (!name) return std::nullopt;
    if (const error e = check_congestion_control(*name))
        return startup_error{
            exit_code::os_error,
            "cc=" + *name + ": " +
                (e.why == reason::invalid ? "no such congestion control" : to_string(e)),
            e.why == reason::unsupported
                ? ""
                : "those there are: sysctl net.ipv4.tcp_available_congestion_control"};
    to = *name;
    return std::nullopt;
}

startup_result path_of(const stack_spec& spec, stripe::path& to) {
    to.to = spec.address;
    to.name = name_of(spec, {});
    if (auto e = connect_options_of(spec, to.socket)) return e;
    if (auto e = congestion_control_of(spec, to.congestion_control)) return e;
    // A device that is not there yet may come; that it is not ours to choose will not change.
    const error device = to.socket.device.empty() ? error{} : check_device(to.socket.device);
    if (device && device.why != reason::invalid)
        return startup_error{exit_code::os_error,
                             "dev=" + to.socket.device + ": " + to_string(device),
                             "bind=ADDRESS needs no privileges"};
    const auto number = [&](std::string_view key, std::size_t otherwise) {
        const std::string* value = spec.find(key);
        return value ? parse_count(*value).value_or(otherwise) : otherwise;
    };
    const auto says = [&](std::string_view key, std::string_view value) {
        const std::string* said = spec.find(key);
        return said && *said == value;
    };
    to.subflows = number("n", 0);
    to.weight = static_cast<unsigned>(number("weight", 1));
    to.rank = says("backup", "yes") ? 1 : 0;
    // What is encrypted is authenticated, which is more than a checksum.
    to.payload_crc = spec.filter("tls") ? says("crc", "yes") : !says("crc", "no");
    return std::nullopt;
}

std::string name_of(const stack_spec& spec, std::string_view otherwise) {
    const std::string* name = spec.find("name");
    return name && !name->empty() ? *name : std::string(otherwise);
}

}  // namespace libp::app
