// What is sent again, and when: subflows that died, and subflows that are silent.
//
// A subflow is a reliable, ordered pipe: nothing is lost on it unless it dies, and a gap in what
// the peer has says nothing about loss. So there are no duplicate acknowledgements here and no
// retransmission timer for frames. What was on a subflow that died is sent again at once. What is
// on one that is silent (subflow.h) is sent again elsewhere: at first as much as may be what the
// peer waits for, and everything when the silence lasts. And what only arrives late is copied where
// another subflow has nothing better to do (engine_schedule.cc).
//
//  -- why there is no timer --
//
// A timer for frames, as a last resort, would be for bytes that are unconfirmed for very long while
// nothing is done about them. There are none, because at any time they are in one of these places:
//
//   waiting to be sent
//       They go on the next subflow that has room: they come before anything new.
//   on a subflow that is gone
//       subflow_down() has put them among those that wait, unless a good one carries them too.
//   on one that confirms
//       It is a pipe: every confirmation brings theirs nearer, and nothing sent elsewhere could be
//       lost less. That may take long where a path became slow with much in flight (17 s were seen
//       in the simulator), but it comes.
//   on one that is silent while another speaks
//       After its patience, at most 3 s (or four round trips, where it has never confirmed
//       anything), it is suspect, and after twice that stale: all of it has been sent elsewhere or
//       waits for it. What a silent one is given while there is no better, follows when there is
//       (distrust_silent). Where all were silent together and one speaks again, the others have
//       their patience once more. If they say nothing then, the whole silence counts: after ten
//       seconds of it, or eight times their patience, whichever is longer, they are given up, and
//       dialled anew, which is sooner than a timer of TCP's that has doubled so often.
//   on one that is silent, and so are all
//       Nothing can be done that would arrive. A heartbeat asks, dead_after gives up.
//
// So whoever adds a rule here has to answer for one thing: bytes are not left to silent subflows
// while another speaks. The simulator holds every run against that (engine::neglects_data()).

#include "stripe/engine_state.h"

#include <algorithm>

namespace libp::stripe {

namespace {

// What a subflow that has just become suspect has sent again for it.
constexpr std::size_t first_rescue = 256 * kib;
// Without a call for that long after one was due, it was this end that stood still.
constexpr duration standstill = 1s;

}  // namespace

void engine::state::say_again(const subflow& from, sent_record& r, bool gone) {
    if (r.what == sent_record::kind::datagram) {
        datagram_stats_.unsure += gone;
        return;
    }
    const bool said = std::exchange(r.again, true);
    // Of data it depends on what became of its copies meanwhile.
    if (said && !gone && r.what != sent_record::kind::data) return;
    if (r.what == sent_record::kind::reset) {
        // Two copies count twice, for each is confirmed or dies by itself.
        if (said) {
            --unconfirmed_resets_;
        } else {
            resets_.push_back({r.id, r.code, r.offset});
            if (!gone) ++unconfirmed_resets_;
        }
        return;
    }
    stream* s = find(r.id);
    if (!s) return;
    if (r.what == sent_record::kind::control) {
        if (!said) s->owe(r.say);
    } else if (fragment* f = s->send.find(r.offset)) {
        if (gone) f->on &= ~(std::uint64_t{1} << from.place);
        // A copy that is on its way on a subflow that works is as good.
        if ((f->on & good_) == 0) s->send.wait(*f);
    }
    schedule(*s);
}

// `s` is not good any more: what it carries has to go elsewhere, the oldest first.
void engine::state::distrust(subflow& s, std::size_t most) {
    std::uint64_t until = most > s.position - s.confirmed ? s.position : s.confirmed + most;
    for (sent_record& r : s.records) {
        if (r.end > until) break;
        say_again(s, r, false);
    }
}

// While no subflow was good the silent ones were given what there was; now that one is good it goes
// there too.
void engine::state::distrust_silent() {
    for (const auto& s : subflows_)
        if (!s->is_over() && !s->is_good())
            distrust(*s, s->state == subflow_state::suspect ? first_rescue : SIZE_MAX);
}

double engine::state::remaining(const subflow& owner, const fragment& f,
                                instant now) const noexcept {
    if (!owner.is_good()) return 1e9;
    const double way = seconds(owner.estimate.expected_rtt()) / 2;
    const double behind = static_cast<double>(f.behind - owner.confirmed);
    const double after_sending = seconds(f.sent - now) + way;
    const double after_confirming =
        seconds(owner.last_progress - now) - way + behind / owner.estimate.expected_rate();
    const double left = std::max(after_sending, after_confirming);
    // Overdue, the time for its confirmation to come back counted: then it takes as long again, for
    // all that is known.
    return left > -way ? std::max(0.0, left) : -left - way;
}

void engine::state::look_at_silence(subflow& s, instant now) {
    if (s.verdict_at() > now) return;
    const duration quiet = s.quiet(now);
    bool others_speak = false, asked = false;
    for (const auto& other : subflows_) {
        if (other.get() == &s || other->is_over() || !other->is_good()) continue;
        if (now - other->last_heard < quiet / 2)
            others_speak = true;
        else if (other->in_flight() == 0)
            asked = other->ping_due = true;  // with nothing to answer it says nothing either way
    }
    if (!others_speak) {
        s.look_again = now + (asked ? s.estimate.patience() : quiet / 4);
        return;
    }
    switch (s.state) {
        case subflow_state::good:
            s.state = subflow_state::suspect;
            survey();
            return distrust(s, first_rescue);
        case subflow_state::suspect:
            s.state = subflow_state::stale;
            return distrust(s, SIZE_MAX);
        case subflow_state::stale:
            s.dead = true;
    }
}

// A confirmation came on `heard`: that is what shows that the silence of others is theirs. Where
// all were silent until now they get a little time to follow, and not the quarter of the whole
// silence after which they would be looked at.
void engine::state::look_at_others(const subflow& heard, instant now) {
    for (const auto& s : subflows_) {
        if (s.get() == &heard) continue;
        if (s->look_again != never)
            s->look_again = std::min(s->look_again, now + s->estimate.patience());
        look_at_silence(*s, now);
    }
}

instant engine::state::next_timer() const noexcept {
    if (broken_) return never;
    instant at = std::min(datagram_timer(), peer_gone_at_);
    for (const auto& s : subflows_)
        at = std::min(at, s->next_timer(opt_.heartbeat, opt_.dead_after, subflows_.size() == 1));
    return at;
}

void engine::state::notice_standstill(instant now) {
    const instant last = std::exchange(now_, std::max(now, now_));
    if (now - last <= standstill) return;
    const instant due = next_timer();
    if (due == never || now - std::max(due, last) <= standstill) return;
    for (const auto& s : subflows_)
        s->forgive(now - last);
}

}  // namespace libp::stripe
