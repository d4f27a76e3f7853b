#pragma once

// One event loop: descriptors, timers, deferred calls, and posts from other threads.
//
//  -- a turn --
//
//  1. wait until a descriptor is ready, a timer is due, a post arrives; not at all if calls are
//     deferred
//  2. read the clock, once: now() is that instant for the whole turn
//  3. run what was posted, then the timers that are due, in order of their due time, those of one
//     instant in the order they were armed; a timer armed meanwhile waits for the next turn
//  4. dispatch the ready descriptors
//  5. run the deferred calls; one deferred meanwhile runs in the next turn
//  6. destroy what was retired
//
//  -- registrations are weak --
//
// io_watch, timer and deferred are objects their users own, as members. Each belongs to one loop
// and must die before it. Any callback may create, change or destroy any of them, its own included.
// Ready descriptors are collected before the first is dispatched; a watch that is closed meanwhile
// is struck from the list, so no event ever reaches a dead watch, nor a new one that got the same
// descriptor number.
//
//  -- rules --
//
// Everything but post() and stop() is for the loop's own thread. N loops in N threads share
// nothing. Nothing wakes a loop that has nothing to do: no tick, no polling. A turn costs one wait
// and one reading of the clock, and allocates nothing.
//
//  -- spinning --
//
// A watch nobody serves, or a deferred call that always schedules itself again, turns the loop at
// full speed and to no avail, and looks like nothing but heat. Debug builds count the turns in a
// row that neither slept nor did anything, and abort at spin_limit with the name of what ran last.
// Timers that fired and posts that ran count as something done; whether a ready descriptor's
// callback achieved anything only it can say: it calls progress() when it moved bytes, accepted a
// connection, or ended one.

#include <libp/assert.h>
#include <libp/block.h>
#include <libp/delegate.h>
#include <libp/list.h>
#include <libp/min_heap.h>
#include <libp/poller.h>
#include <libp/time.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace libp {

class event_loop;

// Watches one descriptor. The descriptor stays its owner's, who closes the watch before the
// descriptor.
class io_watch {
  public:
    using callback = delegate<void(flags<io_ready>)>;

    io_watch() noexcept = default;
    ~io_watch() { close(); }
    io_watch(const io_watch&) = delete;
    io_watch& operator=(const io_watch&) = delete;

    // Starts watching. Errors: as poller::add; the watch stays closed then. Legal when closed. Who
    // knows the first interest already saves a system call by passing it.
    error open(event_loop& loop, fd_type fd, callback call, flags<io_interest> interest = {});
    void close() noexcept;
    bool is_open() const noexcept { return loop_ != nullptr; }

    // What to report from the next wait on. Cheap: changes within a turn cost one system call at
    // most, none if they cancel out. Events already collected for an interest that is now off are
    // not delivered. `failed` is delivered whenever there is any interest. A closed watch takes no
    // interest but none.
    void set_interest(flags<io_interest> interest) noexcept;
    flags<io_interest> interest() const noexcept { return wanted_; }

  private:
    friend class event_loop;
    poll_slot slot_;  // first: the loop finds the watch from the slot
    flags<io_interest> wanted_{};
    event_loop* loop_ = nullptr;
    callback call_;
    list_hook changed_;  // on the loop's list while wanted_ != slot_.interest may hold
    std::size_t ready_at_ = heap_none;  // index in the list being dispatched
};

// Calls once at an instant, or a little later, never earlier.
class timer {
  public:
    timer(event_loop& loop, delegate<void()> call) noexcept : loop_(loop), call_(call) {}
    ~timer() { cancel(); }
    timer(const timer&) = delete;
    timer& operator=(const timer&) = delete;

    // Arms, or moves, the timer. `never` disarms it; an instant that has passed is taken for now().
    void arm(instant due);
    void arm_in(duration delay);
    void cancel() noexcept;
    bool armed() const noexcept { return heap_index_ != heap_none; }
    instant due() const noexcept { return armed() ? due_ : never; }

  private:
    friend class event_loop;
    struct earlier {
        bool operator()(const timer& a, const timer& b) const noexcept {
            return a.due_ != b.due_ ? a.due_ < b.due_ : a.order_ < b.order_;
        }
    };
    event_loop& loop_;
    delegate<void()> call_;
    instant due_ = never;
    std::uint64_t order_ = 0;  // by when it was armed
    std::size_t heap_index_ = heap_none;
};

