#include "stripe/joining_pipe.h"

#include <algorithm>
#include <utility>

namespace libp::stripe {
namespace {

constexpr std::size_t read_size = 4 * kib;

}  // namespace

joining_pipe::joining_pipe(event_loop& loop, judge& by, std::unique_ptr<io_pipe> pipe,
                           const hello& own, subflow_origin origin, duration limit)
    : loop_(loop),
      judge_(by),
      pipe_(std::move(pipe)),
      handshake_(loop.blocks(), own),
      origin_(std::move(origin)),
      since_(loop.now()),
      out_(handshake_.take_output()),
      deadline_(loop, delegate<void()>::to<&joining_pipe::on_deadline>(*this)),
      doomed_(loop, delegate<void()>::to<&joining_pipe::on_doom>(*this)) {
    deadline_.arm_in(limit);
    pipe_->attach(io_handler::to<&joining_pipe::on_pipe>(*this));
}

void joining_pipe::doom(error why) noexcept {
    doom_ = why;
    doomed_.schedule();
}

joining_pipe::parts joining_pipe::take() {
    deadline_.cancel();
    doomed_.cancel();
    out_.append(handshake_.take_output());
    duration rtt{0};
    // Within one turn of the loop time stands still: that is short, but not unknown.
    if (handshake_.done()) rtt = std::max<duration>(loop_.now() - hello_sent_, 1us);
    return {std::move(pipe_), std::move(in_), std::move(out_), rtt};
}

void joining_pipe::on_pipe(io_flags) {
    if (doomed() || !pipe_) return;
    error e = receive();
    if (!e) e = send();
    if (e) return judge_.failed(*this, e);
    if (handshake_.done()) judge_.shaken(*this);
}

void joining_pipe::on_deadline() {
    judge_.failed(*this, {reason::handshake_timeout});
}

void joining_pipe::on_doom() {
    judge_.failed(*this, doom_);
}

error joining_pipe::receive() {
    while (!handshake_.done() && pipe_->has(io_flag::readable)) {
        const io_result r = pipe_->recv(in_, read_size);
        if (r.status == io_status::broken) return r.why;
        if (r.status == io_status::fin) return {reason::peer_reset};
        if (r.status == io_status::again) break;
        if (error e = consume()) return e;
    }
    return pipe_->has(io_flag::broken) ? pipe_->why() : error{};
}

error joining_pipe::consume() {
    if (error e = handshake_.received(in_)) return e;
    if (handshake_.undecided()) {
        if (error e = judge_.hello_came(*this)) {
            handshake_.refuse(e);
            return e;
        }
        accepted_ = true;
        handshake_.accept(goes_on_);
        // READY may have come with the HELLO.
        if (error e = handshake_.received(in_)) return e;
    }
    out_.append(handshake_.take_output());
    return {};
}

error joining_pipe::send() {
    if (out_.empty() || !pipe_->has(io_flag::writable)) return {};
    if (hello_sent_ == never) hello_sent_ = loop_.now();
    const io_result r = pipe_->send(out_);
    return r.status == io_status::broken ? r.why : error{};
}

}  // namespace libp::stripe
