#pragma once

// What --explain says of the parts of a plan.

#include <kit/daemon_settings.h>
#include <kit/resource_limits.h>

#include <libp/socket.h>
#include <libp/stack.h>

#include <string>

namespace libp::app {

std::string explain_listening(const stack_spec& spec, const tls_settings& tls);
std::string explain_connecting(const stack_spec& spec, const tls_settings& tls);
// Its filters alone: "dgm,max=64k over tls (keys of /etc/k) over ", or nothing.
std::string explain_layers(const stack_spec& spec, bool listens, const tls_settings& tls);
// " from 192.0.2.10 through wwan0", or nothing.
std::string explain_source(const connect_options& options);
// ", within 10s", or however long it takes.
std::string explain_patience(duration timeout);
std::string explain_limits(const daemon_settings& settings, const resource_limits& limits);

}  // namespace libp::app
