// Flows of datagrams: what goes, by which subflow, what comes, and what is dropped.
//
//  -- by which way --
//
// A datagram goes by the subflow on which it arrives soonest, if that is in time, and is worth
// nothing later. A subflow that should have confirmed something by now and has not is overdue: its
// carrier repairs a loss, or it is dead. A stream waits to see which, for the bytes are safe; a
// datagram takes another way at once, and those that take the same path are doubted with it. An
// overdue subflow is used only where there is no other, and what it is given there is expected to
// take as long as it has been silent on top.
//
// What datagrams may have in flight on one subflow is what the path holds, and 20 ms: with more
// they would only wait in queues, where they cannot be dropped.

#include <libp/assert.h>
#include <libp/crc32c.h>

#include "stripe/engine_state.h"

#include <algorithm>
#include <utility>

namespace libp::stripe {

namespace {

// Beyond what the path holds.
constexpr duration queued = 20ms;
// How late a confirmation may be, beyond a round trip and its variation: held back 10 ms, and turns
// of the machinery.
constexpr duration confirmation_slack = 30ms;
// A subflow that takes nothing just now is expected to do so again after that: what the layers
// below are asked to hold.
constexpr duration congestion = 10ms;
// A second copy that finds no way by then is not sent.
constexpr duration copy_patience = 100ms;
// Datagrams go first; with so much more of them sent than of data (or a frame, if that is more)
// data goes, and they leave it the room.
constexpr std::size_t most_lead = 64 * kib;
// With a little flow under way, queues are kept short for that long.
constexpr duration hurry = 1s;
// How many flows are asked for a datagram that may go.
constexpr int flows_asked = 8;

instant overdue_at(const subflow& s) noexcept {
    if (s.in_flight() == 0) return never;
    const duration round_trip = std::max(s.estimate.srtt(), s.estimate.expected_rtt());
    return saturating_add(
        s.last_progress,
        std::min(s.estimate.patience(), round_trip + 4 * s.estimate.rttvar()) + confirmation_slack);
}

bool is_overdue(const subflow& s, instant now) noexcept {
    return overdue_at(s) <= now;
}

std::size_t allowed(const subflow& s) noexcept {
    if (s.estimate.starting()) return s.estimate.allowance();
    const double holds = s.estimate.expected_rate() * seconds(s.estimate.expected_rtt() + queued);
    return std::min(s.estimate.allowance(), static_cast<std::size_t>(holds));
}

std::uint64_t bit_of(std::uint32_t path) noexcept {
    return path == 0 ? 0 : std::uint64_t{1} << (path % 64);
}

}  // namespace

// -- the life of flows ----------------------------------------------------------------------------

void engine::state::begin_flow(stream& s) {
    s.flow = std::make_unique<datagram_flow>();
    s.interactive = true;  // its FIN
    // Credit does not apply to it: what it was granted, in advance or by the HELLO, is for streams.
    credit_.finish(s.recv.window, 0);
}

void engine::state::end_flow(stream& s) {
    datagrams_out_ -= s.flow->out.cost();
    credit_.let_go(s.flow->in.cost());
}

// Nothing has come of it that a flow does not have.
bool engine::state::is_like_flow(const stream& s) const noexcept {
    return !s.flow && !s.opened && s.recv.next() == 0 && s.recv.held() == 0 &&
           s.recv.final_size().value_or(0) == 0;
}

void engine::state::finish_flow(stream& s) {
    if (s.flow->finishing && s.flow->out.empty()) s.send.finish();
}

void engine::state::count(stream& s, std::uint64_t datagram_stats::*what) {
    ++(s.flow->stats.*what);
    ++(datagram_stats_.*what);
}

// -- waiting to be sent ---------------------------------------------------------------------------

datagram engine::state::take_out(stream& s, std::size_t index) {
    datagram d = s.flow->out.take(index);
    datagrams_out_ -= d.cost();
    return d;
}

void engine::state::drop_late(stream& s, instant now) {
    for (std::size_t i = s.flow->out.size(); i-- > 0;) {
        if (s.flow->out[i].deadline > now) continue;
        if (!take_out(s, i).copy) count(s, &datagram_stats::late);
    }
    finish_flow(s);
    schedule(s);
}

void engine::state::drop_late(instant now) {
    datagrams_due_ = never;
    stream* next = nullptr;
    for (stream* s = datagrams_.front(); s; s = next) {
        next = datagrams_.next(*s);
        drop_late(*s, now);
        for (std::size_t i = 0; i < s->flow->out.size(); ++i)
            datagrams_due_ = std::min(datagrams_due_, s->flow->out[i].deadline);
    }
}

// Somebody looks again when one is late, and when a subflow that could carry them turns out not to.
instant engine::state::datagram_timer() const noexcept {
    if (datagrams_.empty()) return never;
    instant at = datagrams_due_;
    for (const auto& s : subflows_)
        if (!s->is_over())
            if (const instant overdue = overdue_at(*s); overdue > now_) at = std::min(at, overdue);
    return at;
}

io_result engine::send_datagram(stream_id id, chain&& payload, duration ttl, instant now) {
    state& e = *state_;
    e.notice_standstill(now);
    stream* s = e.find(id);
    if (!s) {
        payload.clear();
        return io_result::broken(e.broken_ ? e.broken_ : error{reason::local_abort});
    }
    check(s->flow != nullptr, "datagrams are sent on a stream");
    check(payload.size() <= max_datagram(), "a datagram is larger than a frame");
    check(!s->flow->finishing, "a datagram was sent after finish()");
    datagram d;
    const std::size_t size = payload.size();
    d.payload = std::move(payload);
    d.payload.compact(e.blocks_);
    d.number = s->flow->next_number++;
    if (ttl > duration{0}) d.deadline = d.expires = saturating_add(now, ttl);
    e.drop_late(*s, now);
    datagram_queue& out = s->flow->out;
    const auto fits = [&] {
        return out.has_room(size) && e.datagrams_out_ + d.cost() <= e.opt_.memory_budget / 8;
    };
    while (!fits() && !out.empty())
        if (!e.take_out(*s, 0).copy) e.count(*s, &datagram_stats::overrun);
    if (fits()) {
        e.datagrams_due_ = std::min(e.datagrams_due_, d.deadline);
        e.datagrams_out_ += d.cost();
        out.push(std::move(d));
    } else {
        e.count(*s, &datagram_stats::overrun);
    }
    e.schedule(*s);
    return io_result::moved(size);
}

// -- what goes where ------------------------------------------------------------------------------

// Whether it has room for that datagram, and it is no copy of one that went by the same way.
bool engine::state::may_carry(const subflow& s, const datagram& d) const {
    if (!usable(s) || s.records.size() >= subflow::many_records) return false;
    if (s.datagrams_in_flight > 0 && s.datagrams_in_flight + d.payload.size() > allowed(s))
        return false;
    if (!d.copy) return true;
    if (s.place == d.place) return false;
    if (d.path == 0 || s.path != d.path) return true;
    // By the same path on another subflow only where there is no other path.
    return std::ranges::none_of(subflows_,
                                [&](const auto& o) { return usable(*o) && o->path != d.path; });
}

std::uint64_t engine::state::doubtful_paths(instant now) const {
    std::uint64_t paths = 0;
    for (const auto& s : subflows_)
        if (!s->is_over() && is_overdue(*s, now)) paths |= bit_of(s->path);
    return paths;
}

// The soonest of those that are least in doubt; nullptr if by none it arrives in time.
const subflow* engine::state::best_for(const datagram& d, std::uint64_t doubtful,
                                       instant now) const {
    const subflow* best = nullptr;
    std::pair<int, double> least;
    for (const auto& s : subflows_) {
        if (!may_carry(*s, d)) continue;
        double takes = arrival(*s, wire::header_size + d.payload.size());
        int doubt = (doubtful & bit_of(s->path)) != 0 ? 1 : 0;
        if (is_overdue(*s, now)) {
            doubt = 2;
            takes += seconds(s->quiet(now));
        }
        if (s->congested) takes += seconds(congestion);
        if (d.deadline != never && seconds(d.deadline - now) <= takes) continue;
        if (best && std::pair(doubt, takes) >= least) continue;
        best = s.get();
        least = {doubt, takes};
    }
    return best;
}

engine::state::choice engine::state::choose_datagram(const subflow& on, instant now) const {
    if (datagrams_.empty()) return {};
    const std::size_t frame = frame_on(on);
    const bool lead = datagram_lead_ >= std::max(most_lead, frame);
    if (lead && fresh_streams_ > 0 && retained_ < opt_.memory_budget &&
        (!on.has_room(frame, in_a_hurry()) || choose_fresh(on).what != choice::kind::nothing))
        return {};
    const std::uint64_t doubtful = doubtful_paths(now);
    stream* s = datagrams_.front();
    for (int n = 0; s && n < flows_asked; ++n, s = datagrams_.next(*s)) {
        const datagram_queue& out = s->flow->out;
        for (std::size_t i = 0; i < out.size(); ++i) {
            const subflow* best = best_for(out[i], doubtful, now);
            if (best == &on) return {choice::kind::datagram, s, i};
            // In order, but nothing waits for a copy, or for one that is late.
            if (best && !out[i].copy) break;
        }
    }
    return {};
}

void engine::state::transmit_datagram(subflow& on, chain& out, stream& s, std::size_t index,
                                      instant now) {
    datagram_flow& flow = *s.flow;
    datagram& d = flow.out.at(index);
    const auto left = d.expires == never ? duration{0} : d.expires - now;
    wire::header h{.type = wire::type::dgram,
                   .flags = d.copy ? wire::flag::resent : std::uint8_t{0},
                   .aux = wire::ttl_ms(left),
                   .length = static_cast<std::uint32_t>(d.payload.size()),
                   .stream = s.id,
                   .offset = d.number};
    if (on.payload_crc && !d.payload.empty()) {
        h.flags |= wire::flag::crc;
        if (!d.summed) d.crc = crc32c(0, d.payload);
        d.summed = true;
    }
    const std::size_t size = writer_.shared(out, h, d.payload, d.crc);
    record(on, {.what = sent_record::kind::datagram, .id = s.id, .offset = size}, size, now);
    on.datagrams_in_flight += size;
    datagram_lead_ += size;
    count(s, d.copy ? &datagram_stats::copies : &datagram_stats::sent);

    const bool small = flow.small.is_within(now);
    const bool once = d.copy || !flow.twice || !small;
    if (!d.copy) flow.small.spent(d.payload.size(), now);
    if (small) hurry_until_ = now + hurry;
    const auto other = [&](const auto& o) { return o.get() != &on && usable(*o); };
    if (once || std::ranges::none_of(subflows_, other)) {
        take_out(s, index);
        finish_flow(s);
    } else {
        d.copy = true;
        d.place = static_cast<std::uint8_t>(on.place);
        d.path = on.path;
        d.deadline = std::min(d.deadline, now + copy_patience);
        datagrams_due_ = std::min(datagrams_due_, d.deadline);
    }
    // The next flow has its turn.
    s.in_datagrams.unlink();
    schedule(s);
}

// -- coming in ------------------------------------------------------------------------------------

void engine::state::on_datagram(frame& f, instant now) {
    stream* s = addressed(f.head);
    if (!s) return;
    if (!s->flow) {
        if (!is_like_flow(*s))
            return break_session({reason::protocol_error}, wire::code::protocol, true);
        begin_flow(*s);
    }
    answered(*s);
    if (!s->flow->seen.admit(f.head.offset)) return count(*s, &datagram_stats::repeated);
    count(*s, &datagram_stats::received);
    // After its end nobody is going to read it.
    if (s->recv.fin_read) return count(*s, &datagram_stats::unread);
    datagram d;
    d.payload = std::move(f.payload);
    d.payload.compact(blocks_);
    if (f.head.aux > 0) d.deadline = saturating_add(now, std::chrono::milliseconds(f.head.aux));
    datagram_queue& in = s->flow->in;
    while (!in.empty() && !in.has_room(d.payload.size()))
        drop_unread(*s);
    while (!credit_.keep(d.cost())) {
        // Others have it all: then it is this one that goes.
        if (in.empty()) return count(*s, &datagram_stats::unread);
        drop_unread(*s);
    }
    in.push(std::move(d));
    tell_readable(*s);
}

void engine::state::take_in(stream& s, chain& to) {
    datagram d = s.flow->in.take(0);
    credit_.let_go(d.cost());
    to.append(std::move(d.payload));
}

void engine::state::drop_unread(stream& s) {
    chain gone;
    take_in(s, gone);
    count(s, &datagram_stats::unread);
}

io_result engine::next_datagram(stream_id id, chain& to, instant now) {
    state& e = *state_;
    e.notice_standstill(now);
    stream* s = e.find(id);
    if (!s) return io_result::broken(e.broken_ ? e.broken_ : error{reason::local_abort});
    check(s->flow != nullptr, "a stream is read for datagrams");
    datagram_queue& in = s->flow->in;
    while (!in.empty() && in[0].deadline <= now)
        e.drop_unread(*s);
    if (in.empty()) return e.read_nothing(*s);
    const std::size_t size = in[0].payload.size();
    e.take_in(*s, to);
    if (in.empty()) {
        s->recv.told_readable = false;
        e.tell_readable(*s);  // of the FIN
    }
    return io_result::moved(size);
}

std::size_t engine::max_datagram() const noexcept {
    return std::min(wire::datagram_max, state_->opt_.max_frame);
}

datagram_stats engine::datagrams(stream_id id) const {
    if (id == 0) return state_->datagram_stats_;
    const stream* s = state_->find(id);
    return s && s->flow ? s->flow->stats : datagram_stats{};
}

}  // namespace libp::stripe
