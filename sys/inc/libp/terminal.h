#pragma once

// The terminal, if there is one.

#include <libp/fd.h>

namespace libp {

bool is_terminal(fd_type fd) noexcept;
// Columns; 80 when unknown.
int terminal_width(fd_type fd) noexcept;
// The terminal that `fd` is, opened once more: for writing, and non-blocking, which is then
// nobody's business but ours. Empty where it is none, or may not be opened.
unique_fd open_terminal_again(fd_type fd) noexcept;

}  // namespace libp
