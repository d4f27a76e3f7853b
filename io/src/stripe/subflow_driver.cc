#include "stripe/subflow_driver.h"

#include <libp/socket.h>

#include <algorithm>
#include <utility>

#include "stripe/session.h"

namespace libp::stripe {
namespace {

// Passed on before more is read, while it is still in the caches: a copy out of them costs half of
// one out of memory. More a turn, in larger pieces, spares system calls and is slower.
constexpr std::size_t receive_per_turn = 128 * kib;

constexpr duration batch_time = 4ms;
constexpr duration unsent_time = 10ms;
constexpr duration keep_interval = 100ms;
constexpr duration look_interval = 100ms;
constexpr std::size_t least_unsent = 16 * kib;
constexpr std::size_t most_unsent = 1 * mib;

// The bytes that a rate delivers in `time`, within bounds.
std::size_t worth(double rate, duration time, std::size_t least, std::size_t most) noexcept {
    const double bytes = rate * seconds(time);
    return static_cast<std::size_t>(
        std::clamp(bytes, static_cast<double>(least), static_cast<double>(most)));
}

}  // namespace

subflow_driver::subflow_driver(event_loop& loop, session& of, subflow_id id,
                               joining_pipe::parts parts, subflow_origin origin)
    : loop_(loop),
      session_(of),
      id_(id),
      pipe_(std::move(parts.pipe)),
      origin_(std::move(origin)),
      since_(loop.now()),
      out_(std::move(parts.unsent)),
      heard_(loop.now()),
      more_(loop, delegate<void()>::to<&subflow_driver::on_more>(*this)) {}

void subflow_driver::start(chain first) {
    kept_unsent_ = least_unsent;
    pipe_->keep_unsent(kept_unsent_);
    pipe_->attach(io_handler::to<&subflow_driver::on_pipe>(*this));
    tell_congestion();
    if (!first.empty()) feed(std::move(first));
}

std::size_t subflow_driver::transmit() {
    if (dead()) return 0;
    look();
    std::size_t sent = flush();
    // The engine is asked only for a subflow that it knows to take bytes.
    tell_congestion();
    if (dead() || congested_) return sent;
    fetch();
    sent += flush();
    tell_congestion();
    return sent;
}

void subflow_driver::transmit_last() {
    if (dead()) return;
    session_.engine().transmit(id_, out_, smallest_batch, loop_.now());
    flush();
}

std::size_t subflow_driver::flush() {
    if (out_.empty() || !pipe_->has(io_flag::writable)) return 0;
    const std::size_t offered = out_.size();
    const io_result r = pipe_->send(out_);
    if (!out_.empty())
        batch_ = std::max(batch_ / 2, smallest_batch);
    else if (offered >= batch_)
        batch_ = std::min(batch_ * 2, largest_batch);
    if (pipe_->has(io_flag::broken)) session_.lose(*this, pipe_->why());
    return r.bytes;
}

void subflow_driver::fetch() {
    engine& e = session_.engine();
    std::size_t budget = batch_;
    const double rate = e.stats(id_).rate;
    if (rate > 0) {
        budget = std::min(budget, worth(rate, batch_time, smallest_batch, largest_batch));
        if (loop_.now() >= keep_again_at_) {
            keep_again_at_ = loop_.now() + keep_interval;
            const std::size_t keep = worth(rate, unsent_time, least_unsent, most_unsent);
            if (keep >= kept_unsent_ * 2 || keep <= kept_unsent_ / 2) {
                kept_unsent_ = keep;
                pipe_->keep_unsent(keep);
            }
        }
    }
    e.transmit(id_, out_, budget, loop_.now());
}

// Before anything more is given to the connection: what waits in it now has waited for its window.
void subflow_driver::look() {
    if (loop_.now() < look_again_at_) return;
    look_again_at_ = loop_.now() + look_interval;
    tcp_state tcp;
    if (pipe_->get_tcp_state(tcp)) session_.engine().look_at(id_, tcp, loop_.now());
}

void subflow_driver::tell_congestion() {
    if (dead()) return;
    const bool now = !out_.empty() || !pipe_->has(io_flag::writable);
    if (now == congested_) return;
    congested_ = now;
    session_.engine().set_congested(id_, now, loop_.now());
}

void subflow_driver::die(error why) {
    why_ = why;
    more_.cancel();
    out_.clear();
    pipe_->reset();
    set_unfinished(0);
}

joining_pipe::parts subflow_driver::part(error why) {
    why_ = why;
    more_.cancel();
    set_unfinished(0);
    return {std::move(pipe_), {}, std::move(out_)};
}

void subflow_driver::on_pipe(io_flags) {
    tell_congestion();
    receive();
    session_.after_input();
}

void subflow_driver::on_more() {
    receive();
    session_.after_input();
}

void subflow_driver::receive() {
    std::size_t left = receive_per_turn;
    while (!dead() && left > 0 && pipe_->has(io_flag::readable)) {
        chain in;
        const io_result r = pipe_->recv(in, left);
        session_.engine().set_more_waits(id_, pipe_->has(io_flag::readable));
        if (r.status == io_status::again) break;
        // A subflow is never half closed: its end is its death.
        if (r.status == io_status::fin) return session_.lose(*this, {reason::peer_reset});
        if (r.status == io_status::broken) return session_.lose(*this, r.why);
        left -= std::min(left, r.bytes);
        heard_ = loop_.now();
        feed(std::move(in));
    }
    if (dead()) return;
    if (pipe_->has(io_flag::readable))
        more_.schedule();
    else if (pipe_->has(io_flag::broken))
        session_.lose(*this, pipe_->why());
}

void subflow_driver::feed(chain&& data) {
    session_.heard();
    if (error e = session_.engine().received(id_, std::move(data), loop_.now()))
        session_.lose(*this, e);
    else
        set_unfinished(session_.engine().unfinished(id_));
}

// The keeper may lose a subflow for it, this one too.
void subflow_driver::set_unfinished(std::size_t bytes) {
    const std::size_t was = std::exchange(unfinished_, bytes);
    if (was != bytes) session_.unfinished_changed(was, bytes);
}

}  // namespace libp::stripe
