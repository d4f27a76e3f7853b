// Frames that go out: what a subflow that asks is given.
//
// The order: the subflow's own business (GOAWAY, PATH_ACK, PONG, PING), resets, what streams owe, what was lost, and then new bytes,
// interactive streams before bulk ones, each kind in turn. A scheduler that knows how fast subflows are would decide here whether
// this subflow gets the frame it asked for.

#include <libp/assert.h>
#include <libp/crc32c.h>
#include <libp/endian.h>

#include "stripe/engine_state.h"

#include <algorithm>

namespace libp::stripe {

namespace {

// What a stream may send before the next has its turn.
constexpr std::size_t quantum = 64 * kib;
// What interactive streams may send while bulk ones wait.
constexpr std::size_t longest_interactive_run = 256 * kib;
// Unconfirmed frames of one subflow: with so many no new ones begin, and with so many more it is given up.
constexpr std::size_t many_records = 16 * 1024;
constexpr std::size_t too_many_records = 4 * many_records;

}  // namespace

bool engine::state::fresh_for(const subflow& s) const noexcept {
    return (!interactive_.empty() || !bulk_.empty()) && retained_ < opt_.memory_budget &&
           s.records.size() < many_records;
}

bool engine::state::anything_for(const subflow& s) const noexcept {
    if (s.goaway_due) return true;
    if (broken_ || s.broken || s.dead) return false;
    return s.path_ack_due || s.pong_due || s.ping_due || !resets_.empty() || !control_.empty() ||
           !lost_.empty() || fresh_for(s);
}

bool engine::state::transmit_one(subflow& on, chain& out, instant now) {
    if (!anything_for(on)) return false;
    if (transmit_own(on, out, now)) return true;
    if (!resets_.empty()) {
        const reset_notice r = resets_.front();
        resets_.pop_front();
        const wire::header h{
            .type = wire::type::rst, .aux = r.code, .stream = r.id, .offset = r.final_size};
        sent_record rec{.what = sent_record::kind::reset, .code = r.code, .id = r.id};
        rec.data.offset = r.final_size;
        record(on, std::move(rec), put_small(on, out, h), now);
    } else if (!control_.empty()) {
        transmit_control(on, out, *control_.front(), now);
    } else if (!lost_.empty()) {
        transmit_lost(on, out, now);
    } else {
        transmit_fresh(on, out, now);
    }
    return true;
}

std::size_t engine::state::put_small(subflow& on, chain& out, const wire::header& h,
                                     bytes payload) {
    return writer_.small(out, h, payload, on.payload_crc);
}

void engine::state::record(subflow& on, sent_record&& r, std::size_t size, instant now) {
    on.sent(size, true);
    r.end = on.position;
    r.sent = now;
    on.records.push_back(std::move(r));
    // A peer that confirms nothing while everything else goes on.
    if (on.records.size() > too_many_records) on.dead = true;
}

// What is nobody's but the subflow's: sent without a record, for it is void when the subflow dies.
bool engine::state::transmit_own(subflow& on, chain& out, instant now) {
    if (on.goaway_due) {
        on.goaway_due = false;
        const wire::header h{.type = wire::type::goaway,
                             .aux = static_cast<std::uint16_t>(goaway_)};
        on.sent(put_small(on, out, h), false);
    } else if (on.path_ack_due) {
        const auto held =
            std::chrono::duration_cast<std::chrono::microseconds>(now - on.last_eliciting_at);
        std::uint8_t payload[8];
        store_be32(payload, on.id);
        store_be32(payload + 4, static_cast<std::uint32_t>(
                                    std::clamp<std::int64_t>(held.count(), 0, UINT32_MAX)));
        on.path_ack_sent();
        const wire::header h{.type = wire::type::path_ack, .offset = on.received};
        on.sent(put_small(on, out, h, payload), false);
    } else if (on.pong_due) {
        on.pong_due = false;
        const wire::header h{.type = wire::type::pong, .offset = on.pong_value};
        on.sent(put_small(on, out, h), false);
    } else if (on.ping_due) {
        on.ping_due = false;
        on.sent(put_small(on, out, {.type = wire::type::ping}), true);
    } else {
        return false;
    }
    return true;
}

// -- what streams owe -----------------------------------------------------------------------------------

void engine::state::transmit_control(subflow& on, chain& out, stream& s, instant now) {
    sent_record r{.what = sent_record::kind::control, .id = s.id};
    wire::header h{.stream = s.id, .offset = s.recv.window.limit};
    std::size_t size = 0;
    if (s.owes(duty::open)) {
        r.say = duty::open;
        h.type = wire::type::open;
        h.aux = s.interactive ? 1 : 0;
        std::uint8_t tlv[wire::open_max];
        store_be16(tlv, 1);
        store_be16(tlv + 2, static_cast<std::uint16_t>(s.target.size()));
        std::copy(s.target.begin(), s.target.end(), tlv + 4);
        size = put_small(on, out, h, {tlv, s.target.empty() ? 0 : 4 + s.target.size()});
        s.may_send = true;
    } else if (s.owes(duty::open_ok)) {
        r.say = duty::open_ok;
        h.type = wire::type::open_ok;
        size = put_small(on, out, h);
        s.may_send = true;
    } else if (s.owes(duty::ack)) {
        r.say = duty::ack;
        size = transmit_ack(on, out, s, r);
    } else if (s.owes(duty::credit)) {
        r.say = duty::credit;
        h.type = wire::type::credit;
        size = put_small(on, out, h);
    } else {
        r.say = duty::blocked;
        h.type = wire::type::blocked;
        h.offset = s.send.limit();
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

// -- data ---------------------------------------------------------------------------------------------------

void engine::state::transmit_lost(subflow& on, chain& out, instant now) {
    stream& s = *lost_.front();
    fragment f = s.send.take_lost();
    schedule(s);
    transmit_data(on, out, s, std::move(f), true, now);
}

void engine::state::transmit_fresh(subflow& on, chain& out, instant now) {
    const bool bulk_next =
        interactive_.empty() || (!bulk_.empty() && interactive_run_ >= longest_interactive_run);
    auto& list = bulk_next ? bulk_ : interactive_;
    stream& s = *list.front();
    const std::size_t most = std::min<std::size_t>(opt_.max_frame, quantum - s.turn);
    fragment f = s.send.take_new(most, opt_.max_window);
    const std::size_t n = f.payload.size();
    unsent_ -= n;
    retained_ += n;
    interactive_run_ = bulk_next ? 0 : interactive_run_ + n;
    s.turn += n;
    schedule(s);
    if (!s.in_fresh.linked()) {
        s.turn = 0;
    } else if (s.turn >= quantum) {
        s.turn = 0;
        s.in_fresh.unlink();
        list.push_back(s);
    }
    tell_writable(s);
    transmit_data(on, out, s, std::move(f), false, now);
}

void engine::state::transmit_data(subflow& on, chain& out, stream& s, fragment&& f, bool again,
                                  instant now) {
    const std::size_t n = f.payload.size();
    wire::header h{.type = wire::type::data,
                   .length = static_cast<std::uint32_t>(n),
                   .stream = s.id,
                   .offset = f.offset};
    if (f.fin) h.flags |= wire::flag::fin;
    if (again) h.flags |= wire::flag::resent;
    if (on.payload_crc && n > 0) {
        h.flags |= wire::flag::crc;
        if (!f.summed) f.crc = crc32c(0, f.payload);
        f.summed = true;
    }
    on.stats.data_sent += n;
    if (again) on.stats.resent += n;
    const std::size_t size = writer_.shared(out, h, f.payload, f.crc);
    sent_record r{.what = sent_record::kind::data, .id = s.id};
    r.data = std::move(f);
    record(on, std::move(r), size, now);
}

}  // namespace libp::stripe
