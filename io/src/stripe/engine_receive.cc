// Frames that come in. One that is well formed but impossible ends the session (break_session);
// malformed ones never get here.

#include <libp/assert.h>
#include <libp/endian.h>

#include "stripe/engine_state.h"

#include <algorithm>
#include <utility>

namespace libp::stripe {

namespace {

// What a peer that leaves had under way is waited for, that long.
constexpr duration leaving_time = 5s;
// So many ranges a stream may have parked whatever others have: one for each of a few subflows that
// are late.
constexpr std::size_t few_ranges = 4;

// What an OPEN asks for; a reason if it cannot be had.
error read_request(const frame& f, bool datagrams, open_request& out) {
    if (f.head.aux > (datagrams ? wire::class_datagrams : wire::class_interactive))
        return {reason::unsupported};
    out.interactive = f.head.aux == wire::class_interactive;
    out.datagrams = f.head.aux == wire::class_datagrams;
    std::uint8_t buffer[wire::open_max];
    bytes left{buffer, f.payload.copy_out(buffer)};
    while (!left.empty()) {
        if (left.size() < 4) return {reason::protocol_error};
        const std::uint16_t kind = load_be16(left.data());
        const std::size_t size = load_be16(left.data() + 2);
        left = left.subspan(4);
        if (left.size() < size) return {reason::protocol_error};
        if (kind == wire::tlv::target) {
            // Twice would mean one thing to whoever looks at the first and another to whoever looks
            // at the last.
            if (!out.target.empty() || size == 0) return {reason::protocol_error};
            out.target = text_of(left.first(size));
        } else if (kind == wire::tlv::flow) {
            if (size < 3) return {reason::protocol_error};
            out.ttl = std::chrono::milliseconds(load_be16(left.data()));
            out.twice = left[2] == 2;
        } else if ((kind & wire::tlv::critical) != 0) {
            return {reason::unsupported};
        }
        left = left.subspan(size);
    }
    return {};
}

}  // namespace

error engine::state::process(subflow& from, frame& f, instant now) {
    const wire::header& h = f.head;
    switch (h.type) {
        case wire::type::hello:
        case wire::type::ready:
            return {reason::protocol_error};
        case wire::type::open:
            on_open(f);
            break;
        case wire::type::open_ok:
            on_open_ok(h);
            break;
        case wire::type::data:
            on_data(from, f);
            break;
        case wire::type::dgram:
            if (!opt_.datagrams) return {reason::protocol_error};
            on_datagram(f, now);
            break;
        case wire::type::rst:
            on_rst(h);
            break;
        case wire::type::ack:
            on_ack(f);
            break;
        case wire::type::credit:
            on_credit(h);
            break;
        case wire::type::path_ack:
            on_path_ack(f, now);
            break;
        case wire::type::ping:
            from.pong_due = true;
            from.pong_value = h.offset;
            break;
        case wire::type::pong:
            break;
        case wire::type::limit:
            on_limit(from, h);
            break;
        case wire::type::drain:
            from.peer_drains = true;
            drain(from);
            break;
        case wire::type::goaway:
            on_goaway(from, h, now);
            break;
        default:
            if (h.type >= wire::type::first_critical)
                break_session({reason::unsupported}, wire::code::unsupported, true);
            break;
    }
    return {};
}

// -- which stream a frame is for ------------------------------------------------------------------

bool engine::state::mark_used(stream_id id) {
    const std::uint64_t n = (id - 1) / 2;
    used_.insert(n, n + 1);
    // Gaps are OPENs under way; a peer has not more of them than streams, and those it reset.
    if (used_.count() <= 2 * std::size_t{opt_.max_streams} + 1024) return true;
    break_session({reason::limit}, wire::code::limit, true);
    return false;
}

// A stream of the peer's that is seen for the first time, be it by its OPEN or by what overtook it.
stream* engine::state::peer_stream(stream_id id) {
    if (!mark_used(id)) return nullptr;
    window granted = take_advance(id);
    if (streams_.size() < opt_.max_streams) {
        stream& s = add_stream(id, false, 0);
        s.recv.window = granted;
        if (granted.open || credit_.admit(s.recv.window, opt_.own_initial_credit)) return &s;
        forget(s);
    } else {
        credit_.release(granted);
    }
    queue_reset({id, wire::code_of(reason::limit), 0});
    return nullptr;
}

// The stream that a frame other than OPEN and RST is for; nullptr if it is closed, or if the
// session is at its end.
stream* engine::state::addressed(const wire::header& h) {
    if (h.stream == 0) {
        break_session({reason::protocol_error}, wire::code::stream_id, true);
        return nullptr;
    }
    if (stream* s = find(h.stream)) return s;
    if (is_ours(h.stream) ? h.stream < next_own_ : peer_used(h.stream)) return nullptr;
    const bool may_overtake =
        h.type == wire::type::data || h.type == wire::type::credit || h.type == wire::type::dgram;
    if (!is_ours(h.stream) && may_overtake) return peer_stream(h.stream);
    break_session({reason::protocol_error}, wire::code::protocol, true);
    return nullptr;
}

// -- opening --------------------------------------------------------------------------------------

void engine::state::on_open(frame& f) {
    const wire::header& h = f.head;
    if (h.stream == 0 || is_ours(h.stream))
        return break_session({reason::protocol_error}, wire::code::stream_id, true);
    if (h.offset > wire::credit_max)
        return break_session({reason::flow_control}, wire::code::flow_control, true);
    stream* s = find(h.stream);
    if (!s && !peer_used(h.stream)) s = peer_stream(h.stream);
    if (!s || s->opened) return;
    event e;
    e.what = event::kind::stream_opened;
    e.id = s->id;
    if (error refused = read_request(f, opt_.datagrams, e.request))
        return reset(*s, wire::code_of(refused.why));
    if (e.request.datagrams != bool(s->flow)) {
        // What overtook the OPEN was of the other sort.
        if (!is_like_flow(*s))
            return break_session({reason::protocol_error}, wire::code::protocol, true);
        begin_flow(*s);
    }
    s->opened = true;
    ++opened_;
    if (s->flow) {
        s->flow->ttl = e.request.ttl;
        s->flow->twice = e.request.twice;
    }
    s->interactive = s->interactive || e.request.interactive;
    s->send.raise_limit(h.offset);
    events_.push_back(std::move(e));
    tell_readable(*s);
    schedule(*s);
}

void engine::state::on_open_ok(const wire::header& h) {
    if (h.stream != 0 && !is_ours(h.stream))
        return break_session({reason::protocol_error}, wire::code::protocol, true);
    if (h.offset > wire::credit_max)
        return break_session({reason::flow_control}, wire::code::flow_control, true);
    stream* s = addressed(h);
    if (!s) return;
    s->send.raise_limit(h.offset);
    answered(*s);
    schedule(*s);
}

// By OPEN_OK, or by what is sent behind it only: that may come first, and OPEN_OK is not said again
// once its stream is over.
void engine::state::answered(stream& s) {
    if (!s.ours || std::exchange(s.accepted, true)) return;
    emit(event::kind::stream_ready, s.id);
}

void engine::state::on_rst(const wire::header& h) {
    if (h.stream == 0) return break_session({reason::protocol_error}, wire::code::stream_id, true);
    stream* s = find(h.stream);
    if (s) {
        switch (s->recv.check_final(h.offset)) {
            case receive_stream::verdict::final_size:
                return break_session({reason::protocol_error}, wire::code::final_size, true);
            case receive_stream::verdict::flow_control:
                return break_session({reason::flow_control}, wire::code::flow_control, true);
            default:
                return break_stream(*s, {wire::reason_of(h.aux)}, false);
        }
    }
    if (!is_ours(h.stream)) {
        if (peer_used(h.stream) || !mark_used(h.stream)) return;
        window granted = take_advance(h.stream);
        credit_.release(granted);
    } else if (h.stream >= next_own_) {
        break_session({reason::protocol_error}, wire::code::protocol, true);
    }
}

// -- data -----------------------------------------------------------------------------------------

void engine::state::on_data(subflow& from, frame& f) {
    stream* s = addressed(f.head);
    if (!s) return;
    if (s->flow && (f.head.offset != 0 || f.head.length != 0))
        return break_session({reason::protocol_error}, wire::code::protocol, true);
    from.stats.data_received += f.payload.size();
    s->came_on |= std::uint64_t{1} << from.place;
    const std::size_t before = s->recv.held(), ranges_before = s->recv.ranges();
    bool repeated = false;
    const auto verdict = s->recv.accept(blocks_, f.head.offset, std::move(f.payload),
                                        f.head.has(wire::flag::fin), repeated);
    held_ += s->recv.held() - before;
    ranges_ += s->recv.ranges() - ranges_before;
    switch (verdict) {
        case receive_stream::verdict::flow_control:
            return break_session({reason::flow_control}, wire::code::flow_control, true);
        case receive_stream::verdict::final_size:
            return break_session({reason::protocol_error}, wire::code::final_size, true);
        case receive_stream::verdict::too_many_ranges:
            return break_stream(*s, {reason::limit}, true);
        case receive_stream::verdict::ok:
            break;
    }
    if (ranges_ > most_ranges() && s->recv.ranges() > few_ranges)
        return break_stream(*s, {reason::limit}, true);
    if (s->recv.final_size()) credit_.finish(s->recv.window, *s->recv.final_size());
    if (repeated || s->recv.complete()) s->owe(duty::ack);
    answered(*s);
    tell_readable(*s);
    schedule(*s);
}

// Of all streams together. A range takes some 700 bytes, were it of one; with this, and few_ranges
// of each stream, they take about as much as the budget. An honest peer stays below. Where frames
// are not small a range and the gap before it are 2 KiB and more of some window, and windows are
// part of the budget. Where they are small there is little in flight: a gap is a frame on a subflow
// that is late, what follows it without another gap is one range, and what comes again fills gaps.
// So even the smallest session has room for a stream of as many gaps as an ACK can speak of, and a
// large one for that many in hundreds of streams, beside the few that any stream may have.
std::size_t engine::state::most_ranges() const noexcept {
    return wire::ranges_max + opt_.memory_budget / 2048;
}

void engine::state::on_ack(frame& f) {
    const wire::header& h = f.head;
    stream* s = addressed(h);
    if (!s) return;
    const bool fin = h.has(wire::flag::fin);
    bool possible = h.offset <= s->send.sent() &&
                    (!fin || (s->send.fin_sent() && h.offset == s->send.sent() && h.aux == 0));
    std::uint8_t buffer[wire::ranges_max * 16];
    f.payload.copy_out(buffer);
    std::vector<interval_set::range> ranges;
    std::uint64_t last = h.offset;
    for (std::size_t i = 0; possible && i < h.aux; ++i) {
        const std::uint64_t begin = load_be64(buffer + i * 16);
        const std::uint64_t end = load_be64(buffer + i * 16 + 8);
        possible = begin > last && end > begin && end <= s->send.sent();
        ranges.push_back({begin, end});
        last = end;
    }
    if (!possible) return break_session({reason::protocol_error}, wire::code::ack_range, true);
    retained_ -= s->send.acknowledged(h.offset, ranges);
    if (fin && !s->send.fin_acked()) {
        retained_ -= s->send.fin_acknowledged();
        emit(event::kind::stream_fin_acked, s->id);
    }
    schedule(*s);
    end_if_finished(*s);
}

// -- credit ---------------------------------------------------------------------------------------

void engine::state::on_credit(const wire::header& h) {
    if (h.offset > wire::credit_max)
        return break_session({reason::flow_control}, wire::code::flow_control, true);
    if (is_ours(h.stream) && h.stream >= next_own_) return on_credit_ahead(h);
    stream* s = addressed(h);
    if (!s || !s->send.raise_limit(h.offset)) return;
    schedule(*s);
}

// -- confirmation ---------------------------------------------------------------------------------

void engine::state::on_path_ack(frame& f, instant now) {
    std::uint8_t payload[8];
    f.payload.copy_out(payload);
    subflow* s = find_subflow(load_be32(payload));
    if (!s) return;  // of a subflow that is gone
    const duration held = std::chrono::microseconds(load_be32(payload + 4));
    const std::uint64_t before = s->confirmed;
    if (!s->confirm(f.head.offset, held, now, [&](const sent_record& r) { freed(*s, r); }))
        return break_session({reason::protocol_error}, wire::code::ack_range, true);
    if (s->confirmed == before) return;
    if (!s->is_good()) {
        s->state = subflow_state::good;
        s->estimate.restart(now);
        survey();
    }
    look_at_others(*s, now);
}

void engine::state::on_limit(subflow& from, const wire::header& h) {
    const bool known = h.aux <= static_cast<std::uint16_t>(subflow_limit::path);
    const auto said = known ? static_cast<subflow_limit>(h.aux) : subflow_limit::unknown;
    if (std::exchange(from.stats.peer_limit, said) == said) return;
    emit(event::kind::subflow_limited, 0).subflow = from.id;
}

// -- the peer leaves ------------------------------------------------------------------------------

void engine::state::on_goaway(subflow& from, const wire::header& h, instant now) {
    if (h.aux != static_cast<std::uint16_t>(wire::code::none))
        return break_session({wire::reason_of(h.aux)}, wire::code::none, false);
    from.goaway_came = true;
    if (peer_gone_at_ == never) peer_gone_at_ = saturating_add(now, leaving_time);
    look_for_end();
}

// Other subflows may still bring what it sent before, the acknowledgement of a stream's end among
// it.
void engine::state::look_for_end() {
    if (broken_ || peer_gone_at_ == never) return;
    const bool all_said =
        std::ranges::all_of(subflows_, [](const auto& s) { return s->goaway_came; });
    if (all_said || peer_gone_at_ <= now_)
        break_session({reason::peer_reset}, wire::code::none, false);
}

// -- what was confirmed ---------------------------------------------------------------------------

void engine::state::freed(subflow& on, const sent_record& r) {
    on.control_records -= r.is_control();
    if (r.what == sent_record::kind::datagram) {
        on.datagrams_in_flight -= static_cast<std::size_t>(r.offset);
        return;
    }
    if (r.what == sent_record::kind::reset) {
        --unconfirmed_resets_;
        return;
    }
    stream* s = find(r.id);
    if (!s) return;
    if (r.what == sent_record::kind::data) {
        if (fragment* f = s->send.find(r.offset)) {
            const std::size_t n = s->send.delivered(*f);
            retained_ -= n;
            confirmed_bytes_ += n;
        }
    }
    schedule(*s);
    if (r.final_ack) {
        s->final_ack_confirmed = true;
        end_if_finished(*s);
    }
}

}  // namespace libp::stripe
