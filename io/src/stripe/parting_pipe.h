#pragma once

// A subflow's pipe after we are done with it: what was queued is sent, then our FIN, then it waits
// until the peer is gone too, for a bounded time. Closing at once would reset the connection and
// could destroy the last frames on their way: a GOAWAY, or the acknowledgement of a stream's FIN.
// What still arrives is dropped.

#include <libp/event_loop.h>
#include <libp/io_pipe.h>

#include <memory>

namespace libp::stripe {

class parting_pipe {
  public:
    using gone = delegate<void(parting_pipe&)>;

    // `call` comes once, from the loop, and is the last statement; the owner then retires this.
    parting_pipe(event_loop& loop, std::unique_ptr<io_pipe> pipe, chain rest, duration limit,
                 gone call);

  private:
    void on_pipe(io_flags) { on_more(); }
    void on_more();
    void on_deadline();
    bool over();

    std::unique_ptr<io_pipe> pipe_;
    chain rest_;
    timer deadline_;
    deferred more_;  // a turn's share was dropped and there is more
    gone gone_;
};

}  // namespace libp::stripe
