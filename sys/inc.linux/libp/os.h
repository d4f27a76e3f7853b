#pragma once

// The system layer's constants for Linux; what each means is said in sys/inc/libp/os.h.

namespace libp {

using fd_type = int;
inline constexpr fd_type no_fd = -1;

inline constexpr const char* os_name = "linux";
inline constexpr bool os_has_splice = true;
inline constexpr bool os_has_epoll = true;
inline constexpr bool os_accepted_inherit_options = true;

}  // namespace libp