// Calls once, soon: later in this turn if scheduled before step 5, else in the next, without
// waiting in between.
class deferred {
  public:
    deferred(event_loop& loop, delegate<void()> call) noexcept : loop_(loop), call_(call) {}
    deferred(const deferred&) = delete;
    deferred& operator=(const deferred&) = delete;

    void schedule() noexcept;  // twice is once
    void cancel() noexcept { hook_.unlink(); }
    bool scheduled() const noexcept { return hook_.linked(); }

  private:
    friend class event_loop;
    event_loop& loop_;
    delegate<void()> call_;
    list_hook hook_;
};

class event_loop {
  public:
    explicit event_loop(std::unique_ptr<poller> waits = make_default_poller());
    ~event_loop();
    event_loop(const event_loop&) = delete;
    event_loop& operator=(const event_loop&) = delete;

    // The instant of this turn. Outside run(), the instant of the last turn.
    instant now() const noexcept { return now_; }

    // Turns until stop() was called. A stop() before run() ends it at once. One stop() ends one
    // run(): the loop may be run again.
    void run();
    // One turn that waits no longer than until `limit`. False if stop() was called, at once if
    // before. Never legal within a callback.
    bool turn(instant limit = never);
    // Any thread: ends run() after the turn under way.
    void stop() noexcept;
    // Any thread: runs `call` on the loop's thread, in the order of posting. What is posted by a
    // post runs in the next turn; what is still queued when the loop dies is dropped.
    void post(std::function<void()> call);

    // Destroys the object at the end of this turn, when no callback of its can be running. How an
    // owner lets go of something from within that thing's own callback.
    template <class T>
    void retire(std::unique_ptr<T> object) {
        if (object)
            retired_.push_back({object.release(), [](void* p) { delete static_cast<T*>(p); }});
    }

    // The buffers of everything on this loop.
    block_pool& blocks() noexcept { return blocks_; }
    const char* backend() const noexcept { return waits_->name(); }
    // How many times the loop has waited: an idle loop's count stands still.
    std::uint64_t turns() const noexcept { return turns_; }

    // Something came of what a callback did (see "spinning" above). Pipes call it whenever bytes
    // moved.
    void progress() noexcept {
        if constexpr (debug_build) spins_ = 0;
    }

    // Debug builds: this many turns in a row without a sleep, a timer, a post or progress(), and
    // faster than one every spin_pace on average, abort the program. The pace is what tells a spin
    // from a quiet watch that is served a million times in a week.
    static constexpr std::uint64_t spin_limit = 1'000'000;
    static constexpr duration spin_pace = 100us;

  private:
    friend class io_watch;
    friend class timer;
    friend class deferred;
    struct corpse {
        void* object;
        void (*destroy)(void*);
    };

    void apply_interest();
    instant next_deadline(instant limit) const noexcept;
    void collect(instant deadline);
    void run_posts();
    void run_timers();
    void dispatch();
    void run_deferred();
    void bury();
    void count_spin();

    std::unique_ptr<poller> waits_;
    instant now_;
    block_pool blocks_;
    std::uint64_t turns_ = 0;
    bool turning_ = false;

    intrusive_list<io_watch, &io_watch::changed_> changed_;
    std::vector<poll_event> ready_;
    std::size_t open_watches_ = 0;
    min_heap<timer, timer::earlier, &timer::heap_index_> timers_;
    std::uint64_t timers_armed_ = 0;  // ever; the next timer's order
    intrusive_list<deferred, &deferred::hook_> deferred_;
    std::vector<corpse> retired_;

    // The spin detector's, unused in a release build.
    std::uint64_t spins_ = 0;
    instant spinning_since_;
    fd_type last_fd_ = no_fd;  // whose watch was called last; no_fd: it was a deferred call

    std::atomic<bool> stopped_{false};
    std::mutex posts_lock_;
    std::atomic<bool> posted_{false};           // posts_ is not empty; saves a turn the lock
    std::vector<std::function<void()>> posts_;  // guarded by posts_lock_
    std::vector<std::function<void()>> taken_;  // those of this turn
};

}  // namespace libp
