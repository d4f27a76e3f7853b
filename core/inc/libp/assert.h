#pragma once

// Assertions: for bugs in this program, never for what a peer, a user or the kernel did.
//
// `check` is always on. It costs one predictable branch, so it guards every precondition of a
// public call. `debug_check` is compiled only into MODE=debug, asan and tsan, for invariants whose
// test is not free. Both print where and what to stderr and abort(3): a core dump at the first
// wrong step beats a wrong byte delivered later.

#include <source_location>

#ifndef LIBP_DEBUG
#define LIBP_DEBUG 0
#endif

namespace libp {

inline constexpr bool debug_build = LIBP_DEBUG != 0;

// Prints `bug: FILE:LINE: what` and aborts.
[[noreturn]] void fail(const char* what,
                       std::source_location where = std::source_location::current()) noexcept;

inline void check(bool holds, const char* what,
                  std::source_location where = std::source_location::current()) noexcept {
    if (!holds) [[unlikely]]
        fail(what, where);
}

inline void debug_check(
    [[maybe_unused]] bool holds, [[maybe_unused]] const char* what,
    [[maybe_unused]] std::source_location where = std::source_location::current()) noexcept {
    if constexpr (debug_build) check(holds, what, where);
}

}  // namespace libp
