#include <libp/assert.h>
#include <libp/pipe_state.h>

#include <utility>

namespace libp {

pipe_state::pipe_state(event_loop& loop) noexcept
    : later_loop_(loop), later_(loop, delegate<void()>::to<&pipe_state::deliver>(*this)) {}

pipe_state::~pipe_state() {
    check(!inside_, "a pipe was destroyed inside its own handler: retire it");
    later_.cancel();
}

void pipe_state::attach(io_handler handler) noexcept {
    handler_ = handler;
    pending_ = levels_;
    if (handler_ && pending_.any())
        later_.schedule();
    else
        later_.cancel();
}

void pipe_state::raise(io_flags bits) noexcept {
    // Nothing may be sent once a FIN was asked for, or the pipe broke: kept here, once for all
    // pipes.
    const io_flags final_for_sending = io_flag::fin_wanted | io_flags(io_flag::broken);
    if (((levels_ | bits) & final_for_sending).any()) {
        lower(io_flag::writable);
        bits.clear(io_flag::writable);
    }
    const io_flags risen = bits - levels_;
    if (risen.none()) return;
    levels_.set(risen);
    pending_.set(risen);
    // If this is inside an event, deliver() comes first and takes the call back.
    if (handler_) later_.schedule();
}

void pipe_state::lower(io_flags bits) noexcept {
    levels_.clear(bits);
    pending_.clear(bits);
    if (pending_.none()) later_.cancel();
}

void pipe_state::break_with(error e) noexcept {
    check(bool(e), "a pipe breaks for a reason");
    if (levels_.has(io_flag::broken)) return;
    why_ = e;
    raise(io_flag::broken);
    if (!levels_.has(io_flag::fin_rcvd)) raise(io_flag::readable);
}

void pipe_state::deliver() {
    // A call that the handler made on another pipe may lead back here; what rose waits for the
    // deferred call.
    if (inside_ || !handler_ || pending_.none()) return;
    later_.cancel();
    const io_flags risen = std::exchange(pending_, io_flags{});
    const io_handler handler = handler_;  // it may attach another
    inside_ = true;
    handler(risen);
    inside_ = false;
}

}  // namespace libp
