// What must hold between any two calls. For tests: it looks at everything.

#include <libp/assert.h>

#include "stripe/engine_state.h"

#include <algorithm>
#include <map>
#include <utility>

namespace libp::stripe {

namespace {

// Where bytes of a stream are that left its unsent chain and were not confirmed: begin -> end, disjoint.
using ranges = std::map<std::uint64_t, std::uint64_t>;

void add(ranges& to, const fragment& f) {
    if (f.payload.empty()) return;
    const auto above = to.upper_bound(f.offset);
    check(above == to.end() || above->first >= f.end(), "bytes are in flight twice");
    check(above == to.begin() || std::prev(above)->second <= f.offset, "bytes are in flight twice");
    to.emplace(f.offset, f.end());
}

}  // namespace

void engine::check_invariants() const {
    const state& e = *state_;
    check(e.credit_.granted() <= e.opt_.memory_budget, "more is granted than the budget");
    check(e.credit_.charged() <= e.opt_.memory_budget, "more is charged than the budget");
    check(e.streams_.size() <= e.opt_.max_streams, "more streams are open than allowed");

    std::map<stream_id, ranges> where;
    std::size_t in_flight = 0, resets = e.resets_.size();
    for (const auto& s : e.subflows_) {
        std::uint64_t last = s->confirmed;
        for (const sent_record& r : s->records) {
            check(r.end > last && r.end <= s->position, "records are out of order");
            last = r.end;
            in_flight += r.data.payload.size();
            resets += r.what == sent_record::kind::reset;
            if (r.what == sent_record::kind::data && e.find(r.id)) add(where[r.id], r.data);
        }
    }
    check(resets == e.unconfirmed_resets_, "resets are miscounted");

    std::size_t unsent = 0, lost = 0, held = 0, listed = 0;
    std::uint64_t granted = 0, charged = 0;
    for (const stream* s = e.all_.front(); s; s = e.all_.next(*s)) {
        ++listed;
        check(e.find(s->id) == s, "a stream is listed and not known");
        s->recv.check_invariants();
        for (const auto& [at, f] : s->send.lost_fragments()) {
            check(at == f.offset, "a lost fragment is filed in the wrong place");
            check(!f.payload.empty() || f.fin, "an empty fragment was lost");
            add(where[s->id], f);
        }
        std::size_t unconfirmed = 0;
        for (const auto& [begin, end] : where[s->id]) {
            check(end <= s->send.sent(), "bytes are in flight that were never sent");
            unconfirmed += end - begin;
        }
        check(unconfirmed == s->send.unconfirmed(), "unconfirmed bytes are miscounted");
        check(s->send.sent() <= s->send.limit(), "more was sent than granted");
        check(s->in_lost.linked() == s->send.has_lost(), "a stream's losses are not listed");
        check(s->in_control.linked() == s->owes_any(), "a stream's duties are not listed");
        check(s->in_fresh.linked() == (s->may_send && s->send.has_new(e.opt_.max_window)),
              "a stream is not listed with those that have something to send");
        check(!s->finished(), "a finished stream is still here");
        check(s->recv.held() <= s->recv.window.outstanding(), "more is held than was granted");
        unsent += s->send.unsent().size();
        lost += s->send.lost_bytes();
        held += s->recv.held();
        granted += s->recv.window.outstanding();
        charged += e.credit_.charge(s->recv.window);
    }
    check(listed == e.streams_.size(), "streams are miscounted");
    check(unsent == e.unsent_, "unsent bytes are miscounted");
    check(in_flight + lost == e.retained_, "retained bytes are miscounted");
    check(held == e.held_, "held bytes are miscounted");
    check(granted == e.credit_.granted(), "grants are miscounted");
    check(charged == e.credit_.charged(), "charges are miscounted");
}

}  // namespace libp::stripe
