#pragma once

// Signals as bytes in a pipe: the handler writes the signal's number, the event loop reads it.
//
// Signal disposition is per process, so there is at most one signal_pipe at a time (checked). It
// puts the old handlers back when it dies.

#include <libp/fd.h>

#include <initializer_list>
#include <optional>
#include <vector>

namespace libp {

class signal_pipe {
  public:
    // Catches these signals (SIGTERM ...).
    explicit signal_pipe(std::initializer_list<int> signals);
    ~signal_pipe();
    signal_pipe(const signal_pipe&) = delete;
    signal_pipe& operator=(const signal_pipe&) = delete;

    // Readable when a signal came.
    fd_type fd() const noexcept { return read_end_.get(); }
    // The next signal that came, in order; nothing when there is none. Repeats of one not yet taken
    // may merge.
    std::optional<int> take() noexcept;

  private:
    unique_fd read_end_, write_end_;
    std::vector<int> caught_;
};

// SIGPIPE and SIGXFSZ off for the process: a write to a dead peer, or to a file that may not grow
// any more, is an error value, not a death.
void ignore_write_signals() noexcept;

}  // namespace libp
