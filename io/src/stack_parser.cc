#include <libp/number.h>
#include <libp/stack.h>

#include <algorithm>
#include <utility>

#include "spec_text.h"
#include "stack_layers.h"

namespace libp {

namespace {

// A part of the text, with where in it that part begins.
struct piece {
    std::string_view text;
    std::size_t column = 0;

    piece sub(std::size_t from, std::size_t n = std::string_view::npos) const noexcept {
        return {text.substr(from, n), column + from};
    }
};

std::vector<piece> split(piece whole, char at) {
    std::vector<piece> parts;
    std::size_t from = 0;
    for (;;) {
        std::size_t to = whole.text.find(at, from);
        parts.push_back(whole.sub(from, to - from));  // npos - from runs to the end as well
        if (to == std::string_view::npos) return parts;
        from = to + 1;
    }
}

// "://" before the first comma is what makes a base.
bool is_base(piece part) noexcept {
    return part.text.substr(0, part.text.find(',')).find("://") != std::string_view::npos;
}

// One run over one text. Every step returns false once `fault_` is set.
class stack_parser {
  public:
    stack_parser(std::string_view text, std::string_view default_port) noexcept
        : text_(text), default_port_(default_port) {}

    std::variant<stack_spec, spec_error> run();

  private:
    bool fail(piece where, std::string message);
    bool parse_shorthand();
    bool parse_layers();
    bool parse_filter(piece part);
    bool parse_base(piece part);
    bool parse_base_name(piece name, const base_layer*& base);
    bool parse_address(piece address, const base_layer& base);
    bool parse_options(std::span<const piece> parts, piece layer,
                       std::span<const option_rule> rules, std::vector<layer_option>& out);
    std::string why_no_endpoint(std::string_view text) const;
    bool unescape(piece part, std::string& out);
    bool check_order(const std::vector<piece>& parts);

