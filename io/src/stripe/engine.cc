#include <libp/assert.h>
#include <libp/stripe/engine.h>

#include "stripe/engine_state.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace libp::stripe {

engine::state::state(block_pool& blocks, const engine_options& options, instant now)
    : blocks_(blocks),
      opt_(options),
      writer_(blocks),
      credit_(options.memory_budget, options.own_initial_credit, options.first_window,
              options.max_window, options.max_streams),
      scheduler_(options.scheduler),
      now_(now),
      next_own_(options.even ? 2 : 1),
      next_advanced_(options.even ? 1 : 2) {}

// -- finding things -------------------------------------------------------------------------------

subflow* engine::state::find_subflow(subflow_id id) const noexcept {
    for (const auto& s : subflows_)
        if (s->id == id) return s.get();
    return nullptr;
}

stream* engine::state::find(stream_id id) const noexcept {
    const auto at = streams_.find(id);
    return at == streams_.end() ? nullptr : at->second.get();
}

bool engine::state::peer_used(stream_id id) const noexcept {
    const std::uint64_t n = (id - 1) / 2;
    return used_.contains(n, n + 1);
}

// -- the public face ------------------------------------------------------------------------------

engine::engine(block_pool& blocks, const engine_options& options, instant now)
    : state_(std::make_unique<state>(blocks, options, now)) {
    check(options.max_frame >= wire::smallest_max_frame &&
              options.max_frame <= wire::largest_max_frame,
          "max_frame is out of bounds");
    check(options.send_buffer > 0 && options.max_window > 0, "a stream must be able to send");
}

engine::~engine() = default;

void engine::subflow_up(subflow_id id, const subflow_options& options, instant now) {
    state& e = *state_;
    e.notice_standstill(now);
    check(!e.find_subflow(id), "a subflow came up twice");
    check(e.places_ != UINT64_MAX, "a session has more than 64 subflows");
    const auto place = static_cast<unsigned>(std::countr_one(e.places_));
    e.places_ |= std::uint64_t{1} << place;
    e.subflows_.push_back(
        std::make_unique<subflow>(e.blocks_, id, place, e.opt_.max_frame, options, now));
    e.subflows_.back()->goaway_due = e.broken_ && e.goaway_ != wire::code::none;
    e.survey();
    e.grant_ahead();
    e.look_at_others(*e.subflows_.back(), now);
}

void engine::set_congested(subflow_id id, bool congested, instant now) {
    state_->notice_standstill(now);
    if (subflow* s = state_->find_subflow(id)) s->congested = congested;
}

void engine::set_more_waits(subflow_id id, bool more) {
    if (subflow* s = state_->find_subflow(id)) s->tell_more_waits(more);
}

void engine::look_at(subflow_id id, const tcp_state& tcp, instant now) {
    state& e = *state_;
    subflow* s = e.find_subflow(id);
    if (!s || e.broken_) return;
    const bool news = s->limit.look(tcp, s->in_flight(), s->estimate.allowance(), now);
    if (!news) return;
    s->limit_due = true;
    s->stats.limit = s->limit.verdict();
    e.emit(event::kind::subflow_limited, 0).subflow = id;
}

void engine::drain(subflow_id id, instant now) {
    state_->notice_standstill(now);
    subflow* s = state_->find_subflow(id);
    if (s) state_->drain(*s);
}

bool engine::drained(subflow_id id) const {
    const subflow* s = state_->find_subflow(id);
    return s && s->is_drained();
}

void engine::subflow_down(subflow_id id, instant now) {
    state& e = *state_;
    e.notice_standstill(now);
    const auto at = std::find_if(e.subflows_.begin(), e.subflows_.end(),
                                 [id](const auto& s) { return s->id == id; });
    if (at == e.subflows_.end()) return;
    const std::unique_ptr<subflow> gone = std::move(*at);
    e.subflows_.erase(at);
    e.places_ &= ~(std::uint64_t{1} << gone->place);
    e.survey();
    for (sent_record& r : gone->records)
        e.say_again(*gone, r, true);
    // The peer is about to send again what it does not know to have arrived: say what has, of the
    // streams it had sent on it.
    const std::uint64_t place = std::uint64_t{1} << gone->place;
    for (stream* s = gone->received > 0 ? e.all_.front() : nullptr; s; s = e.all_.next(*s)) {
        if ((s->came_on & place) == 0) continue;
        s->came_on &= ~place;
        if (s->recv.complete() || (s->recv.next() == 0 && s->recv.held() == 0)) continue;
        s->owe(duty::ack);
        e.schedule(*s);
    }
    e.look_for_end();
}

