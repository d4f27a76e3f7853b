// Which frame goes next on a subflow that has room for one, if any should.
//
// One quantity decides. A frame put on subflow j arrives after a time T_j, which the estimator
// says. Meanwhile subflows that are sooner deliver
//
//     ahead(j) = sum over i of rate_i * max(0, T_j - T_i)
//
// bytes. If what is left to send is less than that, they will have delivered all of it before the
// frame on j lands, and j only makes the end later (that is ECF: Lim et al., "ECF: An MPTCP Path
// Scheduler to Manage Heterogeneous Paths", CoNEXT 2017). If what the peer's credit leaves room for
// is less, they will run out of it waiting for j (that is BLEST: Ferlin et al., "BLEST: Blocking
// Estimation-based MPTCP Scheduler for Heterogeneous Networks", IFIP Networking 2016). So j is used
// if ahead(j) is at most the smaller of both. Both papers compute this from congestion windows;
// rates and bytes in flight say the same and are known for any pipe.
//
// A subflow that is refused loses nothing: whatever is sooner has frames in flight, and their
// confirmation asks again.

#include "stripe/engine_state.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace libp::stripe {

namespace {

// What interactive streams may send while bulk ones wait.
constexpr std::size_t longest_interactive_run = 256 * kib;
// A little that is in a hurry may be in flight beyond the allowance.
constexpr std::size_t hurry = 64 * kib;
// A copy pays if it arrives this much sooner: a quarter, and the time that a turn of the machinery
// takes.
constexpr double copy_margin = 1.25, copy_slack = 0.002;
// Copies of frames that nothing happened to: at first, and of all that was confirmed (XLINK,
// SIGCOMM 2021, paid 2 %).
constexpr std::uint64_t first_copies = 64 * kib;
constexpr std::uint64_t copies_share = 20;
constexpr int most_copies = 3;
// Where copies are looked for: the head of so many streams, so many fragments deep, which is what
// the peer waits for; and deeper where each subflow is to carry everything. A peer that confirms
// nothing has thousands of them, and every frame it sends asks anew.
constexpr int copied_streams = 8, copied_fragments = 128, redundant_fragments = 4096;

constexpr double unbounded = std::numeric_limits<double>::infinity();

}  // namespace

void engine::state::survey() {
    good_ = 0;
    const bool had_good = std::exchange(any_good_, false);
    rank_ = UINT8_MAX;
    for (const auto& s : subflows_)
        if (!s->is_over() && s->is_good()) {
            good_ |= std::uint64_t{1} << s->place;
            // What is on one that drains is well; but it takes nothing new.
            if (s->draining) continue;
            any_good_ = true;
            rank_ = std::min(rank_, s->rank);
        }
    if (any_good_ && !had_good) distrust_silent();
}

void engine::state::drain(subflow& s) {
    if (std::exchange(s.draining, true)) return;
    s.drain_due = true;
    s.drain_since = now_;
    survey();
}

bool engine::state::usable(const subflow& s) const noexcept {
    if (s.is_over() || s.draining) return false;
    return !any_good_ || (s.is_good() && s.rank == rank_);
}

double engine::state::arrival(const subflow& s, std::size_t size) const noexcept {
    return s.estimate.arrival(s.in_flight(), size);
}

// Of those that take bytes now it is the one where a few of them arrive first. What must arrive
// doubts a path that should have confirmed something by now: the end that only receives knows too
// little of its paths to become suspicious soon.
bool engine::state::is_soonest(const subflow& on, bool doubt) const noexcept {
    if (!usable(on)) return false;
    const auto time = [&](const subflow& s) {
        return arrival(s, wire::header_size) + (doubt ? s.overdue(now_) : 0);
    };
    const double mine = time(on);
    return std::ranges::none_of(subflows_, [&](const auto& s) {
        return s.get() != &on && usable(*s) && !s->congested && time(*s) < mine;
    });
}

bool engine::state::is_in_turn(const subflow& on) const noexcept {
    return std::ranges::none_of(subflows_, [&](const auto& s) {
        return s.get() != &on && usable(*s) && !s->congested && s->turn < on.turn;
    });
}

bool engine::state::is_worth_it(const subflow& on, std::size_t size,
                                double backlog) const noexcept {
    const double mine = arrival(on, size);
    double ahead = 0;
    for (const auto& s : subflows_) {
        if (s.get() == &on || !usable(*s)) continue;
        const double sooner = mine - arrival(*s, size);
        if (sooner > 0) ahead += s->estimate.expected_rate() * sooner;
    }
    return ahead <= backlog;
}

bool engine::state::may_take(const subflow& on, std::size_t size, double backlog) const noexcept {
    switch (scheduler_) {
        case scheduler::congestion:
            return true;
        case scheduler::round_robin:
            return is_in_turn(on);
        case scheduler::redundant:
            return on.has_room(size, in_a_hurry());
        case scheduler::automatic:
        case scheduler::backup:
            break;
    }
    return on.has_room(size, in_a_hurry()) && is_worth_it(on, size, backlog);
}

