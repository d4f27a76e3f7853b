#include "sim/simulation.h"

#include <algorithm>
#include <utility>

namespace libp::stripe::sim {

simulation::simulation(std::uint64_t seed, const engine_options& common, failure_sink on_failure)
    : blocks(32 * mib),
      random(seed),
      keeps_allowance(common.scheduler != scheduler::congestion &&
                      common.scheduler != scheduler::round_robin),
      on_failure_(std::move(on_failure)) {
    for (int side : {0, 1}) {
        engine_options o = common;
        o.even = side == 0;
        o.peer_initial_credit = o.own_initial_credit;
        o.streams_ahead = 4;  // as nodes have it
        ends[side] = std::make_unique<engine>(blocks, o, now);
    }
}

simulation::~simulation() = default;

void simulation::add(subflow_id id, std::unique_ptr<link> l, const subflow_options& options) {
    place& p = places_[id];
    p.pipe = std::move(l);
    for (int side : {0, 1}) {
        p.ends[side].up = true;
        p.ends[side].kept = 16 * kib;
        p.pipe->keep_unsent(side, p.ends[side].kept);
        ends[side]->subflow_up(id, options, now);
        touched_[side] = true;
    }
    order_.push_back(id);
}

bool simulation::is_up(subflow_id id) const {
    const auto at = places_.find(id);
    return at != places_.end() && at->second.ends[0].up && at->second.ends[1].up;
}

std::vector<subflow_id> simulation::path_ids() const {
    std::vector<subflow_id> out;
    for (const auto& [id, p] : places_)
        if (p.ends[0].up && p.ends[1].up) out.push_back(id);
    return out;
}

void simulation::close(subflow_id id, int side) {
    const auto at = places_.find(id);
    if (at == places_.end() || !at->second.ends[side].up) return;
    lose(id, at->second, side);
    at->second.pipe->close(side);
}

bool simulation::run(duration limit) {
    const instant until = now + limit;
    for (settle(); !apps.all_done(); settle())
        if (failed_ || !step(until)) return false;
    return !failed_;
}

void simulation::run_for(duration d) {
    const instant until = now + d;
    while (!failed_ && step(until)) {
    }
    if (!failed_) time.now = until;
}

bool simulation::step(instant until) {
    settle();
    check_all();
    if (after_step) after_step();
    instant due = apps.next_act();
    for (auto& e : ends)
        due = std::min(due, e->next_timer());
    due = std::max(due, now);
    if (std::min(due, time.next()) == never && paths() > 0 && !apps.all_done())
        fail("nothing is going to happen any more");
    while (!touched_[0] && !touched_[1]) {
        if (std::min(due, time.next()) > until || failed_) return false;
        if (time.next() <= due) {
            time.run_next();
        } else {
            time.now = due;
            for (int side : {0, 1})
                touched_[side] = true;
        }
    }
    for (int side : {0, 1})
        if (ends[side]->next_timer() <= now) {
            ends[side]->on_timer(now);
            touched_[side] = true;
        }
    return true;
}

void simulation::fail(const std::string& what) {
    failed_ = true;
    on_failure_("at " + std::to_string(seconds(now - instant{})) + " s: " + what);
}

bool simulation::is_quiet() const {
    for (int side : {0, 1})
        for (subflow_id id : path_ids())
            if (ends[side]->stats(id).in_flight != 0) return false;
    return true;
}

void simulation::expect_empty() {
    for (int side : {0, 1}) {
        const std::string end = "end " + std::to_string(side);
        if (ends[side]->open_streams() != 0) fail(end + " has streams left");
        if (ends[side]->memory() != 0) fail(end + " holds memory");
        if (ends[side]->granted() != 0) fail(end + " has granted credit");
    }
    if (!is_quiet()) fail("bytes are in flight");
    if (blocks.in_use() > 2 * 4 * kib) fail("blocks are held");
}

subflow_stats simulation::total(int side) const {
    subflow_stats sum = buried[side];
    for (const auto& [id, p] : places_)
        if (p.ends[side].up) add_up(sum, ends[side]->stats(id));
    return sum;
}

void simulation::add_up(subflow_stats& sum, const subflow_stats& s) {
    sum.sent_bytes += s.sent_bytes;
    sum.received_bytes += s.received_bytes;
    sum.data_sent += s.data_sent;
    sum.data_received += s.data_received;
    sum.resent += s.resent;
}

void simulation::on_bytes(subflow_id id, int to, chain&& data) {
    const auto at = places_.find(id);
    if (at == places_.end() || !at->second.ends[to].up) return;
    // As a driver would: the bytes are in blocks of their own, not in the sender's.
    chain copy;
    for (std::size_t i = 0; i < data.slices(); ++i)
        copy.append_copy(blocks, data[i].view(), data.size());
    data.clear();
    touched_[to] = true;
    if (const error e = ends[to]->received(id, std::move(copy), now)) {
        if (!may_break) fail("subflow broke: " + to_string(e));
        lose(id, at->second, to);
        at->second.pipe->close(to);
    }
}

void simulation::on_writable(subflow_id id, int from) {
    const auto at = places_.find(id);
    if (at == places_.end() || !at->second.ends[from].up) return;
    touched_[from] = true;
    tell(id, at->second, from);
}

void simulation::on_death(subflow_id id, int side) {
    const auto at = places_.find(id);
    if (at != places_.end()) lose(id, at->second, side);
}

void simulation::lose(subflow_id id, place& p, int side) {
    subflow_end& e = p.ends[side];
    if (!e.up) return;
    add_up(buried[side], ends[side]->stats(id));
    e.up = false;
    e.out.clear();
    ends[side]->subflow_down(id, now);
    touched_[side] = true;
    ++losses;
    if (!p.ends[1 - side].up) gone_.push_back(id);
    if (on_lost) on_lost(id, side);
}

void simulation::bury() {
    for (subflow_id id : std::exchange(gone_, {})) {
        places_.erase(id);
        std::erase(order_, id);
    }
}

void simulation::settle() {
    while (touched_[0] || touched_[1]) {
        bury();
        for (int side : {0, 1}) {
            if (!std::exchange(touched_[side], false)) continue;
            apps.act(side);
            for (subflow_id id : ends[side]->take_dead())
                close(id, side);
            // Applications before and after: room makes streams writable.
            for (int n = 0; pump(side) && n < 64; ++n)
                apps.act(side);
            for (subflow_id id : path_ids())
                if (ends[side]->drained(id) && places_.at(id).ends[side].out.empty())
                    close(id, side);
        }
    }
    bury();
}

bool simulation::pump(int side) {
    bool any = false;
    ++first_;
    for (std::size_t i = 0; i < order_.size(); ++i) {
        const subflow_id id = order_[(first_ + i) % order_.size()];
        place& p = places_.at(id);
        if (p.ends[side].up) any |= transmit(id, p, side);
    }
    return any;
}

bool simulation::transmit(subflow_id id, place& p, int side) {
    subflow_end& e = p.ends[side];
    flush(p, side);
    tell(id, p, side);
    if (e.congested) return false;
    const subflow_stats before = ends[side]->stats(id);
    const double rate = before.rate;
    std::size_t budget_now = e.batch;
    if (rate > 0) {
        budget_now = std::min(budget_now, worth(rate, 4ms, 16 * kib, 256 * kib));
        if (now >= e.keep_again) {
            e.keep_again = now + 100ms;
            const std::size_t keep = worth(rate, 10ms, 16 * kib, 1 * mib);
            if (keep >= e.kept * 2 || keep <= e.kept / 2) {
                e.kept = keep;
                p.pipe->keep_unsent(side, keep);
            }
        }
    }
    const bool wanted = ends[side]->wants_transmit(id, now);
    const std::size_t n = ends[side]->transmit(id, e.out, p.pipe->batch(budget_now, random), now);
    if (wanted && n == 0) fail("wants_transmit() promised a frame");
    if (n != e.out.size()) fail("transmit() miscounts");
    if (check_every && keeps_allowance && n > 0)
        if (const std::string wrong =
                allowance_[side].look(e.out, before, ends[side]->stats(id).in_flight, now);
            !wrong.empty())
            fail("subflow " + std::to_string(id) + ": " + wrong);
    flush(p, side);
    tell(id, p, side);
    return n > 0;
}

void simulation::flush(place& p, int side) {
    subflow_end& e = p.ends[side];
    if (e.out.empty() || !p.pipe->writable(side)) return;
    const std::size_t offered = e.out.size();
    p.pipe->send(side, e.out);
    if (!e.out.empty())
        e.batch = std::max(e.batch / 2, 16 * kib);
    else if (offered >= e.batch)
        e.batch = std::min(e.batch * 2, 256 * kib);
}

void simulation::tell(subflow_id id, place& p, int side) {
    subflow_end& e = p.ends[side];
    const bool congested = !e.out.empty() || !p.pipe->writable(side);
    if (congested == e.congested) return;
    e.congested = congested;
    ends[side]->set_congested(id, congested, now);
}

std::size_t simulation::worth(double rate, duration d, std::size_t least, std::size_t most) {
    return static_cast<std::size_t>(
        std::clamp(rate * seconds(d), static_cast<double>(least), static_cast<double>(most)));
}

void simulation::check_neglect() {
    for (int side : {0, 1}) {
        instant& since = neglected_since_[side];
        if (!ends[side]->neglects_data(now))
            since = never;
        else if (since == never)
            since = now;
        else if (now - since > 4s)
            fail("end " + std::to_string(side) + " leaves bytes to a subflow that is silent");
    }
}

void simulation::check_all() {
    if (check_every && ++steps % check_every == 0)
        for (auto& e : ends)
            e->check_invariants();
    if (check_every) check_neglect();
    for (int side : {0, 1}) {
        largest_memory[side] = std::max(largest_memory[side], ends[side]->memory());
        if (ends[side]->granted() > budget) fail("granted more than the budget");
    }
}

}  // namespace libp::stripe::sim
