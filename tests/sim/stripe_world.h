#pragma once

// Two striping engines and the subflows between them, in virtual time: links have a rate, a delay and a bounded queue, can be
// frozen, and can be cut at any byte. A run is a function of its seed.
//
// Applications are `stream_plan`s: who opens, how much each end sends, how fast each end reads. Every byte read is compared
// with the byte that must be there.

#include <libp/block.h>
#include <libp/chain.h>
#include <libp/stripe/engine.h>
#include <libp/stripe/wire.h>
#include <support/seed.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace libp::stripe::sim {

struct link_shape {
    double bytes_per_second = 50e6;
    duration delay{2ms};
    std::size_t queue = 128 * kib;  // what a link takes before it is congested
    std::size_t largest_packet = 16 * kib;
};

struct stream_plan {
    int opener = 0;
    std::uint64_t up = 0;    // bytes the opener sends
    std::uint64_t down = 0;  // bytes the acceptor sends
    bool interactive = false;
    std::size_t read_chunk[2] = {SIZE_MAX, SIZE_MAX};  // by end; 0: never reads
    duration read_every[2] = {duration{0}, duration{0}};
    std::size_t write_chunk = 64 * kib;
    std::int64_t abort_after[2] = {-1, -1};  // by end: aborts when it has read that much
    bool refuse = false;
    duration start{0};
};

// The byte at `offset` of what end `side` sends on stream `key`.
inline std::uint8_t pattern(std::uint64_t key, int side, std::uint64_t offset) {
    std::uint64_t x = (offset >> 3) * 0x9e3779b97f4a7c15u + key * 2 + static_cast<unsigned>(side);
    x ^= x >> 29;
    x *= 0xbf58476d1ce4e5b9u;
    return static_cast<std::uint8_t>(x >> ((offset & 7) * 8));
}

class world {
  public:
    explicit world(std::uint64_t seed, engine_options common = {}) : random(seed) {
        for (int side : {0, 1}) {
            engine_options o = common;
            o.even = side == 0;
            o.peer_initial_credit = o.own_initial_credit;
            ends[side] = std::make_unique<engine>(blocks, o, now);
        }
    }

    // -- subflows ----------------------------------------------------------------------------------

    void up(subflow_id id, const link_shape& shape = {}, bool crc = true) {
        paths_.emplace(id, path{shape, {}, false});
        for (auto& e : ends)
            e->subflow_up(id, {.payload_crc = crc}, now);
    }
    bool is_up(subflow_id id) const { return paths_.count(id) > 0; }
    std::size_t paths() const { return paths_.size(); }
    std::vector<subflow_id> path_ids() const {
        std::vector<subflow_id> out;
        for (const auto& [id, p] : paths_)
            out.push_back(id);
        return out;
    }
    void freeze(subflow_id id, bool frozen) { paths_.at(id).frozen = frozen; }

    // Cuts it: `late_bytes` of what is under way each way still arrive.
    void cut(subflow_id id, std::size_t late_bytes = 0) {
        for (int to : {0, 1}) {
            chain late;
            for (packet& p : paths_.at(id).lanes[to].packets)
                late.append(std::move(p.data));
            if (late.size() > late_bytes) {
                chain some;
                late.move_front(some, late_bytes);
                late = std::move(some);
            }
            if (!late.empty()) deliver(id, to, std::move(late));
        }
        // Ends notice in either order.
        const int first = static_cast<int>(random.below(2));
        ends[first]->subflow_down(id, now);
        ends[1 - first]->subflow_down(id, now);
        paths_.erase(id);
        ++cuts;
    }
    // Cuts it when `bytes` more have arrived at end `to`.
    void cut_after(subflow_id id, int to, std::uint64_t bytes) {
        lane& l = paths_.at(id).lanes[to];
        l.cut_after = l.delivered + bytes;
    }

    // -- applications --------------------------------------------------------------------------------

    void plan(const stream_plan& p) { plans_.push_back(p); }

