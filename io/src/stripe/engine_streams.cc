// The life of streams: where they belong, what they hold, how they end, and what the application is
// told.

#include "stripe/engine_state.h"

#include <algorithm>
#include <utility>

namespace libp::stripe {

stream& engine::state::add_stream(stream_id id, bool ours, std::uint64_t limit) {
    auto& s = *(streams_[id] = std::make_unique<stream>(id, ours, limit));
    all_.push_back(s);
    return s;
}

void engine::state::schedule(stream& s) {
    const auto belongs = [&s](auto& list, list_hook& hook, bool there) {
        if (there == hook.linked()) return;
        if (there) {
            list.push_back(s);
        } else {
            hook.unlink();
        }
    };
    belongs(control_, s.in_control, s.owes_any());
    belongs(waiting_, s.in_waiting, s.send.has_waiting());
    belongs(outstanding_, s.in_outstanding, !s.send.outstanding().empty());
    belongs(datagrams_, s.in_datagrams, s.may_send && s.flow && !s.flow->out.empty());
    waiting_bytes_ += s.send.waiting_bytes() - s.waiting_counted;
    s.waiting_counted = s.send.waiting_bytes();

    const bool fresh = s.may_send && s.send.has_new(opt_.max_window);
    const bool first = s.interactive || s.is_sparse(now_);
    if (s.in_fresh.linked() && (!fresh || first != s.fresh_first)) {
        s.in_fresh.unlink();
        --fresh_streams_;
    }
    if (fresh && !s.in_fresh.linked()) {
        s.fresh_first = first;
        (first ? interactive_ : bulk_).push_back(s);
        ++fresh_streams_;
    }
}

void engine::state::forget(stream& s) {
    credit_.release(s.recv.window);
    held_ -= s.recv.held();
    ranges_ -= s.recv.ranges();
    unsent_ -= s.send.unsent().size();
    retained_ -= s.send.unconfirmed();
    waiting_bytes_ -= s.waiting_counted;
    if (s.in_fresh.linked()) --fresh_streams_;
    if (s.opened) --opened_;
    if (s.flow) end_flow(s);
    streams_.erase(s.id);
}

void engine::state::end_if_finished(stream& s) {
    if (s.finished()) forget(s);
}

void engine::state::queue_reset(const reset_notice& r) {
    // The peer, or an application that opens and aborts without end, would fill the memory with
    // resets that nobody confirms.
    if (unconfirmed_resets_ >= 2 * std::size_t{opt_.max_streams} + 1024) {
        break_session({reason::limit}, wire::code::limit, true);
        return;
    }
    ++unconfirmed_resets_;
    resets_.push_back(r);
}

void engine::state::reset(stream& s, std::uint16_t code) {
    const reset_notice r{s.id, code, s.send.sent()};
    forget(s);
    queue_reset(r);
}

chain engine::state::take_unread(stream& s) {
    held_ -= s.recv.ready().size();
    credit_.consume(s.recv.window, s.recv.ready().size());
    return std::move(s.recv.ready());
}

void engine::state::break_stream(stream& s, error why, bool tell_peer) {
    // An OPEN that has not come is nobody's stream up there.
    if (s.opened) {
        event& e = emit(event::kind::stream_broken, s.id);
        e.why = why;
        e.unread = take_unread(s);
    }
    if (tell_peer) {
        reset(s, wire::code_of(why.why));
    } else {
        forget(s);
    }
}

void engine::state::break_session(error why, wire::code code, bool tell_peer) {
    if (broken_) return;
    broken_ = why;
    goaway_ = code;
    while (stream* s = all_.front()) {
        if (s->completed()) {
            emit(event::kind::stream_completed, s->id).unread = take_unread(*s);
            forget(*s);
        } else {
            break_stream(*s, why, false);
        }
    }
    resets_.clear();
    unconfirmed_resets_ = 0;
    for (const auto& s : subflows_) {
        s->records.clear();
        s->control_records = 0;
        s->datagrams_in_flight = 0;
        s->goaway_due = tell_peer;
    }
    retained_ = 0;
    emit(event::kind::session_broken, 0).why = why;
}

event& engine::state::emit(event::kind what, stream_id id) {
    event& e = events_.emplace_back();
    e.what = what;
    e.id = id;
    return e;
}

void engine::state::tell_readable(stream& s) {
    if (s.recv.told_readable || !s.opened) return;
    const bool nothing = s.flow ? s.flow->in.empty() : s.recv.ready().empty();
    if (nothing && (!s.recv.complete() || s.recv.fin_read)) return;
    s.recv.told_readable = true;
    emit(event::kind::stream_readable, s.id);
}

io_result engine::state::read_nothing(stream& s) {
    if (!s.recv.complete()) {
        s.recv.told_readable = false;
        return io_result::again();
    }
    s.recv.fin_read = true;
    end_if_finished(s);
    return io_result::fin();
}

void engine::state::tell_writable(stream& s) {
    if (!s.send.wants_room || s.send.unsent().size() > s.send.bound / 2) return;
    s.send.wants_room = false;
    emit(event::kind::stream_writable, s.id);
}

// A window is to hold what comes in while its renewal travels, over the slowest subflow, and as
// much again that waits for something late; it doubles where a quarter of it or more is read in a
// round trip. (As Fisk and Feng, "Dynamic Right-Sizing", LACSI 2001, not from one read to the next:
// what had to wait is read all at once.)
void engine::state::consumed(stream& s, std::size_t n, instant now) {
    window& w = s.recv.window;
    if (!credit_.consume(w, n)) return;
    s.owe(duty::credit);
    duration round_trip{0};
    for (const auto& f : subflows_)
        if (usable(*f))
            round_trip = std::max({round_trip, f->estimate.srtt(), f->estimate.expected_rtt()});
    const duration took = now - s.measured_at;
    if (took < round_trip / 2) return;
    const auto read = static_cast<double>(w.consumed - s.measured_from);
    if (4 * read * seconds(round_trip) > static_cast<double>(w.size) * seconds(took))
        credit_.grow(w);
    s.measured_at = now;
    s.measured_from = w.consumed;
}

}  // namespace libp::stripe
