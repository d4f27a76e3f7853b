#pragma once

// Assertions: for bugs in this program, never for what a peer, a user or the kernel did.
//
// `check` is always on. It costs one predictable branch, so it guards every precondition of a
// public call. `debug_check` is compiled only into MODE=debug, asan and tsan, for invariants whose
// test is not free. Both print where and what to stderr and end the process at this first wrong
// step, which beats a wrong byte delivered later: by std::terminate, which aborts with a core dump
// unless the program has a handler of its own.

#ifndef LIBP_DEBUG
#define LIBP_DEBUG 0
#endif

namespace libp {

inline constexpr bool debug_build = LIBP_DEBUG != 0;

// Where a call is in the source. It stands in for std::source_location, which clang 14 has not got;
// the built-ins behind it are in every compiler that this builds with.
struct code_place {
    const char* file;
    unsigned line;

    static constexpr code_place current(const char* file = __builtin_FILE(),
                                        unsigned line = __builtin_LINE()) noexcept {
        return {file, line};
    }
};

// Prints `bug: FILE:LINE: what` and terminates.
[[noreturn]] void fail(const char* what, code_place where = code_place::current()) noexcept;

inline void check(bool holds, const char* what, code_place where = code_place::current()) noexcept {
    if (!holds) [[unlikely]]
        fail(what, where);
}

inline void debug_check([[maybe_unused]] bool holds, [[maybe_unused]] const char* what,
                        [[maybe_unused]] code_place where = code_place::current()) noexcept {
    if constexpr (debug_build) check(holds, what, where);
}

}  // namespace libp
