#include <libp/stack.h>

#include <libp/pipe_dgm.h>

#include <algorithm>

#include "spec_text.h"
#include "stack_layers.h"

namespace libp {

namespace {

// -- what option values may be --------------------------------------------------------------------

constexpr std::uint64_t largest_datagram = 1024 * mib;

bool is_datagram_size(std::string_view value) {
    std::optional<std::uint64_t> n = parse_size(value);
    return n && *n >= 1 && *n <= largest_datagram;
}

bool is_word(std::string_view value) {
    return !value.empty();
}

// A small number, from 1.
template <std::uint64_t most>
bool is_count(std::string_view value) {
    return !value.empty() && value.size() <= 3 &&
           value.find_first_not_of("0123456789") == value.npos && *parse_size(value) >= 1 &&
           *parse_size(value) <= most;
}

// What a path is called goes into logs and over the wire.
bool is_name(std::string_view value) {
    return !value.empty() && value.size() <= 64;
}

bool is_switch(std::string_view value) {
    return value == "yes" || value == "no";
}

bool is_pin(std::string_view value) {
    return tls_pin::parse(value).has_value();
}

bool is_source(std::string_view value) {
    return parse_source(value).has_value();
}

// -- the layers -----------------------------------------------------------------------------------

std::unique_ptr<io_pipe> put_dgm(event_loop& loop, std::unique_ptr<io_pipe> lower,
                                 const layer_spec& spec, const stack_tls&) {
    dgm_options options;
    if (const std::string* max = spec.find("max"))
        options.max_datagram = static_cast<std::size_t>(*parse_size(*max));
    return make_dgm_pipe(loop, std::move(lower), options);
}

std::unique_ptr<io_pipe> put_tls(event_loop& loop, std::unique_ptr<io_pipe> lower,
                                 const layer_spec&, const stack_tls& tls) {
    check(tls.credentials != nullptr, "a tls layer without credentials");
    return make_tls_pipe(loop, std::move(lower), *tls.credentials, tls.options);
}

constexpr option_rule dgm_rules[] = {
    {"max", is_datagram_size, "a size from 1 to 1G, such as 64k"},
};
constexpr option_rule tls_rules[] = {
    {"name", is_word, "the name that the server's certificate is for"},
    {"ca", is_word, "a file or folder of authorities"},
    {"client-ca", is_word, "a file or folder of authorities for clients"},
    {"cert", is_word, "a certificate's file"},
    {"key", is_word, "a private key's file"},
    {"pin", is_pin, "sha256: and a public key's hash in base64"},
    {"psk", is_word, "a file of shared keys"},
    {"insecure", is_switch, "yes or no"},
    {"tls12", is_switch, "yes or no"},
};
constexpr option_rule tcp_rules[] = {
    {"bind", is_source, "an IP address to connect from"},
    {"dev", is_word, "the name of a network device"},
    {"cc", is_word, "the name of a congestion control, such as bbr"},
    {"name", is_name, "a name for this path, at most 64 bytes"},
    {"n", is_count<64>, "a number of subflows from 1 to 64"},
    {"weight", is_count<100>, "a number from 1 to 100"},
    {"backup", is_switch, "yes or no"},
    {"crc", is_switch, "yes or no"},
};
constexpr option_rule unix_rules[] = {
    {"name", is_name, "a name for this path, at most 64 bytes"},
    {"n", is_count<64>, "a number of subflows from 1 to 64"},
    {"weight", is_count<100>, "a number from 1 to 100"},
    {"backup", is_switch, "yes or no"},
    {"crc", is_switch, "yes or no"},
};

constexpr filter_layer filters_known[] = {
    {"dgm", io_kind::stream, io_kind::datagram, dgm_rules, put_dgm},
    {"tls", std::nullopt, io_kind::stream, tls_rules, put_tls},
};
constexpr base_layer bases_known[] = {
    {"tcp", stack_spec::base_kind::tcp, tcp_rules},
    {"unix", stack_spec::base_kind::unix_socket, unix_rules},
    {"stdio", stack_spec::base_kind::stdio, {}},
};

const std::string* last_of(const std::vector<layer_option>& options,
                           std::string_view key) noexcept {
    for (auto o = options.rbegin(); o != options.rend(); ++o)
        if (o->key == key) return &o->value;
    return nullptr;
}

void print_options(std::string& out, const std::vector<layer_option>& options) {
    for (const layer_option& o : options) {
        out += "," + o.key;
        if (o.value != "yes") out += "=" + escape_spec(o.value);
    }
}

}  // namespace

std::span<const filter_layer> filter_layers() noexcept {
    return filters_known;
}

std::span<const base_layer> base_layers() noexcept {
    return bases_known;
}

const filter_layer* find_filter(std::string_view name) noexcept {
    const auto* at = std::ranges::find(filters_known, name, &filter_layer::name);
    return at == std::end(filters_known) ? nullptr : at;
}

const base_layer* find_base(std::string_view name) noexcept {
    const auto* at = std::ranges::find(bases_known, name, &base_layer::name);
    return at == std::end(bases_known) ? nullptr : at;
}

const std::string* layer_spec::find(std::string_view key) const noexcept {
    return last_of(options, key);
}

const std::string* stack_spec::find(std::string_view key) const noexcept {
    return last_of(base_options, key);
}

const layer_spec* stack_spec::filter(std::string_view name) const noexcept {
    const auto at = std::ranges::find(filters, name, &layer_spec::name);
    return at == filters.end() ? nullptr : &*at;
}

std::string stack_spec::to_string() const {
    std::string out;
    for (const layer_spec& f : filters) {
        out += f.name;
        print_options(out, f.options);
        out += "+";
    }
    out += std::ranges::find(bases_known, base, &base_layer::kind)->name;
    if (listens) out += "-l";
    if (connects) out += "-c";
    out += "://";
    if (base != base_kind::stdio) out += escape_spec(address.to_string());
    print_options(out, base_options);
    return out;
}

std::optional<socket_address> parse_source(std::string_view text) {
    if (const auto bare = socket_address::from_ip(text, 0)) return *bare;
    const std::string no_port = text.ends_with(']') ? ":0" : "";
    const auto at = socket_address::parse(std::string(text) + no_port);
    return at && at->is_ip() ? std::optional(*at) : std::nullopt;
}

std::unique_ptr<io_pipe> wrap_in_filters(event_loop& loop, std::unique_ptr<io_pipe> base,
                                         const stack_spec& spec, const stack_tls& tls) {
    std::unique_ptr<io_pipe> pipe = std::move(base);
    for (auto f = spec.filters.rbegin(); f != spec.filters.rend(); ++f) {
        const filter_layer* layer = find_filter(f->name);
        check(layer != nullptr, "a spec that was not parsed names an unknown layer");
        pipe = layer->put_over(loop, std::move(pipe), *f, tls);
    }
    return pipe;
}

}  // namespace libp