    // Runs until everything planned came to its end; false if that does not happen within `limit` of virtual time.
    bool run(duration limit = std::chrono::hours(1)) {
        const instant until = now + limit;
        for (act(); !all_done(); act()) {
            if (::testing::Test::HasFailure()) return false;
            if (!step(until)) return false;
        }
        return true;
    }
    // Lets things happen until virtual time `until`, or until nothing does.
    void run_for(duration d) {
        const instant until = now + d;
        while (now < until && step(until)) {
        }
        now = until;
    }
    // All memory is back and nothing is owed.
    void expect_empty() {
        for (int side : {0, 1}) {
            EXPECT_EQ(ends[side]->open_streams(), 0u) << "end " << side;
            EXPECT_EQ(ends[side]->memory(), 0u) << "end " << side;
            EXPECT_EQ(ends[side]->granted(), 0u) << "end " << side;
            for (subflow_id id : path_ids())
                EXPECT_EQ(ends[side]->stats(id).in_flight, 0u) << "end " << side;
        }
        // The engines keep a scratch block each.
        EXPECT_LE(blocks.in_use(), 2 * 4 * kib);
    }

    bool step(instant until) {
        do
            act();
        while (pump());
        if (check_every && ++steps_ % check_every == 0)
            for (auto& e : ends)
                e->check_invariants();
        for (int side : {0, 1}) {
            largest_memory[side] = std::max(largest_memory[side], ends[side]->memory());
            EXPECT_LE(ends[side]->granted(), budget);
            for (subflow_id id : ends[side]->take_dead())
                if (is_up(id)) dead_.push_back(id);
        }
        for (subflow_id id : std::exchange(dead_, {}))
            if (is_up(id)) cut(id);

        instant next = next_arrival();
        for (auto& e : ends)
            next = std::min(next, e->next_timer());
        next = std::min(next, next_act());
        if (next > until) return false;
        now = std::max(now, next);
        for (auto& e : ends)
            if (e->next_timer() <= now) e->on_timer(now);
        arrive();
        return true;
    }

    // What became of plan `n` at one end.
    struct outcome {
        bool begun = false, ready = false, fin_read = false, fin_acked = false, ended = false;
        bool aborted = false;
        error broken{};
        std::uint64_t read = 0, written = 0;
    };
    const outcome& at(std::size_t plan, int side) { return results_[{plan, side}]; }

    block_pool blocks;
    test_random random;
    instant now{};
    std::unique_ptr<engine> ends[2];
    std::size_t check_every = 1;
    std::uint64_t budget = UINT64_MAX;
    std::size_t largest_memory[2] = {0, 0};
    std::size_t cuts = 0;
    error session_error[2] = {};

  private:
    struct packet {
        instant at;
        chain data;
    };
    struct lane {
        std::deque<packet> packets;
        instant busy_until{};
        std::size_t queued = 0;
        std::uint64_t delivered = 0;
        std::uint64_t cut_after = UINT64_MAX;
    };
    struct path {
        link_shape shape;
        lane lanes[2];  // by the end they lead to
        bool frozen = false;
    };
    struct app {
        std::size_t plan;
        int side;
        stream_id id;
        outcome* result;
        instant next_read{};
        bool readable = false, writable = true, finished = false;
    };

    // -- links

