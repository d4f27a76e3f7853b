// Frames that go out: what was chosen for a subflow (engine_schedule.cc) is written and remembered.

#include <libp/assert.h>
#include <libp/crc32c.h>
#include <libp/endian.h>

#include "stripe/engine_state.h"

#include <algorithm>

namespace libp::stripe {

namespace {

// When a stream has sent so much the next has its turn.
constexpr std::size_t quantum = 64 * kib;
// Somebody who has sent little things goes on to do so for about that long.
constexpr duration hurry = 1s;
// With so many unconfirmed frames (control frames: data stops long before) a subflow is given up,
constexpr std::size_t too_many_records = 64 * 1024;
// and that which has the most where all of a session have so many: no budget counts their records,
// 72 bytes each. A stream owes four sorts of them at most, each again only when something new has
// come of it or was read, and what its window lets come in one round trip is worth a few. So this
// is a multiple of what is under way where every stream there may be is busy; the constant is for
// few streams of tiny frames that come twice.
constexpr std::size_t control_records = 4096, control_records_a_stream = 16;

// OPEN's TLVs; returns their size.
std::size_t write_request(const stream& s, std::uint8_t* to) {
    std::uint8_t* p = to;
    if (!s.target.empty()) {
        store_be16(p, wire::tlv::target);
        store_be16(p + 2, static_cast<std::uint16_t>(s.target.size()));
        p = std::copy(s.target.begin(), s.target.end(), p + 4);
    }
    if (s.flow && (s.flow->twice || s.flow->ttl > duration{0})) {
        store_be16(p, wire::tlv::flow);
        store_be16(p + 2, 3);
        store_be16(p + 4, wire::ttl_ms(s.flow->ttl));
        p[6] = s.flow->twice ? 2 : 1;
        p += 7;
    }
    return static_cast<std::size_t>(p - to);
}

}  // namespace

bool engine::state::transmit_one(subflow& on, chain& out, instant now) {
    const choice next = choose(on, now);
    switch (next.what) {
        case choice::kind::nothing:
            return false;
        case choice::kind::own:
            transmit_own(on, out, now);
            break;
        case choice::kind::reset:
            transmit_reset(on, out, now);
            break;
        case choice::kind::control:
            transmit_control(on, out, *next.of, now);
            break;
        case choice::kind::advance:
            transmit_advance(on, out, now);
            break;
        case choice::kind::datagram:
            transmit_datagram(on, out, *next.of, static_cast<std::size_t>(next.offset), now);
            break;
        case choice::kind::waiting:
            transmit_again(on, out, *next.of, next.of->send.take_waiting(), now);
            break;
        case choice::kind::fresh:
            transmit_fresh(on, out, *next.of, now);
            break;
        case choice::kind::copy:
            fragment& f = *next.of->send.find(next.offset);
            copied_bytes_ += f.size();
            // Its OPEN may be as late, and without that nobody can read it.
            if (next.of->ours && !next.of->accepted) next.of->owe(duty::open);
            transmit_again(on, out, *next.of, f, now);
            break;
    }
    return true;
}

std::size_t engine::state::put_small(subflow& on, chain& out, const wire::header& h,
                                     bytes payload) {
    return writer_.small(out, h, payload, on.payload_crc);
}

void engine::state::record(subflow& on, sent_record&& r, std::size_t size, instant now) {
    r.mark = on.sent(size, true, now);
    r.end = on.position;
    const bool control = r.is_control();
    on.records.push_back(std::move(r));
    // A peer that confirms nothing while everything else goes on.
    if (on.records.size() > too_many_records) on.dead = true;
    if (!control) return;
    ++on.control_records;
    bound_control_records();
}

void engine::state::bound_control_records() {
    std::size_t all = 0;
    subflow* most = nullptr;
    for (const auto& s : subflows_) {
        if (s->is_over()) continue;
        all += s->control_records;
        if (!most || s->control_records > most->control_records) most = s.get();
    }
    if (all > control_records + control_records_a_stream * std::size_t{opt_.max_streams})
        most->dead = true;
}

// What is nobody's but the subflow's: sent without a record, for it is void when the subflow dies.
void engine::state::transmit_own(subflow& on, chain& out, instant now) {
    if (on.goaway_due) {
        on.goaway_due = false;
        const wire::header h{.type = wire::type::goaway,
                             .aux = static_cast<std::uint16_t>(goaway_)};
        on.sent(put_small(on, out, h), false, now);
    } else if (on.path_ack_due) {
        const auto held =
            std::chrono::duration_cast<std::chrono::microseconds>(now - on.last_eliciting_at);
        std::uint8_t payload[8];
        store_be32(payload, on.id);
        store_be32(payload + 4, static_cast<std::uint32_t>(
                                    std::clamp<std::int64_t>(held.count(), 0, UINT32_MAX)));
        on.path_ack_sent();
        const wire::header h{.type = wire::type::path_ack, .offset = on.received};
        on.sent(put_small(on, out, h, payload), false, now);
    } else if (on.pong_due) {
        on.pong_due = false;
        const wire::header h{.type = wire::type::pong, .offset = on.pong_value};
        on.sent(put_small(on, out, h), false, now);
    } else if (on.limit_due) {
        on.limit_due = false;
        const wire::header h{.type = wire::type::limit,
                             .aux = static_cast<std::uint16_t>(on.limit.verdict())};
        on.sent(put_small(on, out, h), false, now);
    } else if (on.drain_due) {
        on.drain_due = false;
        on.sent(put_small(on, out, {.type = wire::type::drain}), true, now);
    } else {
        on.ping_due = false;
        on.sent(put_small(on, out, {.type = wire::type::ping}), true, now);
    }
}

void engine::state::transmit_reset(subflow& on, chain& out, instant now) {
    const reset_notice r = resets_.front();
    resets_.pop_front();
    const wire::header h{
        .type = wire::type::rst, .aux = r.code, .stream = r.id, .offset = r.final_size};
    sent_record rec{
        .what = sent_record::kind::reset, .code = r.code, .id = r.id, .offset = r.final_size};
    record(on, std::move(rec), put_small(on, out, h), now);
}

// -- what streams owe -----------------------------------------------------------------------------

void engine::state::transmit_control(subflow& on, chain& out, stream& s, instant now) {
    sent_record r{.what = sent_record::kind::control, .id = s.id};
    wire::header h{.stream = s.id, .offset = s.recv.window.limit};
    std::size_t size = 0;
    if (s.owes(duty::open)) {
        r.say = duty::open;
        h.type = wire::type::open;
        h.aux = s.flow ? wire::class_datagrams : s.interactive ? wire::class_interactive : 0;
        std::uint8_t tlvs[wire::open_max];
        size = put_small(on, out, h, {tlvs, write_request(s, tlvs)});
        s.may_send = true;
    } else if (s.owes(duty::open_ok)) {
        r.say = duty::open_ok;
        h.type = wire::type::open_ok;
        size = put_small(on, out, h);
        s.may_send = true;
    } else if (s.owes(duty::ack)) {
        r.say = duty::ack;
        size = transmit_ack(on, out, s, r);
    } else {
        r.say = duty::credit;
        h.type = wire::type::credit;
        size = put_small(on, out, h);
    }
    s.paid(r.say);
    record(on, std::move(r), size, now);
    schedule(s);
}

std::size_t engine::state::transmit_ack(subflow& on, chain& out, stream& s, sent_record& r) {
    r.final_ack = s.recv.complete();
    const auto ranges = s.recv.parked(wire::ranges_max);
    std::uint8_t payload[wire::ranges_max * 16];
    std::uint8_t* p = payload;
    for (const auto& range : ranges) {
        store_be64(p, range.begin);
        store_be64(p + 8, range.end);
        p += 16;
    }
    const wire::header h{.type = wire::type::ack,
                         .flags = r.final_ack ? wire::flag::fin : std::uint8_t{0},
                         .aux = static_cast<std::uint16_t>(ranges.size()),
                         .stream = s.id,
                         .offset = s.recv.next()};
    return put_small(on, out, h, {payload, static_cast<std::size_t>(p - payload)});
}

// -- data ---------------------------------------------------------------------------------------

void engine::state::transmit_fresh(subflow& on, chain& out, stream& s, instant now) {
    fragment& f = s.send.take_new(frame_on(on), opt_.max_window);
    const std::size_t n = f.size();
    unsent_ -= n;
    retained_ += n;
    interactive_run_ = s.fresh_first ? interactive_run_ + n : 0;
    s.turn += n;
    s.spent(n, now);
    if (s.is_chatty()) hurry_until_ = now + hurry;
    transmit_data(on, out, s, f, false, now);
    schedule(s);
    if (!s.in_fresh.linked()) {
        s.turn = 0;
    } else if (s.turn >= quantum) {
        s.turn = 0;
        s.in_fresh.unlink();
        (s.fresh_first ? interactive_ : bulk_).push_back(s);
    }
    tell_writable(s);
}

void engine::state::transmit_again(subflow& on, chain& out, stream& s, fragment& f, instant now) {
    transmit_data(on, out, s, f, true, now);
    schedule(s);
}

void engine::state::transmit_data(subflow& on, chain& out, stream& s, fragment& f, bool again,
                                  instant now) {
    wire::header h{.type = wire::type::data,
                   .length = static_cast<std::uint32_t>(f.size()),
                   .stream = s.id,
                   .offset = f.offset};
    if (f.fin) h.flags |= wire::flag::fin;
    if (again) h.flags |= wire::flag::resent;
    if (on.payload_crc && f.size() > 0) {
        h.flags |= wire::flag::crc;
        if (!f.summed) f.crc = crc32c(0, f.payload);
        f.summed = true;
    }
    on.turn = ++turns_;
    datagram_lead_ -= std::min(datagram_lead_, f.size() + wire::header_size);
    on.stats.data_sent += f.size();
    if (again) on.stats.resent += f.size();
    const std::size_t size = writer_.shared(out, h, f.payload, f.crc);
    record(on, {.what = sent_record::kind::data, .id = s.id, .offset = f.offset}, size, now);
    f.on |= std::uint64_t{1} << on.place;
    f.place = static_cast<std::uint8_t>(on.place);
    f.behind = on.position;
    f.sent = now;
}

}  // namespace libp::stripe