error engine::received(subflow_id id, chain&& data, instant now) {
    state& e = *state_;
    subflow* s = e.find_subflow(id);
    check(s != nullptr, "bytes came on a subflow that is not up");
    e.notice_standstill(now);
    if (s->broken || e.broken_ || data.empty()) {
        data.clear();
        return s->broken;
    }
    s->heard(now);
    s->reader.feed(std::move(data));
    frame f;
    while (!e.broken_ && s->reader.next(f)) {
        const std::size_t size = f.head.frame_size();
        const std::uint8_t type = f.head.type;
        s->broken = e.process(*s, f, now);
        if (s->broken) break;
        s->processed(size, type, now);
    }
    if (!s->broken) s->broken = s->reader.error();
    if (s->broken) e.survey();
    return s->broken;
}

bool engine::wants_transmit(subflow_id id, instant now) const {
    state_->notice_standstill(now);
    const subflow* s = state_->find_subflow(id);
    return s && state_->choose(*s, now).what != state::choice::kind::nothing;
}

std::size_t engine::transmit(subflow_id id, chain& out, std::size_t budget, instant now) {
    state& e = *state_;
    subflow* s = e.find_subflow(id);
    check(s != nullptr, "a subflow that is not up asks for frames");
    e.notice_standstill(now);
    const std::size_t before = out.size();
    bool more = true;
    while (out.size() - before < budget && (more = e.transmit_one(*s, out, now))) {
        // Something goes anyway: the confirmation rides along rather than costing a write of its
        // own later.
        if (s->unconfirmed > 0) s->path_ack_due = true;
    }
    // Datagrams wait for their part of the allowance only.
    if (!more && !s->congested && e.datagrams_.empty() &&
        s->has_room(e.frame_on(*s), e.in_a_hurry())) {
        s->estimate.on_starved(s->position);
        if (e.fresh_streams_ > 0 && e.usable(*s)) ++s->stats.declined;
    }
    return out.size() - before;
}

double engine::arrival(subflow_id id) const {
    const subflow* s = state_->find_subflow(id);
    return s ? state_->arrival(*s, wire::header_size) : 0;
}

std::vector<subflow_id> engine::take_dead() {
    std::vector<subflow_id> dead;
    for (const auto& s : state_->subflows_)
        if (s->dead && !std::exchange(s->dead_told, true)) dead.push_back(s->id);
    return dead;
}

subflow_stats engine::stats(subflow_id id) const {
    const subflow* s = state_->find_subflow(id);
    if (!s) return {};
    subflow_stats out = s->stats;
    out.in_flight = s->in_flight();
    out.allowance = s->estimate.allowance();
    out.rate = s->estimate.rate();
    out.srtt = s->estimate.srtt();
    out.rtt_min = s->estimate.rtt_min();
    out.state = s->state;
    return out;
}

stream_id engine::open(const open_request& request, instant now) {
    state& e = *state_;
    state_->notice_standstill(now);
    if (e.broken_ || e.streams_.size() >= e.opt_.max_streams || e.next_own_ > UINT32_MAX - 2 ||
        request.target.size() > wire::target_max || (request.datagrams && !e.opt_.datagrams) ||
        e.unconfirmed_resets_ >= e.opt_.max_streams)
        return 0;
    stream& s = e.add_stream(e.next_own_, true, e.opt_.peer_initial_credit);
    if (!e.credit_.admit(s.recv.window, 0)) {
        e.forget(s);
        return 0;
    }
    if (const auto granted = e.next_credits_.extract(s.id)) s.send.raise_limit(granted.mapped());
    e.next_own_ += 2;
    if (request.datagrams) {
        e.begin_flow(s);
        s.flow->ttl = request.ttl;
        s.flow->twice = request.twice;
    } else {
        e.credit_.grant_first(s.recv.window);
    }
    s.measured_at = now;
    s.target = request.target;
    s.interactive = s.interactive || request.interactive;
    s.opened = true;
    ++e.opened_;
    s.owe(duty::open);
    e.schedule(s);
    return s.id;
}

void engine::accept(stream_id id, instant now) {
    state_->notice_standstill(now);
    stream* s = state_->find(id);
    if (!s || s->accepted) return;
    check(!s->ours && s->opened, "accept() is for streams the peer opened");
    s->accepted = true;
    if (!s->flow) state_->credit_.grant_first(s->recv.window);
    s->measured_at = now;
    s->owe(duty::open_ok);
    state_->schedule(*s);
    state_->grant_ahead();
}

void engine::refuse(stream_id id, error why, instant now) {
    const stream* s = state_->find(id);
    const bool waits = s != nullptr;
    check(!waits || (!s->ours && !s->accepted), "refuse() is for streams the peer opened");
    abort(id, why, now);
    if (waits) state_->grant_ahead();
}

