#pragma once

// Pipe stacks by name: the same strings on a command line and in a library call.
//
//     dgm+tcp://host:443            application side first, wire last
//     dgm,max=64k+unix:///run/x     options behind a layer's name
//     dgm+tls+tcp://host:443        encrypted; who may talk to whom its owner says (stack_tls)
//     host:443   :443   443   /run/x   -      short for tcp://, unix://, stdio://
//
// The grammar:
//
//     spec    = [ filter { "+" filter } "+" ] base | shorthand
//     filter  = name { "," key [ "=" value ] }
//     base    = name [ "-l" | "-c" ] "://" address { "," key [ "=" value ] }
//
// A comma, plus, caret, percent sign or space in a value is written %2C %2B %5E %25 %20 (a caret
// means nothing yet, and is refused). A key alone means key=yes. A filter stands in a stack once.
//
// A layer is one line in the table in stack.cc: its name, its options, and the function that puts
// it over a lower pipe.

#include <libp/endpoint.h>
#include <libp/event_loop.h>
#include <libp/io_pipe.h>
#include <libp/pipe_tls.h>
#include <libp/result.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace libp {

// Columns count bytes of the text that was parsed.
struct layer_option {
    std::string key;
    std::string value;
    std::size_t column = 0;  // of the key
};

struct layer_spec {
    std::string name;
    std::vector<layer_option> options;
    std::size_t column = 0;
    // The value of the last option called `key`; nullptr if there is none.
    const std::string* find(std::string_view key) const noexcept;
};

struct stack_spec {
    enum class base_kind : std::uint8_t { tcp, unix_socket, stdio };

    std::vector<layer_spec> filters;  // application side first
    base_kind base = base_kind::tcp;
    endpoint address;                        // not for stdio
    std::vector<layer_option> base_options;  // bind=, dev=, name= ...
    bool listens = false;                    // -l; -c is the opposite
    bool connects = false;
    std::size_t base_column = 0;

    std::string to_string() const;
    // Of the base's options, as layer_spec::find.
    const std::string* find(std::string_view key) const noexcept;
    // The filter of that name; nullptr if there is none.
    const layer_spec* filter(std::string_view name) const noexcept;
};

// What the tls layer of a stack is made with. Its options in the spec (name, ca, client-ca, cert,
// key, pin, psk, insecure, tls12) are for whoever makes these credentials; the layer itself does
// not look at them.
struct stack_tls {
    const tls_credentials* credentials = nullptr;
    tls_pipe_options options{};
};

// What was wrong, and where in the text: columns [column, column + width) of it.
struct spec_error {
    std::string message;  // "unknown layer 'tsl' (did you mean 'tls'?)"
    std::size_t column = 0;
    std::size_t width = 0;
    // The message, the spec, and carets under the fault, on three lines.
    std::string to_string(std::string_view spec) const;
};

std::variant<stack_spec, spec_error> parse_stack(std::string_view text,
                                                 std::string_view default_port = {});

// What bind= names: an IP address to connect from, with a port or without; IPv6 in brackets or,
// without a port, bare.
std::optional<socket_address> parse_source(std::string_view text);

// Puts the filters of `spec` over `base`, the last first. The spec was parsed, so this cannot fail.
// `tls` is needed where the spec has that layer.
std::unique_ptr<io_pipe> wrap_in_filters(event_loop& loop, std::unique_ptr<io_pipe> base,
                                         const stack_spec& spec, const stack_tls& tls = {});

}  // namespace libp
