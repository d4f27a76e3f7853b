#include "sim/applications.h"

#include <algorithm>

namespace libp::stripe::sim {

applications::applications(engines& ends, block_pool& blocks, const instant& now,
                           std::function<void(const std::string&)> fail)
    : ends_(ends), blocks_(blocks), now_(now), fail_(std::move(fail)) {}

std::size_t applications::plan(const stream_plan& p) {
    plans_.push_back(p);
    starts_.emplace(now_ + std::max(duration{0}, p.start - (now_ - instant{})), plans_.size() - 1);
    results_.emplace_back();
    return plans_.size() - 1;
}

void applications::act(int side) {
    start(side);
    event e;
    while (ends_[side]->next_event(e)) {
        if (!on_other_event || !on_other_event(side, e)) on_event(side, e);
        e = event{};
    }
    while (!timed_[side].empty() && timed_[side].begin()->first <= now_) {
        runnable_[side].insert(timed_[side].begin()->second);
        timed_[side].erase(timed_[side].begin());
    }
    for (stream_id id : std::exchange(runnable_[side], {}))
        if (const auto at = apps_[side].find(id); at != apps_[side].end()) serve(at->second);
    end(side);
}

instant applications::next_act() const {
    instant at = never;
    for (const auto& timed : timed_)
        if (!timed.empty()) at = std::min(at, timed.begin()->first);
    for (const auto& [start, n] : starts_)
        if (start > now_) {
            at = std::min(at, start);
            break;
        }
    return at;
}

bool applications::all_done() {
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

void applications::start(int side) {
    for (auto at = starts_.begin(); at != starts_.end() && at->first <= now_;) {
        const std::size_t n = at->second;
        if (plans_[n].opener != side) {
            ++at;
            continue;
        }
        const stream_id id = ends_[side]->open({std::to_string(n), plans_[n].interactive}, now_);
        if (id == 0) return;
        at = starts_.erase(at);
        begin(n, side, id);
    }
}

void applications::begin(std::size_t n, int side, stream_id id) {
    outcome& o = results_[n].ends[side];
    o.begun = true;
    o.begun_at = now_;
    apps_[side].emplace(id, app{n, side, id, &o, {}});
    runnable_[side].insert(id);
}

void applications::on_event(int side, event& e) {
    if (e.what == event::kind::session_broken) {
        session_error[side] = e.why;
        return;
    }
    if (e.what == event::kind::stream_opened) {
        const std::size_t n = std::stoul(e.request.target);
        if (e.request.interactive != plans_[n].interactive) fail_("class of a stream");
        if (plans_[n].refuse) {
            ends_[side]->refuse(e.id, {reason::refused}, now_);
            results_[n].ends[side].begun = true;
            results_[n].ends[side].aborted = true;
            return;
        }
        ends_[side]->accept(e.id, now_);
        begin(n, side, e.id);
        return;
    }
    const auto found = apps_[side].find(e.id);
    if (found == apps_[side].end()) {
        // Only of what was already over here.
        if (e.what != event::kind::stream_fin_acked) fail_("an event for a stream that is over");
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
            if (o.fin_acked) fail_("a FIN acknowledged twice");
            o.fin_acked = true;
            break;
        case event::kind::stream_broken:
            verify(a, e.unread);
            o.broken = e.why;
            apps_[side].erase(found);
            break;
        default:
            fail_("an event that nobody knows");
    }
}

void applications::serve(app& a) {
    const stream_plan& p = plans_[a.plan];
    outcome& o = *a.result;
    engine& e = *ends_[a.side];
    read(a, o, e);
    write(a, o, e);
    if (p.abort_after[a.side] >= 0 && o.read >= static_cast<std::uint64_t>(p.abort_after[a.side])) {
        e.abort(a.id, {reason::local_abort}, now_);
        o.aborted = true;
        apps_[a.side].erase(a.id);
        return;
    }
    if (o.fin_read && o.fin_acked) ending_[a.side].insert(a.id);
}

void applications::end(int side) {
    std::erase_if(ending_[side], [&](stream_id id) {
        const auto at = apps_[side].find(id);
        if (at == apps_[side].end()) return true;
        if (!ends_[side]->ended(id)) return false;
        at->second.result->ended = true;
        apps_[side].erase(at);
        return true;
    });
}

void applications::read(app& a, outcome& o, engine& e) {
    const stream_plan& p = plans_[a.plan];
    while (a.readable && p.read_chunk[a.side] > 0) {
        if (a.next_read > now_) {
            timed_[a.side].emplace(a.next_read, a.id);
            return;
        }
        chain data;
        const io_result r = e.read(a.id, data, p.read_chunk[a.side], now_);
        if (r.status == io_status::fin) o.fin_read = true;
        if (!r.ok()) {
            if (r.status == io_status::broken) fail_("a read broke without an event");
            a.readable = false;
            return;
        }
        if (r.bytes != data.size()) fail_("read() miscounts");
        verify(a, data);
        a.next_read = now_ + p.read_every[a.side];
    }
}

void applications::write(app& a, outcome& o, engine& e) {
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
                if (a.next_write > now_) {
                    timed_[a.side].emplace(a.next_write, a.id);
                    break;
                }
                a.next_write = std::max(now_, a.next_write) + p.echo_every;
                a.asked.push_back(now_);
            }
            block_ref b = blocks_.take(n);
            b->set_used(n);
            pattern(a.plan, a.side, o.written, {b->data(), n});
            const std::uint8_t* from = b->data();
            a.pending.append(slice{std::move(b), from, n});
        }
        const io_result r = e.write(a.id, a.pending, now_);
        if (r.ok()) o.written += r.bytes;
        if (!a.pending.empty()) a.writable = false;
    }
    if (o.written == total && !a.finished) {
        e.finish(a.id, now_);
        a.finished = true;
    }
}

void applications::verify(app& a, const chain& data) {
    outcome& o = *a.result;
    std::uint64_t wrong = 0;
    if (!matches(a.plan, 1 - a.side, o.read, data, wrong))
        fail_("stream " + std::to_string(a.plan) + " at end " + std::to_string(a.side) + ": byte " +
              std::to_string(wrong) + " is wrong");
    o.note_read(data.size(), now_);
    o.read += data.size();
    const stream_plan& p = plans_[a.plan];
    if (p.echo_every > duration{0} && a.side == p.opener)
        while (o.latencies.size() < a.asked.size() &&
               o.read >= (o.latencies.size() + 1) * p.write_chunk)
            o.latencies.push_back(now_ - a.asked[o.latencies.size()]);
}

}  // namespace libp::stripe::sim
