#pragma once

// --announce: tells whoever started the program where it listens, once it does.
//
// A line per bound address, "listen tcp 127.0.0.1:43211" or "listen unix /run/x.sock". To a
// descriptor (inherited, its number given) everything is one write and the descriptor is closed; a
// file appears complete under its name, by renaming, so that a reader never sees half of it; a FIFO
// is written to.

#include <kit/startup_error.h>

#include <libp/socket_address.h>

#include <string>
#include <vector>

namespace libp::app {

std::string announcement_text(const std::vector<socket_address>& bound);

// Before anything is opened: whether a descriptor is there. Later its number may be one of ours.
// `where` as the option gives it.
startup_result check_announce(const std::string& where);
// Empty: does nothing.
startup_result announce(const std::string& where, const std::vector<socket_address>& bound);

}  // namespace libp::app
