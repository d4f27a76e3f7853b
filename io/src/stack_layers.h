#pragma once

// The layers that specs may name: what stack.cc's tables hold and the parser looks up.

#include <libp/stack.h>

#include <optional>
#include <span>
#include <string_view>

namespace libp {

struct option_rule {
    std::string_view key;
    bool (*valid)(std::string_view value);
    std::string_view expects;  // "a size from 1 to 1G, such as 64k"
};

struct filter_layer {
    std::string_view name;
    std::optional<io_kind> needs;  // of the pipe below; nothing: either
    io_kind offers;                // to the one above
    std::span<const option_rule> options;
    std::unique_ptr<io_pipe> (*put_over)(event_loop& loop, std::unique_ptr<io_pipe> lower,
                                         const layer_spec& spec, const stack_tls& tls);
};

struct base_layer {
    std::string_view name;
    stack_spec::base_kind kind;
    std::span<const option_rule> options;
};

std::span<const filter_layer> filter_layers() noexcept;
std::span<const base_layer> base_layers() noexcept;

// nullptr: there is none of that name.
const filter_layer* find_filter(std::string_view name) noexcept;
const base_layer* find_base(std::string_view name) noexcept;

}  // namespace libp
