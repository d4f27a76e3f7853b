#pragma once

// Where to listen or to connect, as the user wrote it: HOST:PORT, [v6]:PORT, :PORT, a UNIX path.
//
// An endpoint is text that has been understood, not an address: names in it are resolved when they
// are used, every time.

#include <libp/result.h>
#include <libp/socket_address.h>

#include <string>
#include <string_view>

namespace libp {

struct endpoint {
    host_port where;        // for TCP
    std::string unix_path;  // not empty: a UNIX socket, and `where` is not used

    bool is_unix() const noexcept { return !unix_path.empty(); }
    std::string to_string() const;

    // "/path", "./path", "@name" are UNIX; "PORT", ":PORT", "HOST:PORT", "[v6]:PORT", "HOST" are
    // TCP. A bare number is a port, and the host "*" is no host. `default_port` fills a missing
    // one; without it a missing port is an error. Errors: invalid.
    static result<endpoint> parse(std::string_view text, std::string_view default_port = {});
    // Whether parse() takes `text` for a UNIX path.
    static bool is_path(std::string_view text) noexcept;
};

}  // namespace libp
