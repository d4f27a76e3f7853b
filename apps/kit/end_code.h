#pragma once

// How a connection ended, in the words of the log and of the exit status.

#include <kit/exit_code.h>

#include <libp/io_bridge.h>

namespace libp::app {

// The log's `end=` of a connection whose upstream could not be reached: "connect_refused".
const char* end_of_attempt(const error& why) noexcept;
// ... and of one that was joined: side a is the client. "ok", "client_rst", "idle_timeout".
const char* end_of_bridge(const bridge_end& end) noexcept;

// The status a one-shot program exits with.
exit_code exit_of_attempt(const error& why) noexcept;
exit_code exit_of_bridge(const bridge_end& end) noexcept;

}  // namespace libp::app
