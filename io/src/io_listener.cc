#include <libp/io_listener.h>

#include <algorithm>
#include <utility>

namespace libp {

namespace {

constexpr int most_per_turn = 64;
constexpr duration first_pause = 50ms;
constexpr duration longest_pause = 1s;

}  // namespace

io_listener::io_listener(event_loop& loop, unique_fd fd, accepted on_accept,
                         delegate<void(error)> trouble)
    : loop_(loop),
      fd_(std::move(fd)),
      on_accept_(on_accept),
      trouble_(trouble),
      retry_(loop, delegate<void()>::to<&io_listener::on_retry>(*this)),
      retry_pause_(first_pause) {
    // The owner is not to be called from here: if watching failed, it fails once more in the loop
    // and is reported.
    if (watch()) {
        paused_.set(pause_reason::resources);
        retry_.arm_in(duration{0});
    }
    update_interest();
}

io_listener::~io_listener() = default;

void io_listener::pause() {
    paused_.set(pause_reason::owner);
    update_interest();
}

void io_listener::resume() {
    paused_.clear(pause_reason::owner);
    update_interest();
}

void io_listener::retry() {
    if (paused_.has(pause_reason::resources)) retry_.arm_in(duration{0});
}

socket_address io_listener::address() const {
    return local_address(fd_.get());
}

error io_listener::watch() {
    if (watch_.is_open()) return {};
    return watch_.open(loop_, fd_.get(), io_watch::callback::to<&io_listener::on_ready>(*this));
}

void io_listener::on_ready(flags<io_ready>) {
    // One, as a rule: to ask for a second that is not there costs as much as to accept it. A queue
    // that is found again in the very next turn is emptied by ever larger bites.
    burst_ = loop_.turns() == ready_in_ + 1 ? std::min(2 * burst_, most_per_turn) : 1;
    ready_in_ = loop_.turns();
    for (int i = 0; i < burst_ && paused_.none(); ++i) {
        accept_result r = accept_from(fd_.get());
        // Whatever the failure, the socket stays ready: without a pause the loop would spin on it.
        if (r.status == io_status::broken) return run_short(r.why);
        recover();
        if (r.status != io_status::ok) return;
        on_accept_(std::move(r.fd), r.peer);
    }
}

void io_listener::on_retry() {
    if (error e = watch()) return run_short(e);
    paused_.clear(pause_reason::resources);
    update_interest();
}

void io_listener::run_short(error e) {
    paused_.set(pause_reason::resources);
    retry_.arm_in(retry_pause_);
    retry_pause_ = std::min(2 * retry_pause_, longest_pause);
    update_interest();
    if (std::exchange(troubled_, true)) return;
    if (trouble_) trouble_(e);
}

void io_listener::recover() {
    if (!std::exchange(troubled_, false)) return;
    retry_pause_ = first_pause;
    if (trouble_) trouble_({});
}

void io_listener::update_interest() {
    watch_.set_interest(paused_.none() ? flags<io_interest>(io_interest::read)
                                       : flags<io_interest>());
}

}  // namespace libp
