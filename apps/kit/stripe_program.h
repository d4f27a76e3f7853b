#pragma once

// The two ends of a striped pair as programs.
//
//     client: connections at LISTEN (or stdin and stdout), each a stream -> a session over many
//             subflows
//     server: subflows in at LISTEN, each of their streams -> a connection to TARGET, or to what
//             the client asks for

#include <kit/daemon_settings.h>
#include <kit/resource_limits.h>

#include <libp/stack.h>
#include <libp/stripe/dialer.h>
#include <libp/stripe/node.h>
#include <libp/target_rules.h>

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace libp::app {

inline constexpr std::size_t most_subflows = 64;
// What TLS below subflows is told is spoken inside (ALPN).
inline constexpr const char* stripe_protocol = "stripe/1";

struct stripe_settings {
    stripe::scheduler scheduler = stripe::scheduler::automatic;
    std::size_t subflows = 4;
    duration resume{60s};
    daemon_settings common;
};

struct stripe_client_plan {
    std::string program;
    stack_spec listen;
    std::vector<stripe::path> paths;
    std::vector<stack_spec> path_specs;  // what they were made from
    std::string target;                  // to ask the server for; empty: it has its own
    stripe_settings settings;
};

struct stripe_server_plan {
    std::string program;
    std::vector<stack_spec> listen;
    std::optional<stack_spec> target;  // none: wherever the client asks, as the rules let it
    target_rules rules;
    bool open = false;  // ... and whoever the client is
    stripe_settings settings;
};

// A server's node id: the same after every start of the same server, so that its clients notice a
// restart at once. It is worked out from the machine's identity and the addresses it listens at.
// All zero, for a random one, where the machine has no identity or an address is not the same every
// time (port 0). 64 of its bits are the machine's, from a plain hash: enough to be recognised by,
// not enough to find the machine's own id by.
std::array<std::uint8_t, 16> server_node_id(const std::string& machine,
                                            const std::vector<stack_spec>& listen);

// As relay_program.h has it.
startup_result explain(const stripe_client_plan& plan, std::string& text);
startup_result explain(const stripe_server_plan& plan, std::string& text);

// The whole life of the program; the status to exit with.
int run_stripe_client(const stripe_client_plan& plan);
int run_stripe_server(const stripe_server_plan& plan);

// -- what the two share ---------------------------------------------------------------------------

// What TLS leaves of the memory is half the engines', half the bridges'. `datagrams`: of a
// connection.
resource_limits stripe_limits(const stripe_settings& settings, const tls_limits& tls,
                              std::size_t datagrams);
// "auto", "rr", "congestion", "redundant", "backup"; nothing for other names.
std::optional<stripe::scheduler> scheduler_called(std::string_view name);
std::string_view name_of(stripe::scheduler scheduler);
// Of a subflow's socket, at either end.
tcp_options subflow_tcp_options(const stripe_settings& settings);
stripe::node_options stripe_node_options(const stripe_settings& settings, const tls_limits& tls);
// A line of the log for each subflow.
void log_subflows(const log& out, const stripe::node& of);

}  // namespace libp::app
