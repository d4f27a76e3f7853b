#include "stripe/parting_pipe.h"

#include <utility>

namespace libp::stripe {

parting_pipe::parting_pipe(event_loop& loop, std::unique_ptr<io_pipe> pipe, chain rest,
                           duration limit, gone call)
    : pipe_(std::move(pipe)),
      rest_(std::move(rest)),
      deadline_(loop, delegate<void()>::to<&parting_pipe::on_deadline>(*this)),
      more_(loop, delegate<void()>::to<&parting_pipe::on_more>(*this)),
      gone_(call) {
    deadline_.arm_in(limit);
    pipe_->attach(io_handler::to<&parting_pipe::on_pipe>(*this));
}

void parting_pipe::on_more() {
    if (!deadline_.armed()) return;
    if (over()) {
        deadline_.cancel();
        gone_(*this);
    } else if (pipe_->has(io_flag::readable)) {
        more_.schedule();
    }
}

void parting_pipe::on_deadline() {
    gone_(*this);
}

bool parting_pipe::over() {
    if (!rest_.empty() && pipe_->has(io_flag::writable)) pipe_->send(rest_);
    if (rest_.empty()) pipe_->send_fin();
    constexpr std::size_t read_size = 256 * kib;
    // All of it, up to the end: the peer's FIN is behind it, and what is left unread when the pipe
    // is destroyed would reset the connection.
    chain dropped;
    while (pipe_->has(io_flag::readable) && dropped.size() < read_size) {
        if (!pipe_->recv(dropped, read_size).ok()) break;
    }
    return pipe_->has(io_flag::broken) || pipe_->finished();
}

}  // namespace libp::stripe