    bool pump() {
        bool moved = false;
        for (auto& [id, p] : paths_)
            for (int from : {0, 1})
                moved |= pump(id, p, from);
        return moved;
    }
    bool pump(subflow_id id, path& p, int from) {
        lane& l = p.lanes[1 - from];
        if (l.queued >= p.shape.queue || !ends[from]->wants_transmit(id, now)) return false;
        chain out;
        const std::size_t n = ends[from]->transmit(id, out, 1 + random.below(32 * kib), now);
        EXPECT_GT(n, 0u) << "wants_transmit() promised a frame";
        EXPECT_EQ(n, out.size());
        while (!out.empty()) {
            packet k;
            const std::size_t size =
                std::min<std::size_t>(out.size(), 1 + random.below(p.shape.largest_packet));
            out.move_front(k.data, size);
            l.busy_until = std::max(l.busy_until, now) +
                           duration(static_cast<std::int64_t>(static_cast<double>(size) * 1e9 /
                                                              p.shape.bytes_per_second));
            k.at = l.busy_until + p.shape.delay;
            l.queued += size;
            l.packets.push_back(std::move(k));
        }
        return n > 0;
    }
    instant next_arrival() const {
        instant at = never;
        for (const auto& [id, p] : paths_)
            for (const lane& l : p.lanes)
                if (!p.frozen && !l.packets.empty()) at = std::min(at, l.packets.front().at);
        return at;
    }
    void arrive() {
        for (subflow_id id : path_ids()) {
            for (int to : {0, 1}) {
                while (is_up(id)) {
                    path& p = paths_.at(id);
                    lane& l = p.lanes[to];
                    if (p.frozen || l.packets.empty() || l.packets.front().at > now) break;
                    chain data = std::move(l.packets.front().data);
                    l.packets.pop_front();
                    l.queued -= data.size();
                    const bool last = l.delivered + data.size() >= l.cut_after;
                    if (last) {
                        chain part;
                        data.move_front(part, l.cut_after - l.delivered);
                        data = std::move(part);
                    }
                    l.delivered += data.size();
                    deliver(id, to, std::move(data));
                    if (last && is_up(id)) cut(id);
                }
            }
        }
    }
    // As a driver would: the bytes are in blocks of their own, not in the sender's.
    void deliver(subflow_id id, int to, chain&& data) {
        chain copy;
        for (std::size_t i = 0; i < data.slices(); ++i)
            copy.append_copy(blocks, data[i].view(), data.size());
        data.clear();
        const error e = ends[to]->received(id, std::move(copy), now);
        EXPECT_FALSE(e) << to_string(e);
    }

    // -- applications

