#pragma once

// Signals as loop events: a signal_pipe and its watch.

#include <libp/event_loop.h>
#include <libp/signals.h>

namespace libp {

class signal_watch {
  public:
    // Calls `call` with each signal's number, on the loop's thread.
    signal_watch(event_loop& loop, std::initializer_list<int> signals, delegate<void(int)> call);

  private:
    void on_ready(flags<io_ready> ready);

    signal_pipe pipe_;
    delegate<void(int)> call_;
    io_watch watch_;
};

}  // namespace libp
