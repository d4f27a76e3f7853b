#pragma once

// Why a program did not get going, in the shape every program here uses:
//
//     tcp-striper: error: listen: 0.0.0.0:55555: address already in use
//       hint: choose another port, e.g. -c :55556
//
// A usage error ends with a pointer to --help instead of leaving people alone with one line:
//
//     tcp-striper: error: unknown option '--traget' (did you mean '--target'?)
//     Try 'tcp-striper --help'.

#include <kit/exit_code.h>

#include <optional>
#include <string>
#include <string_view>

namespace libp::app {

struct startup_error {
    exit_code code = exit_code::usage;
    std::string what;  // "listen: 0.0.0.0:55555: address already in use"; may be several lines
    std::string hint;  // something to paste; empty: none

    std::string to_string(std::string_view program) const;
};

// Nothing: go on.
using startup_result = std::optional<startup_error>;

startup_error usage_error(std::string what, std::string hint = {});

// Writes the error to stderr and returns the status to exit with.
int report(std::string_view program, const startup_error& e);

}  // namespace libp::app