// How much may follow the next frame of `s`: an application that was left waiting has more than we
// know of.
double engine::state::backlog(const stream& s) const noexcept {
    const double to_send = s.send.more_follows ? unbounded : static_cast<double>(unsent_);
    const double credit =
        static_cast<double>(s.send.allowed(opt_.max_window)) * static_cast<double>(fresh_streams_);
    // Bytes that are the last of their stream have nothing behind them that could block.
    return std::min(to_send, credit);
}

stream* engine::state::next_interactive() const {
    const bool bulk_waited = !bulk_.empty() && interactive_run_ >= longest_interactive_run;
    return bulk_waited ? nullptr : interactive_.front();
}

bool engine::state::is_little(const stream& s) const noexcept {
    return scheduler_ == scheduler::automatic && s.is_sparse(now_);
}

// What somebody types waits for no room, but goes where it arrives first.
engine::state::choice engine::state::choose_little(const subflow& on) const {
    stream* s = next_interactive();
    const bool take =
        s && is_little(*s) && is_soonest(on) && on.in_flight() <= on.estimate.allowance() + hurry;
    return take ? choice{choice::kind::fresh, s, 0} : choice{};
}

engine::state::choice engine::state::choose_fresh(const subflow& on) const {
    if (const choice c = choose_little(on); c.what != choice::kind::nothing) return c;
    const auto take = [&](const stream& s) {
        return may_take(on, std::min(frame_on(on), s.send.unsent().size()), backlog(s));
    };
    if (stream* s = next_interactive(); s && !is_little(*s) && take(*s))
        return {choice::kind::fresh, s, 0};
    if (stream* s = bulk_.front(); s && take(*s)) return {choice::kind::fresh, s, 0};
    return {};
}

// A fragment that has not arrived and would arrive sooner on `on`; or, where every subflow carries
// everything, that it does not carry yet.
engine::state::choice engine::state::choose_copy(const subflow& on, bool chatty,
                                                 instant now) const {
    const bool all = scheduler_ == scheduler::redundant;
    if (!all && !is_soonest(on)) return {};
    const std::uint64_t budget = first_copies + confirmed_bytes_ / copies_share;
    const std::uint64_t left = budget - std::min(budget, copied_bytes_);
    // Nothing is elsewhere.
    if (std::ranges::all_of(subflows_,
                            [&](const auto& o) { return o.get() == &on || o->records.empty(); }))
        return {};
    const int most = all ? redundant_fragments : copied_fragments;
    const stream* s = outstanding_.front();
    for (int n = 0; s && n < copied_streams; ++n, s = outstanding_.next(*s)) {
        if (chatty && !s->is_chatty()) continue;
        int depth = 0;
        for (const auto& [offset, f] : s->send.outstanding()) {
            if (++depth > most) break;
            if (f.waiting || f.on == 0 || f.is_on(on.place)) continue;
            if (!on.has_room(f.size(), in_a_hurry())) return {};
            const choice copy{choice::kind::copy, find(s->id), offset};
            if (all) return copy;
            if (f.copies() >= most_copies || !f.is_on(f.place) || f.size() > left) continue;
            const auto owner = std::ranges::find(subflows_, unsigned{f.place},
                                                 [](const auto& o) { return o->place; });
            if (copy_margin * arrival(on, f.size()) + copy_slack < remaining(**owner, f, now))
                return copy;
        }
    }
    return {};
}

engine::state::choice engine::state::choose(const subflow& on, instant now) const {
    using kind = choice::kind;
    if (on.goaway_due) return {kind::own};
    if (broken_ || on.is_over()) return {};
    if (on.path_ack_due || on.pong_due || on.ping_due || on.limit_due || on.drain_due)
        return {kind::own};
    // What streams owe each other must not wait for a slow subflow, whatever the scheduler.
    if ((!resets_.empty() || !control_.empty() || unsaid_advance()) && is_soonest(on, true)) {
        if (!resets_.empty()) return {kind::reset};
        return {control_.empty() ? kind::advance : kind::control, control_.front()};
    }
    if (!usable(on) || on.records.size() >= subflow::many_records) return {};
    if (const choice c = choose_datagram(on, now); c.what != kind::nothing) return c;
    // What waits and lacks only room has the next there is: frames that are new and smaller would
    // take it again and again.
    bool taken = false;
    if (stream* s = waiting_.front(); s && !s->send.next_waiting().is_on(on.place)) {
        const std::size_t size = s->send.next_waiting().size();
        const double left = std::max(1.0, static_cast<double>(waiting_bytes_));
        if (may_take(on, size, left)) return {kind::waiting, s};
        taken = !on.has_room(size, in_a_hurry()) && is_worth_it(on, size, left);
    }
    if (scheduler_ == scheduler::redundant && !taken)
        if (const choice c = choose_copy(on, false, now); c.what != kind::nothing) return c;
    // What somebody waits for is copied before anything new is sent.
    if (scheduler_ == scheduler::automatic && in_a_hurry())
        if (const choice c = choose_copy(on, true, now); c.what != kind::nothing) return c;
    if (retained_ < opt_.memory_budget && fresh_streams_ > 0)
        return taken ? choose_little(on) : choose_fresh(on);
    if (scheduler_ == scheduler::automatic && waiting_.empty()) return choose_copy(on, false, now);
    return {};
}

}  // namespace libp::stripe
