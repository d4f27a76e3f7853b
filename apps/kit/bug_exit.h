#pragma once

// How a program ends that has found a bug in itself, by check() or by an exception that nobody was
// to throw:
//
//     bug: io/src/pipe_dgm.cc:91: recv of nothing
//     tcp-striper: error: bug: this program has gone wrong, and stops before it does harm
//       hint: please report it with the line above and what --version -v says
//
// with status 70. To be out of memory is no bug: then it is 71, the system refused.

#include <exception>

namespace libp::app {

[[noreturn]] void exit_by_bug(const char* program) noexcept;

// In main, before anything can go wrong. `program`: its name, a constant with static storage.
template <const char* program>
void exit_on_bugs() noexcept {
    std::set_terminate([] { exit_by_bug(program); });
}

}  // namespace libp::app
