#pragma once

// LISTEN, TARGET and PATH: pipe-stack specs on a command line, with the rules that their place
// adds.

#include <kit/startup_error.h>

#include <libp/socket.h>
#include <libp/stack.h>
#include <libp/stripe/dialer.h>

#include <string>
#include <string_view>

namespace libp::app {

// LISTEN. No host, or '*', is 0.0.0.0; stdio (`-`) only where `stdio_too`.
startup_result parse_listen(std::string_view text, std::string_view default_port, bool stdio_too,
                            stack_spec& to);
// TARGET. Without a default port one must be given. No host is this host.
startup_result parse_target(std::string_view text, std::string_view default_port, stack_spec& to);
// LISTEN for subflows: no filters but tls; cc= is theirs.
startup_result parse_subflow_listen(std::string_view text, std::string_view default_port,
                                    stack_spec& to);
// PATH: a target that subflows go over; no filters but tls, and options of its own (--help says
// which).
startup_result parse_path(std::string_view text, stack_spec& to);
// HOST and PORT as two operands, the way the ancestors took them.
startup_result parse_target_pair(std::string_view host, std::string_view port, stack_spec& to);

// What bind= and dev= ask for. Errors: bind= is not a numeric address.
startup_result connect_options_of(const stack_spec& target, connect_options& to);
// What a PATH asks of its subflows: how many, over what, how called. Errors: bind=, dev= or cc=
// cannot be had.
startup_result path_of(const stack_spec& spec, stripe::path& to);
// What cc= asks for; empty: nothing. Errors: the system refuses it.
startup_result congestion_control_of(const stack_spec& spec, std::string& to);
// The value of name=, or `otherwise`.
std::string name_of(const stack_spec& spec, std::string_view otherwise);

}  // namespace libp::app
