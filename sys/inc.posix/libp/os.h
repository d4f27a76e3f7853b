#pragma once

// The system layer's constants for any POSIX.1-2008 system; what each means is said in
// sys/inc/libp/os.h.

namespace libp {

using fd_type = int;
inline constexpr fd_type no_fd = -1;

inline constexpr const char* os_name = "posix";
inline constexpr bool os_has_splice = false;
inline constexpr bool os_has_epoll = false;
inline constexpr bool os_accepted_inherit_options = false;

}  // namespace libp