    std::string_view text_;
    std::string_view default_port_;
    stack_spec spec_;
    spec_error fault_;
};

std::variant<stack_spec, spec_error> stack_parser::run() {
    // A path may hold any character, a host none that structures a stack.
    bool stack = text_.find_first_of("+,^") != std::string_view::npos || is_base({text_});
    bool good = stack && !endpoint::is_path(text_) ? parse_layers() : parse_shorthand();
    if (!good) return std::move(fault_);
    return std::move(spec_);
}

bool stack_parser::fail(piece where, std::string message) {
    fault_ = {std::move(message), where.column, std::max<std::size_t>(where.text.size(), 1)};
    return false;
}

std::string meant(std::string_view word, const std::vector<std::string_view>& known) {
    std::string_view near = nearest(word, known);
    return near.empty() ? "" : " (did you mean '" + std::string(near) + "'?)";
}

std::string unknown_layer(std::string_view name) {
    std::vector<std::string_view> known;
    for (const filter_layer& f : filter_layers())
        known.push_back(f.name);
    for (const base_layer& b : base_layers())
        known.push_back(b.name);
    return "unknown layer " + quote_word(name) + meant(name, known);
}

// -- shorthands -----------------------------------------------------------------------------------

bool stack_parser::parse_shorthand() {
    piece whole{text_};
    if (text_.empty()) return fail(whole, "an empty spec");
    if (text_ == "-") {
        spec_.base = stack_spec::base_kind::stdio;
        return true;
    }
    // The lonely name of a layer is more likely an unfinished stack than a host.
    if (find_filter(text_))
        return fail(whole, quote_word(text_) + " needs a base: +tcp://HOST:PORT");
    if (find_base(text_))
        return fail(whole, quote_word(text_) + " needs an address: " + std::string(text_) + "://");

    // A zone may be written as in a URI; elsewhere a host has no use for '%25'.
    std::string text(text_);
    std::size_t zone = text.starts_with('[') ? text.find("%25") : std::string::npos;
    if (zone != std::string::npos) text.erase(zone + 1, 2);
    result<endpoint> e = endpoint::parse(text, default_port_);
    if (!e) return fail(whole, why_no_endpoint(text_));
    spec_.address = std::move(*e);
    if (spec_.address.is_unix()) spec_.base = stack_spec::base_kind::unix_socket;
    return true;
}

// -- stacks ---------------------------------------------------------------------------------------

bool stack_parser::parse_layers() {
    if (std::size_t at = text_.find('^'); at != std::string_view::npos)
        return fail({text_.substr(at, 1), at},
                    "'^' separates the paths of an aggregator, and here is none");
    std::vector<piece> parts = split({text_}, '+');
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
        if (is_base(parts[i])) return fail(parts[i], "the base comes last");
        if (!parse_filter(parts[i])) return false;
    }
    return parse_base(parts.back()) && check_order(parts);
}

bool stack_parser::parse_filter(piece part) {
    std::vector<piece> pieces = split(part, ',');
    piece name = pieces.front();
    if (name.text.empty()) return fail(name, "a layer without a name");
    const filter_layer* layer = find_filter(name.text);
    if (!layer && find_base(name.text))
        return fail(name, quote_word(name.text) + " is a base: it comes last, as " +
                              std::string(name.text) + "://");
    if (!layer) return fail(name, unknown_layer(name.text));

    layer_spec filter{std::string(name.text), {}, name.column};
    if (!parse_options(std::span(pieces).subspan(1), name, layer->options, filter.options))
        return false;
    spec_.filters.push_back(std::move(filter));
    return true;
}

bool stack_parser::parse_base(piece part) {
    std::vector<piece> pieces = split(part, ',');
    piece head = pieces.front();
    spec_.base_column = head.column;
    std::size_t slashes = head.text.find("://");
    if (slashes == std::string_view::npos) {
        if (!head.text.empty() && !find_filter(head.text) && !find_base(head.text) &&
            !endpoint::parse(head.text, "1"))
            return fail(head, unknown_layer(head.text));
        return fail(head, "a stack ends in a base: tcp://HOST:PORT, unix://PATH or stdio://");
    }
    const base_layer* base = nullptr;
    if (!parse_base_name(head.sub(0, slashes), base)) return false;
    return parse_address(head.sub(slashes + 3), *base) &&
           parse_options(std::span(pieces).subspan(1), head.sub(0, slashes), base->options,
                         spec_.base_options);
}

bool stack_parser::parse_base_name(piece name, const base_layer*& base) {
    spec_.listens = name.text.ends_with("-l");
    spec_.connects = name.text.ends_with("-c");
    if (spec_.listens || spec_.connects) name = name.sub(0, name.text.size() - 2);
    base = find_base(name.text);
    if (base) {
        spec_.base = base->kind;
        return true;
    }
    if (name.text.empty()) return fail(name, "a base without a name");
    if (find_filter(name.text))
        return fail(name, quote_word(name.text) + " is no base: put it in front of one, as " +
                              std::string(name.text) + "+tcp://HOST:PORT");
    return fail(name, unknown_layer(name.text));
}

bool stack_parser::parse_address(piece address, const base_layer& base) {
    using kind = stack_spec::base_kind;
    std::string text;
    if (!unescape(address, text)) return false;
    if (base.kind == kind::stdio) return text.empty() || fail(address, "stdio:// takes no address");
    if (text.empty()) return fail(address, "an address is missing");

    bool path = endpoint::is_path(text);
    if (path && base.kind == kind::tcp)
        return fail(address, "a UNIX path: write unix://" + escape_spec(text));
    if (!path && base.kind == kind::unix_socket)
        return fail(address, "a UNIX address begins with /, ./ or @");
    result<endpoint> e = endpoint::parse(text, default_port_);
    if (!e) return fail(address, why_no_endpoint(text));
    spec_.address = std::move(*e);
    return true;
}

bool stack_parser::parse_options(std::span<const piece> parts, piece layer,
                                 std::span<const option_rule> rules,
                                 std::vector<layer_option>& out) {
    for (piece part : parts) {
        std::size_t equals = part.text.find('=');
        piece key = part.sub(0, equals);
        if (key.text.empty()) return fail(part, "an option without a name");
        auto rule = std::ranges::find(rules, key.text, &option_rule::key);
        if (rule == rules.end()) {
            std::vector<std::string_view> known;
            for (const option_rule& r : rules)
                known.push_back(r.key);
            return fail(key, quote_word(layer.text) + " has no option " + quote_word(key.text) +
                                 meant(key.text, known));
        }
        layer_option option{std::string(key.text), "yes", key.column};
        piece value = equals == std::string_view::npos ? part : part.sub(equals + 1);
        if (equals != std::string_view::npos && !unescape(value, option.value)) return false;
        if (!rule->valid(option.value))
            return fail(
                value,
                quote_word(key.text) + " takes " + std::string(rule->expects) +
                    (equals == std::string_view::npos ? "" : ", not " + quote_word(option.value)));
        out.push_back(std::move(option));
    }
    return true;
}

std::string stack_parser::why_no_endpoint(std::string_view text) const {
    if (endpoint::is_path(text) && text.size() > socket_address::longest_path())
        return quote_word(text) + " is too long for a UNIX path: the limit is " +
               std::to_string(socket_address::longest_path()) + " bytes, and it has " +
               std::to_string(text.size());
    const bool only_lacks_port = default_port_.empty() && endpoint::parse(text, "1");
    if (only_lacks_port) return "no port in " + quote_word(text);
    const std::string_view port = text.substr(text.rfind(':') + 1);
    if (!port.empty() && port.find_first_not_of("0123456789") == port.npos &&
        !number_of<std::uint16_t>(port))
        return quote_word(port) + " is no port: the last is 65535";
    const bool bare_v6 = text.find(':') != text.rfind(':') && text.find('[') == text.npos;
    return quote_word(text) + " is no address" +
           (bare_v6 ? "; IPv6 stands in brackets: [::1]:22" : "");
}

bool stack_parser::unescape(piece part, std::string& out) {
    std::size_t bad = 0;
    std::optional<std::string> plain = unescape_spec(part.text, bad);
    if (!plain) return fail(part.sub(bad, 3), "a percent sign is written %25, a comma %2C");
    // What is not printable must have come as an escape.
    for (std::size_t i = 0; i < part.text.size(); ++i)
        if (static_cast<unsigned char>(part.text[i]) <= ' ' || part.text[i] == 0x7f)
            return fail(part.sub(i, 1), "a space is written %20");
    out = std::move(*plain);
    return true;
}

// Each filter stands on what the one below it offers; a base offers a stream. None stands there
// twice: programs ask for a filter's options by its name, and would take one's for the other's.
bool stack_parser::check_order(const std::vector<piece>& parts) {
    io_kind below = io_kind::stream;
    for (std::size_t i = spec_.filters.size(); i-- > 0;) {
        const filter_layer* layer = find_filter(spec_.filters[i].name);
        if (layer->needs && *layer->needs != below)
            return fail(parts[i], quote_word(layer->name) +
                                      (layer->needs == io_kind::stream
                                           ? " needs a stream below it, not datagrams"
                                           : " needs datagrams below it, not a stream"));
        below = layer->offers;
    }
    for (std::size_t i = 0; i < spec_.filters.size(); ++i)
        if (spec_.filter(spec_.filters[i].name) != &spec_.filters[i])
            return fail(parts[i], quote_word(spec_.filters[i].name) + " is in this stack already");
    return true;
}

}  // namespace

std::variant<stack_spec, spec_error> parse_stack(std::string_view text,
                                                 std::string_view default_port) {
    return stack_parser(text, default_port).run();
}

std::string spec_error::to_string(std::string_view spec) const {
    // A byte that goes on a UTF-8 character takes no column of its own.
    std::string line, carets;
    for (std::size_t i = 0; i < std::max(spec.size(), column + width); ++i) {
        auto byte = static_cast<unsigned char>(i < spec.size() ? spec[i] : ' ');
        if (i < spec.size()) line += byte < ' ' || byte == 0x7f ? '?' : spec[i];
        if ((byte & 0xc0) == 0x80) continue;
        if (i < column + width) carets += i < column ? ' ' : '^';
    }
    return message + "\n  " + line + "\n  " + carets;
}

}  // namespace libp
