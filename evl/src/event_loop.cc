#include <libp/event_loop.h>

#include <algorithm>
#include <cstdio>
#include <type_traits>
#include <utility>

namespace libp {

// -- io_watch ------------------------------------------------------------------------------------

error io_watch::open(event_loop& loop, fd_type fd, callback call, flags<io_interest> interest) {
    check(!is_open(), "a watch was opened twice");
    check(bool(call), "a watch needs a callback");
    slot_ = {fd, interest};
    if (error e = loop.waits_->add(slot_)) {
        slot_ = {};
        return e;
    }
    loop_ = &loop;
    call_ = call;
    wanted_ = interest;
    ++loop.open_watches_;
    return {};
}

void io_watch::close() noexcept {
    if (!is_open()) return;
    if (ready_at_ != heap_none) loop_->ready_[ready_at_].slot = nullptr;
    ready_at_ = heap_none;
    changed_.unlink();
    loop_->waits_->remove(slot_);
    --loop_->open_watches_;
    loop_ = nullptr;
    slot_ = {};
    wanted_ = {};
}

void io_watch::set_interest(flags<io_interest> interest) noexcept {
    if (interest == wanted_) return;
    check(is_open(), "a closed watch was given an interest");
    wanted_ = interest;
    if (!changed_.linked()) loop_->changed_.push_back(*this);
}

// -- timer and deferred --------------------------------------------------------------------------

void timer::arm(instant due) {
    if (due == never) return cancel();
    // No earlier than now, and behind those armed before for the same instant: a timer that keeps
    // arming itself for the past starves nobody, and is not run twice in a turn.
    due_ = std::max(due, loop_.now_);
    order_ = loop_.timers_armed_++;
    if (armed())
        loop_.timers_.update(*this);
    else
        loop_.timers_.push(*this);
}

void timer::arm_in(duration delay) {
    arm(saturating_add(loop_.now_, std::max(delay, duration::zero())));
}

void timer::cancel() noexcept {
    if (armed()) loop_.timers_.remove(*this);
}

void deferred::schedule() noexcept {
    if (!scheduled()) loop_.deferred_.push_back(*this);
}

// -- event_loop ----------------------------------------------------------------------------------

event_loop::event_loop(std::unique_ptr<poller> waits) : waits_(std::move(waits)) {
    check(waits_ != nullptr, "an event loop needs a poller");
    now_ = waits_->now();
}

event_loop::~event_loop() {
    // What dies here may own what it posts or retires in turn. The lock also waits for a post() or
    // stop() that has done its work and is on its way out.
    do {
        {
            std::lock_guard lock(posts_lock_);
            taken_.swap(posts_);
            posted_ = false;
        }
        taken_.clear();
        bury();
    } while (posted_);
    check(timers_.empty(), "an armed timer outlives its loop");
    check(open_watches_ == 0, "an open watch outlives its loop");
}

void event_loop::run() {
    while (turn()) {
    }
    stopped_ = false;
}

bool event_loop::turn(instant limit) {
    check(!turning_, "a loop was turned from one of its own callbacks");
    if (stopped_) return false;
    turning_ = true;
    bury();  // what was retired since the last turn: this one may sleep for long
    apply_interest();
    collect(next_deadline(limit));
    run_posts();
    run_timers();
    dispatch();
    run_deferred();
    bury();
    turning_ = false;
    return !stopped_;
}

void event_loop::stop() noexcept {
    std::lock_guard lock(posts_lock_);
    stopped_ = true;
    waits_->wake();
}

void event_loop::post(std::function<void()> call) {
    // Waking under the lock keeps the loop from running the call, and dying of it, before wake() is
    // through.
    std::lock_guard lock(posts_lock_);
    const bool first = posts_.empty();
    posts_.push_back(std::move(call));
    posted_ = true;
    if (first) waits_->wake();
}

// -- a turn, step by step ------------------------------------------------------------------------

void event_loop::apply_interest() {
    while (io_watch* w = changed_.pop_front()) {
        if (w->slot_.interest == w->wanted_) continue;
        w->slot_.interest = w->wanted_;
        waits_->update(w->slot_);
    }
}

instant event_loop::next_deadline(instant limit) const noexcept {
    if (!deferred_.empty()) return now_;
    const timer* first = timers_.top();
    return first ? std::min(first->due_, limit) : limit;
}

static_assert(std::is_standard_layout_v<io_watch>, "a watch is found from its first member");

void event_loop::collect(instant deadline) {
    const bool may_sleep = deadline > now_;
    waits_->wait(deadline, ready_);
    ++turns_;
    now_ = waits_->now();
    // Before anybody is called: whoever closes a watch from here on finds its event and strikes it.
    for (std::size_t i = 0; i < ready_.size(); ++i)
        reinterpret_cast<io_watch*>(ready_[i].slot)->ready_at_ = i;

    if constexpr (debug_build) {
        if (may_sleep && ready_.empty())
            spins_ = 0;
        else
            count_spin();
    }
}

void event_loop::run_posts() {
    if (!posted_) return;
    {
        std::lock_guard lock(posts_lock_);
        taken_.swap(posts_);
        posted_ = false;
    }
    progress();
    for (auto& call : taken_)
        std::exchange(call, nullptr)();
    taken_.clear();
}

void event_loop::run_timers() {
    const std::uint64_t armed_before = timers_armed_;
    for (;;) {
        timer* t = timers_.top();
        if (!t || t->due_ > now_ || t->order_ >= armed_before) return;
        timers_.remove(*t);
        progress();
        t->call_();
    }
}

void event_loop::dispatch() {
    // Callbacks strike entries but never add any.
    for (const poll_event& event : ready_) {
        if (!event.slot) continue;
        io_watch& w = *reinterpret_cast<io_watch*>(event.slot);
        w.ready_at_ = heap_none;
        flags<io_ready> ready = event.ready;
        if (!w.wanted_.has(io_interest::read)) ready.clear(io_ready::read);
        if (!w.wanted_.has(io_interest::write)) ready.clear(io_ready::write);
        if (w.wanted_.none()) ready = {};
        if (ready.none()) continue;
        if constexpr (debug_build) last_fd_ = w.slot_.fd;
        w.call_(ready);
    }
    ready_.clear();
}

void event_loop::run_deferred() {
    intrusive_list<deferred, &deferred::hook_> batch;
    batch.take(deferred_);
    while (deferred* d = batch.pop_front()) {
        if constexpr (debug_build) last_fd_ = no_fd;
        d->call_();
    }
}

void event_loop::bury() {
    // By index, and copied: a destructor may retire more.
    for (std::size_t i = 0; i < retired_.size(); ++i) {
        const corpse c = retired_[i];
        c.destroy(c.object);
    }
    retired_.clear();
}

void event_loop::count_spin() {
    if (spins_++ == 0) spinning_since_ = now_;
    if (spins_ <= spin_limit) return;
    if (now_ - spinning_since_ < spin_limit * spin_pace) {
        char what[128];
        if (last_fd_ == no_fd)
            std::snprintf(what, sizeof what, "the event loop spins: a deferred call ran last");
        else
            std::snprintf(what, sizeof what,
                          "the event loop spins: the watch of descriptor %lld ran last",
                          static_cast<long long>(last_fd_));
        fail(what);
    }
    spins_ = 0;
}

}  // namespace libp
