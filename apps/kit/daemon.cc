#include <kit/daemon.h>

#include <csignal>

namespace libp::app {

namespace {

// What may be spent on taking leave of others. The short one lets what goes out at once arrive
// before connections are reset.
constexpr duration farewell_time = 2s, hurried_farewell_time = 100ms;

}  // namespace

daemon::daemon(event_loop& loop, const log& out, bool once, duration drain)
    : loop_(loop),
      log_(out),
      once_(once),
      drain_(drain),
      drained_(loop, delegate<void()>::to<&daemon::cut>(*this)),
      signals_(loop, {SIGTERM, SIGINT, SIGHUP, SIGUSR1},
               delegate<void(int)>::to<&daemon::on_signal>(*this)) {
    ignore_write_signals();
}

exit_code daemon::run(relay_server& server) {
    server_ = &server;
    loop_.run();
    return exit_;
}

void daemon::on_signal(int number) {
    if (number == SIGHUP) {
        log_.write(log_level::info, "signal", {{"name", "HUP"}});
        if (hangup_) hangup_();
    } else if (number == SIGUSR1) {
        server_->log_status();
        if (status_) status_();
    } else if (!draining_) {
        begin_drain();
    } else {
        hurry();
    }
}

void daemon::begin_drain() {
    draining_ = true;
    log_.write(log_level::info, "drain", {{"conns", server_->live()}, {"limit", seconds(drain_)}});
    server_->finish();
    if (server_->live() == 0) return leave();
    drained_.arm_in(drain_);
}

void daemon::cut() {
    cut_ = true;
    exit_ = exit_code::drain_cut;
    log_.write(log_level::warn, "drain", {{"cut", server_->live()}});
    server_->cut({reason::drain_cut, 0});
}

void daemon::hurry() {
    in_a_hurry_ = true;
    // Then leave() follows when all have ended, which takes no longer than a turn or two.
    if (!cut_ && server_->live() > 0) return cut();
    leave();
}

void daemon::on_settled() {
    if (once_ && !draining_) exit_ = server_->last_exit();
    leave();
}

void daemon::leave() {
    drained_.cancel();
    if (farewell_) return farewell_(in_a_hurry_ ? hurried_farewell_time : farewell_time);
    loop_.stop();
}

}  // namespace libp::app