io_result engine::write(stream_id id, chain& data, instant now, std::size_t bound) {
    state& e = *state_;
    e.notice_standstill(now);
    stream* s = e.find(id);
    if (!s) return io_result::broken(e.broken_ ? e.broken_ : error{reason::local_abort});
    check(!s->flow, "datagrams are not written");
    check(!s->send.fin_wanted(), "a stream was written after finish()");
    const std::size_t used = s->send.unsent().size();
    s->send.bound = std::min(bound, e.opt_.send_buffer);
    const std::size_t room = s->send.bound - std::min(s->send.bound, used);
    const std::size_t n = s->send.write(e.blocks_, data, room);
    e.unsent_ += n;
    s->send.wants_room = s->send.more_follows = !data.empty();
    e.schedule(*s);
    return n > 0 ? io_result::moved(n) : io_result::again();
}

void engine::finish(stream_id id, instant now) {
    state_->notice_standstill(now);
    stream* s = state_->find(id);
    if (!s) return;
    if (s->flow) {
        s->flow->finishing = true;
        state_->finish_flow(*s);
        return state_->schedule(*s);
    }
    s->send.finish();
    s->send.wants_room = s->send.more_follows = false;
    state_->schedule(*s);
}

io_result engine::read(stream_id id, chain& to, std::size_t max, instant now) {
    state& e = *state_;
    check(max > 0, "a read of nothing says nothing");
    e.notice_standstill(now);
    stream* s = e.find(id);
    if (!s) return io_result::broken(e.broken_ ? e.broken_ : error{reason::local_abort});
    check(!s->flow, "datagrams are not read as bytes");
    chain& ready = s->recv.ready();
    if (ready.empty()) return e.read_nothing(*s);
    const std::size_t n = std::min(max, ready.size());
    ready.move_front(to, n);
    e.held_ -= n;
    e.consumed(*s, n, now);
    if (ready.empty()) {
        s->recv.told_readable = false;
        e.tell_readable(*s);  // of the FIN
    }
    e.schedule(*s);
    return io_result::moved(n);
}

void engine::abort(stream_id id, error why, instant now) {
    state& e = *state_;
    state_->notice_standstill(now);
    if (!e.events_.empty()) e.muted_.insert(id);
    stream* s = e.find(id);
    if (!s || (s->recv.fin_read && s->send.fin_acked())) return;
    e.reset(*s, wire::code_of(why.why));
}

bool engine::ended(stream_id id) const {
    return !state_->find(id);
}

bool engine::completed(stream_id id) const {
    const stream* s = state_->find(id);
    return s && s->completed();
}

bool engine::next_event(event& out) {
    state& e = *state_;
    while (!e.events_.empty()) {
        out = std::move(e.events_.front());
        e.events_.pop_front();
        const bool muted = out.id != 0 && e.muted_.count(out.id) > 0;
        if (e.events_.empty()) e.muted_.clear();
        if (muted) continue;
        const bool stale =
            (out.what == event::kind::stream_ready || out.what == event::kind::stream_readable ||
             out.what == event::kind::stream_writable) &&
            !e.find(out.id);
        if (!stale) return true;
    }
    return false;
}

instant engine::next_timer() const {
    return state_->next_timer();
}

void engine::on_timer(instant now) {
    state& e = *state_;
    if (e.broken_) return;
    e.notice_standstill(now);
    for (const auto& s : e.subflows_) {
        s->on_timer(now, e.opt_.heartbeat, e.opt_.dead_after);
        e.look_at_silence(*s, now);
    }
    e.survey();
    if (e.datagrams_due_ <= now) e.drop_late(now);
    if (e.peer_gone_at_ <= now) e.look_for_end();
}

void engine::set_scheduler(stripe::scheduler s) {
    state_->scheduler_ = s;
}

void engine::leave(instant now) {
    state_->notice_standstill(now);
    if (state_->broken_) return;
    state_->break_session({reason::local_abort}, wire::code::none, true);
    state_->events_.clear();
    state_->muted_.clear();
}

bool engine::peer_leaves() const {
    return state_->peer_gone_at_ != never;
}

bool engine::is_over() const {
    return bool(state_->broken_);
}

std::size_t engine::open_streams() const {
    return state_->streams_.size();
}

std::size_t engine::opened_streams() const {
    return state_->opened_;
}

std::size_t engine::unfinished(subflow_id id) const {
    const subflow* s = state_->find_subflow(id);
    return s ? s->reader.buffered() : 0;
}

std::size_t engine::memory() const {
    std::size_t n = state_->unsent_ + state_->retained_ + state_->held_ + state_->datagrams_out_ +
                    state_->credit_.kept();
    for (const auto& s : state_->subflows_)
        n += s->reader.buffered();
    return n;
}

std::uint64_t engine::granted() const {
    std::uint64_t n = state_->credit_.granted();
    for (const auto& a : state_->advances_)
        n -= a.granted.outstanding();
    return n;
}

}  // namespace libp::stripe