    void act() {
        while (first_unopened_ < plans_.size() &&
               results_[{first_unopened_, plans_[first_unopened_].opener}].begun)
            ++first_unopened_;
        for (std::size_t n = first_unopened_; n < plans_.size(); ++n) {
            const stream_plan& p = plans_[n];
            outcome& o = results_[{n, p.opener}];
            if (o.begun || instant{} + p.start > now) continue;
            const stream_id id = ends[p.opener]->open({std::to_string(n), p.interactive}, now);
            if (id == 0) continue;
            o.begun = true;
            apps_[p.opener].emplace(id, app{n, p.opener, id, &o});
        }
        for (int side : {0, 1}) {
            event e;
            while (ends[side]->next_event(e))
                on_event(side, e);
            for (auto at = apps_[side].begin(); at != apps_[side].end();) {
                app& a = (at++)->second;
                serve(a);
            }
        }
    }
    instant next_act() const {
        instant at = never;
        for (int side : {0, 1})
            for (const auto& [id, a] : apps_[side])
                if (a.readable && a.next_read > now) at = std::min(at, a.next_read);
        for (std::size_t n = first_unopened_; n < plans_.size(); ++n) {
            const auto found = results_.find({n, plans_[n].opener});
            const bool begun = found != results_.end() && found->second.begun;
            if (!begun && instant{} + plans_[n].start > now)
                at = std::min(at, instant{} + plans_[n].start);
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
            EXPECT_EQ(e.request.interactive, plans_[n].interactive);
            results_[{n, side}].begun = true;
            if (plans_[n].refuse) {
                ends[side]->refuse(e.id, {reason::refused}, now);
                results_[{n, side}].aborted = true;
                return;
            }
            ends[side]->accept(e.id, now);
            apps_[side].emplace(e.id, app{n, side, e.id, &results_[{n, side}]});
            return;
        }
        const auto found = apps_[side].find(e.id);
        if (found == apps_[side].end()) {
            // Only of what was already over here.
            EXPECT_EQ(e.what, event::kind::stream_fin_acked);
            return;
        }
        app& a = found->second;
        outcome& o = *a.result;
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
                EXPECT_FALSE(o.fin_acked);
                o.fin_acked = true;
                break;
            case event::kind::stream_broken:
                verify(a, e.unread);
                o.broken = e.why;
                apps_[side].erase(found);
                break;
            default:
                ADD_FAILURE() << "event " << static_cast<int>(e.what);
        }
    }
    std::uint64_t to_send(const app& a) const {
        return a.side == plans_[a.plan].opener ? plans_[a.plan].up : plans_[a.plan].down;
    }
    void serve(app& a) {
        const stream_plan& p = plans_[a.plan];
        outcome& o = *a.result;
        engine& e = *ends[a.side];
        write(a, o, e);
        while (a.readable && p.read_chunk[a.side] > 0 && a.next_read <= now) {
            chain data;
            const io_result r = e.read(a.id, data, p.read_chunk[a.side], now);
            if (r.status == io_status::again) {
                a.readable = false;
            } else if (r.status == io_status::fin) {
                o.fin_read = true;
                a.readable = false;
            } else {
                EXPECT_EQ(r.status, io_status::ok);
                EXPECT_EQ(r.bytes, data.size());
                if (!r.ok()) break;
                verify(a, data);
                a.next_read = now + p.read_every[a.side];
            }
        }
        if (p.abort_after[a.side] >= 0 &&
            o.read >= static_cast<std::uint64_t>(p.abort_after[a.side])) {
            e.abort(a.id, {reason::local_abort}, now);
            o.aborted = true;
            apps_[a.side].erase(a.id);
            return;
        }
        if (o.fin_read && o.fin_acked && e.ended(a.id)) {
            o.ended = true;
            apps_[a.side].erase(a.id);
        }
    }
    void write(app& a, outcome& o, engine& e) {
        const std::uint64_t total = to_send(a);
        while (a.writable && o.written < total) {
            const std::size_t n =
                std::min<std::uint64_t>(total - o.written, plans_[a.plan].write_chunk);
            std::vector<std::uint8_t> data(n);
            for (std::size_t i = 0; i < n; ++i)
                data[i] = pattern(a.plan, a.side, o.written + i);
            chain c;
            c.append_copy(blocks, data);
            const io_result r = e.write(a.id, c, now);
            if (r.ok()) o.written += r.bytes;
            if (!c.empty()) a.writable = false;
        }
        if (o.written == total && !a.finished) {
            e.finish(a.id, now);
            a.finished = true;
        }
    }
    void verify(const app& a, const chain& data) {
        outcome& o = *a.result;
        for (std::size_t i = 0; i < data.slices(); ++i)
            for (std::uint8_t byte : data[i].view()) {
                if (byte != pattern(a.plan, 1 - a.side, o.read)) {
                    ADD_FAILURE() << "plan " << a.plan << " end " << a.side << ": byte " << o.read
                                  << " is wrong";
                    return;
                }
                ++o.read;
            }
    }
    bool all_done() {
        for (; first_undone_ < plans_.size(); ++first_undone_)
            for (int side : {0, 1}) {
                const std::size_t n = first_undone_;
                const outcome& o = results_[{n, side}];
                if (o.ended || o.broken || o.aborted) continue;
                // An end that never heard of the stream has nothing to end.
                const outcome& other = results_[{n, 1 - side}];
                if (!o.begun && (other.aborted || other.broken)) continue;
                return false;
            }
        return true;
    }

    std::map<subflow_id, path> paths_;
    std::vector<stream_plan> plans_;
    std::map<std::pair<std::size_t, int>, outcome> results_;
    std::map<stream_id, app> apps_[2];
    std::vector<subflow_id> dead_;
    std::size_t steps_ = 0, first_unopened_ = 0, first_undone_ = 0;
};

}  // namespace libp::stripe::sim
