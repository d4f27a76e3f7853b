// What must hold between any two calls. For tests: it looks at everything.

#include <libp/assert.h>

#include "stripe/engine_state.h"

#include <algorithm>

namespace libp::stripe {

void engine::check_invariants() const {
    const state& e = *state_;
    check(e.credit_.granted() <= e.opt_.memory_budget, "more is granted than the budget");
    check(e.credit_.charged() <= e.opt_.memory_budget, "more is charged than the budget");
    check(e.streams_.size() <= e.opt_.max_streams, "more streams are open than allowed");

    std::uint64_t places = 0;
    std::size_t resets = e.resets_.size();
    for (const auto& s : e.subflows_) {
        check((places >> s->place & 1) == 0, "two subflows have one place");
        places |= std::uint64_t{1} << s->place;
        std::uint64_t last = s->confirmed, datagrams = 0;
        std::size_t control = 0;
        for (const sent_record& r : s->records) {
            check(r.end > last && r.end <= s->position, "records are out of order");
            last = r.end;
            resets += r.what == sent_record::kind::reset;
            control += r.is_control();
            if (r.what == sent_record::kind::datagram) datagrams += r.offset;
        }
        check(control == s->control_records, "records of control frames are miscounted");
        check(datagrams == s->datagrams_in_flight, "datagrams in flight are miscounted");
    }
    check(places == e.places_, "places are miscounted");
    check(resets == e.unconfirmed_resets_, "resets are miscounted");

    std::size_t unsent = 0, retained = 0, waiting_bytes = 0, held = 0, listed = 0, opened = 0,
                fresh = 0;
    std::size_t ranges = 0;
    std::size_t datagrams_out = 0, datagrams_in = 0;
    std::uint64_t granted = 0, charged = 0;
    for (const stream* s = e.all_.front(); s; s = e.all_.next(*s)) {
        ++listed;
        opened += s->opened;
        check(e.find(s->id) == s, "a stream is listed and not known");
        s->recv.check_invariants();
        std::size_t unconfirmed = 0, waiting = 0;
        std::uint64_t last = 0;
        for (const auto& [offset, f] : s->send.outstanding()) {
            check(f.offset == offset, "a fragment is elsewhere than it stands");
            check(f.offset >= last && f.end <= s->send.sent(), "fragments overlap");
            last = f.end;
            check(f.size() > 0 || f.fin, "a fragment is of nothing");
            check((f.on & ~places) == 0, "a fragment is on a subflow that is gone");
            check(f.on != 0 || f.waiting, "a fragment is nowhere");
            check(f.payload.size() == f.size(), "a fragment has lost its bytes");
            unconfirmed += f.size();
            if (f.waiting) waiting += f.size();
        }
        check(unconfirmed == s->send.unconfirmed(), "unconfirmed bytes are miscounted");
        check(waiting == s->send.waiting_bytes(), "waiting bytes are miscounted");
        check(s->send.sent() <= s->send.limit(), "more was sent than granted");
        check(s->in_waiting.linked() == s->send.has_waiting(), "what waits is not listed");
        check(s->in_outstanding.linked() == !s->send.outstanding().empty(),
              "what is under way is not listed");
        check(s->in_control.linked() == s->owes_any(), "a stream's duties are not listed");
        check(s->in_fresh.linked() == (s->may_send && s->send.has_new(e.opt_.max_window)),
              "a stream is not listed with those that have something to send");
        check(!s->finished(), "a finished stream is still here");
        check(s->recv.held() <= s->recv.window.outstanding(), "more is held than was granted");
        unsent += s->send.unsent().size();
        retained += unconfirmed;
        waiting_bytes += waiting;
        fresh += s->in_fresh.linked();
        held += s->recv.held();
        ranges += s->recv.ranges();
        granted += s->recv.window.outstanding();
        charged += e.credit_.charge(s->recv.window);
        check(s->in_datagrams.linked() == (s->may_send && s->flow && !s->flow->out.empty()),
              "a flow's datagrams are not listed");
        if (!s->flow) continue;
        check(s->send.sent() == 0 && s->send.unsent().empty() && s->recv.next() == 0 &&
                  s->recv.held() == 0,
              "a flow has bytes of a stream");
        s->flow->out.check_invariants();
        s->flow->in.check_invariants();
        datagrams_out += s->flow->out.cost();
        datagrams_in += s->flow->in.cost();
    }
    for (const auto& a : e.advances_) {
        check(a.granted.open && (e.broken_ || !e.peer_used(a.id)),
              "a grant in advance is not for a new stream");
        granted += a.granted.outstanding();
        charged += e.credit_.charge(a.granted);
    }
    check(e.next_credits_.size() <= wire::streams_ahead_max, "too many grants in advance are kept");
    check(datagrams_out == e.datagrams_out_, "datagrams to be sent are miscounted");
    check(datagrams_out <= e.opt_.memory_budget / 8, "too many datagrams wait to be sent");
    check(datagrams_in == e.credit_.kept(), "datagrams that came are miscounted");
    check(datagrams_in <= e.opt_.memory_budget / 8, "too many datagrams wait to be read");
    charged += datagrams_in;
    check(listed == e.streams_.size(), "streams are miscounted");
    check(opened == e.opened_, "opened streams are miscounted");
    check(unsent == e.unsent_, "unsent bytes are miscounted");
    check(fresh == e.fresh_streams_, "streams with something to send are miscounted");
    check(waiting_bytes == e.waiting_bytes_, "waiting bytes are miscounted");
    check(retained == e.retained_, "retained bytes are miscounted");
    check(held == e.held_, "held bytes are miscounted");
    check(ranges == e.ranges_, "parked ranges are miscounted");
    check(granted == e.credit_.granted(), "grants are miscounted");
    check(charged == e.credit_.charged(), "charges are miscounted");
}

// See engine_recover.cc, "why there is no timer".
bool engine::neglects_data(instant now) const {
    const state& e = *state_;
    duration patience = 3s;
    for (const auto& s : e.subflows_)
        patience = std::max({patience, 4 * s->estimate.srtt(), s->estimate.patience()});
    std::uint64_t silent = 0;
    bool another_speaks = false;
    for (const auto& s : e.subflows_) {
        if (s->is_over() || s->quiet(now) > patience)
            silent |= std::uint64_t{1} << s->place;
        else if (s->is_good() && now - s->last_heard < patience / 2)
            another_speaks = true;
    }
    if (!another_speaks) return false;
    for (const auto& s : e.subflows_) {
        // One that is over is about to be closed, and then all of it is sent again.
        if (s->is_over() || (silent >> s->place & 1) == 0) continue;
        // All were silent until now: its patience has begun anew.
        if (s->look_again != never && s->look_again > now) continue;
        for (const sent_record& r : s->records) {
            if (r.what != sent_record::kind::data) continue;
            stream* of = e.find(r.id);
            const fragment* f = of ? of->send.find(r.offset) : nullptr;
            if (f && !f->waiting && (f->on & ~silent) == 0) return true;
        }
    }
    return false;
}

}  // namespace libp::stripe
