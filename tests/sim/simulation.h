#pragma once

// Two striping engines, the subflows between them, and applications at both ends, in virtual time.
//
// The driver here does what the product's does (subflow_driver.h): rounds over the subflows that take bytes, batches of what
// a subflow delivers in 4 ms, 10 ms' worth unsent below, congestion told when it changes, and the engine is asked again after
// anything that happened at its end.
//
// Every byte read is compared with the byte that must be there; invariants are checked every `check_every` steps.

#include <libp/stripe/engine.h>
#include <libp/stripe/wire.h>
#include <sim/allowance_check.h>
#include <sim/application.h>
#include <sim/link.h>
#include <sim/timeline.h>
#include <support/seed.h>

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace libp::stripe::sim {

class simulation : private link_user {
  public:
    // `on_failure` is told what must not be.
    using failure_sink = std::function<void(const std::string&)>;

    simulation(std::uint64_t seed, const engine_options& common, failure_sink on_failure)
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
    virtual ~simulation() = default;

    // -- subflows ----------------------------------------------------------------------------------

    void add(subflow_id id, std::unique_ptr<link> l, const subflow_options& options = {}) {
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
    link_user& user() { return *this; }
    bool is_up(subflow_id id) const {
        const auto at = places_.find(id);
        return at != places_.end() && at->second.ends[0].up && at->second.ends[1].up;
    }
    link& at_link(subflow_id id) { return *places_.at(id).pipe; }
    std::vector<subflow_id> path_ids() const {
        std::vector<subflow_id> out;
        for (const auto& [id, p] : places_)
            if (is_up(id)) out.push_back(id);
        return out;
    }
    std::size_t paths() const { return path_ids().size(); }
    // End `side` gives it up; the other end learns in time.
    void close(subflow_id id, int side) {
        const auto at = places_.find(id);
        if (at == places_.end() || !at->second.ends[side].up) return;
        lose(id, at->second, side);
        at->second.pipe->close(side);
    }
    // End `side` wants to be rid of it.
    void drain(subflow_id id, int side) {
        ends[side]->drain(id, now);
        touched_[side] = true;
    }
    // After every step, with all settled.
    std::function<void()> after_step;
    // Whose own streams they are, other than plans': true if the event is theirs.
    std::function<bool(int side, event&)> on_other_event;
    // Something was done with an engine besides: its driver looks.
    void touch(int side) { touched_[side] = true; }
    // Told when an end lost a subflow.
    std::function<void(subflow_id, int side)> on_lost;

    // -- applications --------------------------------------------------------------------------------

    std::size_t plan(const stream_plan& p) {
        plans_.push_back(p);
        starts_.emplace(now + std::max(duration{0}, p.start - (now - instant{})),
                        plans_.size() - 1);
        results_.emplace_back();
        touched_[p.opener] = true;
        return plans_.size() - 1;
    }
    const outcome& at(std::size_t plan, int side) { return results_.at(plan).ends[side]; }
    stream_plan& plan_at(std::size_t plan) { return plans_.at(plan); }

    // -- running --------------------------------------------------------------------------------------

    // Runs until everything planned came to its end; false if that does not happen within `limit` of virtual time.
    bool run(duration limit = std::chrono::hours(1)) {
        const instant until = now + limit;
        for (settle(); !all_done(); settle())
            if (failed_ || !step(until)) return false;
        return !failed_;
    }
    // Lets things happen until virtual time `until`.
    void run_for(duration d) {
        const instant until = now + d;
        while (!failed_ && step(until)) {
        }
        if (!failed_) time.now = until;
    }
    bool step(instant until) {
        settle();
        check_all();
        if (after_step) after_step();
        instant due = next_act();
        for (auto& e : ends)
            due = std::min(due, e->next_timer());
        due = std::max(due, now);
        if (std::min(due, time.next()) == never && paths() > 0 && !all_done())
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
    bool failed() const { return failed_; }
    void fail(const std::string& what) {
        failed_ = true;
        on_failure_("at " + std::to_string(seconds(now - instant{})) + " s: " + what);
    }
    // A PING now and then is in flight even if nothing goes on.
    bool is_quiet() const {
        for (int side : {0, 1})
            for (subflow_id id : path_ids())
                if (ends[side]->stats(id).in_flight != 0) return false;
        return true;
    }
    // All memory is back and nothing is owed. The engines keep a scratch block each.
    void expect_empty() {
        for (int side : {0, 1}) {
            const std::string end = "end " + std::to_string(side);
            if (ends[side]->open_streams() != 0) fail(end + " has streams left");
            if (ends[side]->memory() != 0) fail(end + " holds memory");
            if (ends[side]->granted() != 0) fail(end + " has granted credit");
        }
        if (!is_quiet()) fail("bytes are in flight");
        if (blocks.in_use() > 2 * 4 * kib) fail("blocks are held");
    }

    libp::sim::timeline time;
    const instant& now = time.now;
    block_pool blocks;
    test_random random;
    std::unique_ptr<engine> ends[2];
    std::size_t check_every = 1;
    std::uint64_t budget = UINT64_MAX;
    // DATA keeps to the subflows' allowances: with all schedulers but those that know none.
    bool keeps_allowance;
    std::size_t largest_memory[2] = {0, 0};
    std::size_t losses = 0;  // ends that lost a subflow
    std::uint64_t steps = 0;
    error session_error[2] = {};
    // Of subflows that are gone, by end.
    subflow_stats buried[2];

    // Payload bytes that end `to` got over all subflows, and what of it came twice.
    std::uint64_t received(int to) const { return total(to).data_received; }
    std::uint64_t sent(int from) const { return total(from).data_sent; }
    subflow_stats total(int side) const {
        subflow_stats sum = buried[side];
        for (const auto& [id, p] : places_)
            if (p.ends[side].up) add_up(sum, ends[side]->stats(id));
        return sum;
    }

  private:
    struct subflow_end {
        bool up = false, congested = false;
        chain out;
        std::size_t batch = 32 * kib, kept = 0;
        instant keep_again{};
    };
    struct place {
        std::unique_ptr<link> pipe;
        subflow_end ends[2];
    };
    struct app {
        std::size_t plan;
        int side;
        stream_id id;
        outcome* result;
        chain pending;  // taken back by the engine's bounds
        instant next_read{}, next_write{};
        bool readable = false, writable = true, finished = false;
        std::vector<instant> asked{};
    };
    struct both {
        outcome ends[2];
    };

    static void add_up(subflow_stats& sum, const subflow_stats& s) {
        sum.sent_bytes += s.sent_bytes;
        sum.received_bytes += s.received_bytes;
        sum.data_sent += s.data_sent;
        sum.data_received += s.data_received;
        sum.resent += s.resent;
    }

    // -- what links say

    void on_bytes(subflow_id id, int to, chain&& data) override {
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
    void on_writable(subflow_id id, int from) override {
        const auto at = places_.find(id);
        if (at == places_.end() || !at->second.ends[from].up) return;
        touched_[from] = true;
        tell(id, at->second, from);
    }
    void on_death(subflow_id id, int side) override {
        const auto at = places_.find(id);
        if (at != places_.end()) lose(id, at->second, side);
    }
    void lose(subflow_id id, place& p, int side) {
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
    // Outside of anything that the link could be doing.
    void bury() {
        for (subflow_id id : std::exchange(gone_, {})) {
            places_.erase(id);
            std::erase(order_, id);
        }
    }

    // -- the driver

    void settle() {
        while (touched_[0] || touched_[1]) {
            bury();
            for (int side : {0, 1}) {
                if (!std::exchange(touched_[side], false)) continue;
                act(side);
                for (subflow_id id : ends[side]->take_dead())
                    close(id, side);
                // Applications before and after: room makes streams writable.
                for (int n = 0; pump(side) && n < 64; ++n)
                    act(side);
                for (subflow_id id : path_ids())
                    if (ends[side]->drained(id) && places_.at(id).ends[side].out.empty())
                        close(id, side);
            }
        }
        bury();
    }
    bool pump(int side) {
        bool any = false;
        ++first_;
        for (std::size_t i = 0; i < order_.size(); ++i) {
            const subflow_id id = order_[(first_ + i) % order_.size()];
            place& p = places_.at(id);
            if (p.ends[side].up) any |= transmit(id, p, side);
        }
        return any;
    }
    bool transmit(subflow_id id, place& p, int side) {
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
        const std::size_t n =
            ends[side]->transmit(id, e.out, p.pipe->batch(budget_now, random), now);
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
    void flush(place& p, int side) {
        subflow_end& e = p.ends[side];
        if (e.out.empty() || !p.pipe->writable(side)) return;
        const std::size_t offered = e.out.size();
        p.pipe->send(side, e.out);
        if (!e.out.empty())
            e.batch = std::max(e.batch / 2, 16 * kib);
        else if (offered >= e.batch)
            e.batch = std::min(e.batch * 2, 256 * kib);
    }
    void tell(subflow_id id, place& p, int side) {
        subflow_end& e = p.ends[side];
        const bool congested = !e.out.empty() || !p.pipe->writable(side);
        if (congested == e.congested) return;
        e.congested = congested;
        ends[side]->set_congested(id, congested, now);
    }
    static std::size_t worth(double rate, duration d, std::size_t least, std::size_t most) {
        return static_cast<std::size_t>(
            std::clamp(rate * seconds(d), static_cast<double>(least), static_cast<double>(most)));
    }
    // No bytes stay where they do not get on: what a retransmission timer would be for. Where all were silent one that speaks does so before it
    // confirms anything, and only then the patience of the others begins: 3 s, and a little for that.
    void check_neglect() {
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
    void check_all() {
        if (check_every && ++steps % check_every == 0)
            for (auto& e : ends)
                e->check_invariants();
        if (check_every) check_neglect();
        for (int side : {0, 1}) {
            largest_memory[side] = std::max(largest_memory[side], ends[side]->memory());
            if (ends[side]->granted() > budget) fail("granted more than the budget");
        }
    }

    // -- applications

    void act(int side) {
        start(side);
        event e;
        while (ends[side]->next_event(e)) {
            if (!on_other_event || !on_other_event(side, e)) on_event(side, e);
            e = event{};
        }
        while (!timed_[side].empty() && timed_[side].begin()->first <= now) {
            runnable_[side].insert(timed_[side].begin()->second);
            timed_[side].erase(timed_[side].begin());
        }
        for (stream_id id : std::exchange(runnable_[side], {}))
            if (const auto at = apps_[side].find(id); at != apps_[side].end()) serve(at->second);
        end(side);
    }
    void start(int side) {
        for (auto at = starts_.begin(); at != starts_.end() && at->first <= now;) {
            const std::size_t n = at->second;
            if (plans_[n].opener != side) {
                ++at;
                continue;
            }
            const stream_id id = ends[side]->open({std::to_string(n), plans_[n].interactive}, now);
            if (id == 0) return;
            at = starts_.erase(at);
            begin(n, side, id);
        }
    }
    void begin(std::size_t n, int side, stream_id id) {
        outcome& o = results_[n].ends[side];
        o.begun = true;
        o.begun_at = now;
        apps_[side].emplace(id, app{n, side, id, &o, {}});
        runnable_[side].insert(id);
    }
    instant next_act() const {
        instant at = never;
        for (const auto& timed : timed_)
            if (!timed.empty()) at = std::min(at, timed.begin()->first);
        for (const auto& [start, n] : starts_)
            if (start > now) {
                at = std::min(at, start);
                break;
            }
        return at;
    }
    void on_event(int side, event& e) {
        if (e.what == event::kind::session_broken) {
            session_error[side] = e.why;
            return;
        }
        if (e.what == event::kind::stream_opened) {
            const std::size_t n = std::stoul(e.request.target);
            if (e.request.interactive != plans_[n].interactive) fail("class of a stream");
            if (plans_[n].refuse) {
                ends[side]->refuse(e.id, {reason::refused}, now);
                results_[n].ends[side].begun = true;
                results_[n].ends[side].aborted = true;
                return;
            }
            ends[side]->accept(e.id, now);
            begin(n, side, e.id);
            return;
        }
        const auto found = apps_[side].find(e.id);
        if (found == apps_[side].end()) {
            // Only of what was already over here.
            if (e.what != event::kind::stream_fin_acked) fail("an event for a stream that is over");
            return;
        }
        app& a = found->second;
        outcome& o = *a.result;
        runnable_[side].insert(e.id);
        switch (e.what) {
            case event::kind::stream_ready:
                o.ready = true;
                break;
            case event::kind::stream_readable:
                a.readable = true;
                break;
            case event::kind::stream_writable:
                a.writable = true;
                break;
            case event::kind::stream_fin_acked:
                if (o.fin_acked) fail("a FIN acknowledged twice");
                o.fin_acked = true;
                break;
            case event::kind::stream_broken:
                verify(a, e.unread);
                o.broken = e.why;
                apps_[side].erase(found);
                break;
            default:
                fail("an event that nobody knows");
        }
    }
    void serve(app& a) {
        const stream_plan& p = plans_[a.plan];
        outcome& o = *a.result;
        engine& e = *ends[a.side];
        read(a, o, e);
        write(a, o, e);
        if (p.abort_after[a.side] >= 0 &&
            o.read >= static_cast<std::uint64_t>(p.abort_after[a.side])) {
            e.abort(a.id, {reason::local_abort}, now);
            o.aborted = true;
            apps_[a.side].erase(a.id);
            return;
        }
        if (o.fin_read && o.fin_acked) ending_[a.side].insert(a.id);
    }
    // No event says that the last of a stream was confirmed.
    void end(int side) {
        std::erase_if(ending_[side], [&](stream_id id) {
            const auto at = apps_[side].find(id);
            if (at == apps_[side].end()) return true;
            if (!ends[side]->ended(id)) return false;
            at->second.result->ended = true;
            apps_[side].erase(at);
            return true;
        });
    }
    void read(app& a, outcome& o, engine& e) {
        const stream_plan& p = plans_[a.plan];
        while (a.readable && p.read_chunk[a.side] > 0) {
            if (a.next_read > now) {
                timed_[a.side].emplace(a.next_read, a.id);
                return;
            }
            chain data;
            const io_result r = e.read(a.id, data, p.read_chunk[a.side], now);
            if (r.status == io_status::fin) o.fin_read = true;
            if (!r.ok()) {
                if (r.status == io_status::broken) fail("a read broke without an event");
                a.readable = false;
                return;
            }
            if (r.bytes != data.size()) fail("read() miscounts");
            verify(a, data);
            a.next_read = now + p.read_every[a.side];
        }
    }
    void write(app& a, outcome& o, engine& e) {
        const stream_plan& p = plans_[a.plan];
        const bool opener = a.side == p.opener;
        const std::uint64_t total = opener ? p.up : p.down;
        const bool paced = p.echo_every > duration{0};
        while (a.writable && o.written < total) {
            if (a.pending.empty()) {
                std::uint64_t n = std::min<std::uint64_t>(total - o.written, p.write_chunk);
                if (paced && !opener) n = std::min(n, o.read - o.written);
                if (n == 0) break;
                if (paced && opener) {
                    if (a.next_write > now) {
                        timed_[a.side].emplace(a.next_write, a.id);
                        break;
                    }
                    a.next_write = std::max(now, a.next_write) + p.echo_every;
                    a.asked.push_back(now);
                }
                block_ref b = blocks.take(n);
                b->set_used(n);
                pattern(a.plan, a.side, o.written, {b->data(), n});
                const std::uint8_t* from = b->data();
                a.pending.append(slice{std::move(b), from, n});
            }
            const io_result r = e.write(a.id, a.pending, now);
            if (r.ok()) o.written += r.bytes;
            if (!a.pending.empty()) a.writable = false;
        }
        if (o.written == total && !a.finished) {
            e.finish(a.id, now);
            a.finished = true;
        }
    }
    void verify(app& a, const chain& data) {
        outcome& o = *a.result;
        std::uint64_t wrong = 0;
        if (!matches(a.plan, 1 - a.side, o.read, data, wrong))
            fail("stream " + std::to_string(a.plan) + " at end " + std::to_string(a.side) +
                 ": byte " + std::to_string(wrong) + " is wrong");
        o.note_read(data.size(), now);
        o.read += data.size();
        const stream_plan& p = plans_[a.plan];
        if (p.echo_every > duration{0} && a.side == p.opener)
            while (o.latencies.size() < a.asked.size() &&
                   o.read >= (o.latencies.size() + 1) * p.write_chunk)
                o.latencies.push_back(now - a.asked[o.latencies.size()]);
    }
    bool all_done() {
        for (; first_undone_ < plans_.size(); ++first_undone_)
            for (int side : {0, 1}) {
                const outcome& o = results_[first_undone_].ends[side];
                if (o.ended || o.broken || o.aborted) continue;
                // An end that never heard of the stream has nothing to end.
                const outcome& other = results_[first_undone_].ends[1 - side];
                if (!o.begun && (other.aborted || other.broken)) continue;
                return false;
            }
        return true;
    }

  public:
    bool may_break = false;  // a subflow may break by what arrives on it

  private:
    failure_sink on_failure_;
    bool failed_ = false;
    allowance_check allowance_[2];  // by the end that sends
    instant neglected_since_[2] = {never, never};
    std::map<subflow_id, place> places_;
    std::vector<subflow_id> order_, gone_;
    std::size_t first_ = 0;
    bool touched_[2] = {true, true};

    std::deque<stream_plan> plans_;
    std::deque<both> results_;
    std::multimap<instant, std::size_t> starts_;
    std::map<stream_id, app> apps_[2];
    std::set<stream_id> runnable_[2], ending_[2];
    std::set<std::pair<instant, stream_id>> timed_[2];
    std::size_t first_undone_ = 0;
};

}  // namespace libp::stripe::sim
