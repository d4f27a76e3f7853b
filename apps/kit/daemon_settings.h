#pragma once

// The options that all daemons here share, and their defaults.

#include <kit/log_output.h>
#include <kit/option_table.h>
#include <kit/tls_setup.h>

#include <libp/socket.h>
#include <libp/time.h>
#include <libp/types.h>

#include <cstddef>
#include <string>

namespace libp::app {

struct daemon_settings {
    bool once = false;
    std::size_t max_conns = 0;  // 0: as many as the descriptor limit allows, at most 1000
    std::size_t max_memory = 256 * mib;
    duration connect_timeout{10s};
    duration handshake_timeout{5s};
    duration idle_timeout{0};
    duration linger{60s};
    duration drain{30s};
    tcp_options tcp;
    tls_settings tls;

    std::string announce;  // a descriptor's number or a file's name; empty: off
    log_level verbosity = log_level::info;
    log_format format = log_format::text;
    bool explain = false;
    bool help = false;
    bool manual = false;
    bool version = false;
};

// Below the options, in --help and the manual page: what signals do, and the exit status.
extern const char daemon_notes[];

// Adds the rows; `to` outlives the table.
void add_daemon_options(option_table& table, daemon_settings& to);

// Sets what "30s,10s,3" says (idle time, interval, count), or turns keepalives off ("0", "off"),
// and the user timeout that goes with it. Returns what is wrong; empty: nothing.
std::string parse_keepalive(std::string_view text, tcp_options& to);
std::string keepalive_text(const tcp_options& tcp);

}  // namespace libp::app
