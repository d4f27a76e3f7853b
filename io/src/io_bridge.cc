#include <libp/io_bridge.h>

#include <algorithm>
#include <utility>

#include "bridge_direction.h"

namespace libp {

// Invariants:
//  1. Unless it is over, the bridge waits for an edge of a pipe, or has deferred itself: a
//     direction stops for want of `readable` or `writable`, both of which are announced, or for
//     want of budget.
//  2. Once over, nothing is pumped and `done` is called by the deferred call, once.
struct io_bridge::core {
    core(event_loop& on, std::unique_ptr<io_pipe> first, std::unique_ptr<io_pipe> second,
         const bridge_options& wanted, delegate<void()> call);
    ~core();

    void on_pipe(io_flags risen);
    void on_later();
    void on_timer();

    void work();
    std::size_t window() const noexcept;
    bool pump(bridge_direction& direction, std::size_t& spent);
    void finish(bridge_side side, error why);

    bool half_closed() const noexcept;
    duration time_limit() const noexcept;
    void watch_time();

    event_loop& loop;
    bridge_options options;
    std::unique_ptr<io_pipe> a, b;
    bridge_direction a_to_b, b_to_a;
    std::size_t spent_a_to_b = 0, spent_b_to_a = 0;  // of the budget, in turn `spent_in`
    std::uint64_t spent_in = 0;
    instant last_moved;
    instant ready_at = never;
    deferred later;
    timer clock;
    delegate<void()> done;
    bridge_end end;
    bool over = false;
    bool lingering = false;  // the clock was set for `linger`
};

io_bridge::core::core(event_loop& on, std::unique_ptr<io_pipe> first,
                      std::unique_ptr<io_pipe> second, const bridge_options& wanted,
                      delegate<void()> call)
    : loop(on),
      options(wanted),
      a(std::move(first)),
      b(std::move(second)),
      a_to_b(*a, *b, wanted.splice),
      b_to_a(*b, *a, wanted.splice),
      last_moved(on.now()),
      later(on, delegate<void()>::to<&core::on_later>(*this)),
      clock(on, delegate<void()>::to<&core::on_timer>(*this)),
      done(call) {
    static_assert(sizeof(core) <= 408, "ten thousand idle connections are to cost nothing");
    a->attach(io_handler::to<&core::on_pipe>(*this));
    b->attach(io_handler::to<&core::on_pipe>(*this));
    if (options.idle > duration{0}) clock.arm_in(options.idle);
}

io_bridge::core::~core() {
    if (over) return;
    a->reset();
    b->reset();
}

void io_bridge::core::on_pipe(io_flags risen) {
    if (risen.has(io_flag::ready) && a->has(io_flag::ready) && b->has(io_flag::ready))
        ready_at = loop.now();
    if (!over) work();
}

void io_bridge::core::on_later() {
    if (!over) return work();
    done();
}

void io_bridge::core::work() {
    bool more_a_to_b = pump(a_to_b, spent_a_to_b);
    bool more_b_to_a = pump(b_to_a, spent_b_to_a);

    if (a->finished() && b->finished()) return finish(bridge_side::none, {});
    // A pipe that broke may still have had something to say; it has now, or the other cannot take
    // it.
    if (a->has(io_flag::broken) && !more_a_to_b) return finish(bridge_side::a, a->why());
    if (b->has(io_flag::broken) && !more_b_to_a) return finish(bridge_side::b, b->why());

    watch_time();
    if (more_a_to_b || more_b_to_a) later.schedule();
}

std::size_t io_bridge::core::window() const noexcept {
    const bool plenty = loop.blocks().in_use() < options.plenty;
    return plenty ? std::max(options.window, options.bulk_window) : options.window;
}

// True: only the budget kept it from moving more.
bool io_bridge::core::pump(bridge_direction& direction, std::size_t& spent) {
    // Several events of one turn share one budget.
    if (spent_in != loop.turns()) {
        spent_in = loop.turns();
        spent_a_to_b = spent_b_to_a = 0;
    }
    std::size_t left = options.budget > spent ? options.budget - spent : 0;
    bridge_direction::progress p = direction.pump(window(), left);
    spent += p.spent;
    if (p.moved) last_moved = loop.now();
    return p.more;
}

void io_bridge::core::finish(bridge_side side, error why) {
    over = true;
    end = {side, why};
    clock.cancel();
    if (why) {
        if (side != bridge_side::a) a->reset();
        if (side != bridge_side::b) b->reset();
    }
    later.schedule();
}

// -- time -----------------------------------------------------------------------------------------

bool io_bridge::core::half_closed() const noexcept {
    return a->has(io_flag::fin_wanted) || b->has(io_flag::fin_wanted);
}

// How long nothing may move, as things stand; 0: for ever.
duration io_bridge::core::time_limit() const noexcept {
    duration linger = half_closed() ? options.linger : duration{0};
    if (linger <= duration{0}) return options.idle;
    return options.idle > duration{0} ? std::min(options.idle, linger) : linger;
}

void io_bridge::core::watch_time() {
    if (lingering || !half_closed()) return;
    lingering = true;
    duration limit = time_limit();
    if (limit > duration{0}) clock.arm(std::min(clock.due(), saturating_add(last_moved, limit)));
}

void io_bridge::core::on_timer() {
    duration limit = time_limit();
    instant due = saturating_add(last_moved, limit);
    if (due > loop.now()) return clock.arm(due);
    bool idle = options.idle > duration{0} && limit == options.idle;
    finish(bridge_side::none, {idle ? reason::idle_timeout : reason::linger_timeout, 0});
}

// -- the interface --------------------------------------------------------------------------------

io_bridge::io_bridge(event_loop& loop, std::unique_ptr<io_pipe> a, std::unique_ptr<io_pipe> b,
                     const bridge_options& options, delegate<void()> done)
    : core_(std::make_unique<core>(loop, std::move(a), std::move(b), options, done)) {}

io_bridge::~io_bridge() = default;

void io_bridge::abort(error why) {
    if (core_->over) return;
    core_->finish(bridge_side::none, why ? why : error{reason::local_abort, 0});
}

bool io_bridge::over() const noexcept {
    return core_->over;
}

instant io_bridge::ready_at() const noexcept {
    return core_->ready_at;
}

const bridge_end& io_bridge::end() const noexcept {
    return core_->end;
}

std::uint64_t io_bridge::bytes_a_to_b() const noexcept {
    return core_->a_to_b.passed();
}

std::uint64_t io_bridge::bytes_b_to_a() const noexcept {
    return core_->b_to_a.passed();
}

std::size_t io_bridge::held() const noexcept {
    return core_->a_to_b.held() + core_->b_to_a.held();
}

const io_pipe& io_bridge::a() const noexcept {
    return *core_->a;
}

const io_pipe& io_bridge::b() const noexcept {
    return *core_->b;
}

}  // namespace libp
