#pragma once

// The terminal, if there is one.

#include <libp/fd.h>

namespace libp {

bool is_terminal(fd_type fd) noexcept;
// Columns; 80 when unknown.
int terminal_width(fd_type fd) noexcept;

}  // namespace libp
