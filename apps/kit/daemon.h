#pragma once

// The life of a daemon: run, drain, end. Signals come in here.
//
//     TERM, INT   stop accepting, let connections finish, exit 0; when --drain runs out cut the
//                 rest and exit 75; at a second signal do that at once, and wait for nobody: what
//                 the system takes is sent, and that is all
//     HUP         whatever the program has to reload or retry
//     USR1        one status block to the log

#include <kit/relay_server.h>

#include <libp/event_loop.h>
#include <libp/signal_watch.h>

namespace libp::app {

class daemon {
  public:
    // `once`: exits with the status of the one connection it served.
    daemon(event_loop& loop, const log& out, bool once, duration drain);

    // For relay_server: ends run() once there is nothing left to do.
    delegate<void()> settled() noexcept { return delegate<void()>::to<&daemon::on_settled>(*this); }
    void on_hangup(delegate<void()> call) noexcept { hangup_ = call; }
    // Adds to the status block.
    void on_status(delegate<void()> call) noexcept { status_ = call; }

    // Called when nothing is left to do: whoever takes its leave of somebody does it there, within
    // the time it is given, and then calls end(). Called again, with less time, when there is a
    // hurry.
    void on_farewell(delegate<void(duration)> call) noexcept { farewell_ = call; }
    void end() { loop_.stop(); }

    // Until drained, or for a one-shot server until its connection is over.
    exit_code run(relay_server& server);

  private:
    void on_signal(int number);
    void begin_drain();
    void cut();
    void hurry();
    void on_settled();
    void leave();

    event_loop& loop_;
    const log& log_;
    bool once_;
    duration drain_;
    relay_server* server_ = nullptr;
    delegate<void()> hangup_, status_;
    delegate<void(duration)> farewell_;
    timer drained_;
    exit_code exit_ = exit_code::ok;
    bool draining_ = false;
    bool cut_ = false;
    bool in_a_hurry_ = false;
    signal_watch signals_;
};

}  // namespace libp::app
