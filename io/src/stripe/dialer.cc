#include <libp/assert.h>
#include <libp/random.h>
#include <libp/stripe/dialer.h>

#include "stripe/dialer_state.h"

#include <algorithm>
#include <utility>

namespace libp::stripe {
namespace {

constexpr std::size_t connects_at_once = 4;
// A subflow that was up for this many first waits has lived: what ended it says nothing about
// dialling again.
constexpr int first_waits_to_live = 10;
// Of a path whose subflows have come up and not lived more often than this, in a row, one that is
// up is no sign that others are welcome.
constexpr unsigned most_died_young = 4;

duration life(const dialer_options& options) noexcept {
    return options.first_wait * first_waits_to_live;
}

// Whether another try may end otherwise. A peer that hangs up on a handshake may be busy, full, or
// beginning anew; the rest is as it is.
bool may_pass(reason why) noexcept {
    return why == reason::peer_reset || why == reason::truncated || why == reason::session_lost ||
           why == reason::self_connect || why == reason::limit;
}

}  // namespace

std::vector<std::size_t> deal_subflows(const std::vector<path>& paths, std::size_t subflows) {
    std::vector<std::size_t> counts;
    std::size_t dealt = 0;
    for (const path& p : paths) {
        counts.push_back(std::max<std::size_t>(p.subflows, 1));
        dealt += counts.back();
    }
    const bool all_fixed = std::ranges::all_of(paths, [](const path& p) { return p.subflows > 0; });
    for (; dealt < subflows && !all_fixed; ++dealt) {
        // To whom one more is due most (D'Hondt); the first of equals.
        std::size_t best = paths.size();
        for (std::size_t i = 0; i < paths.size(); ++i) {
            if (paths[i].subflows > 0) continue;
            if (best == paths.size() ||
                paths[i].weight * (counts[best] + 1) > paths[best].weight * (counts[i] + 1))
                best = i;
        }
        ++counts[best];
    }
    return counts;
}

dialer::core::core(event_loop& l, resolver& r, node& n, const log& o, std::vector<path> paths,
                   const dialer_options& opts, dialer& self)
    : loop(l),
      names(r),
      to(n),
      out(o),
      options(opts),
      owner(self),
      trial_due(l, delegate<void()>::to<&core::on_trial>(*this)) {
    check(!paths.empty(), "a dialer needs a path");
    std::uint32_t seed = 0;
    fill_random({reinterpret_cast<std::uint8_t*>(&seed), sizeof seed});
    random.seed(seed);
    add_routes(std::move(paths));
    add_places();
}

void dialer::core::add_routes(std::vector<path> paths) {
    for (path& p : paths) {
        check(p.weight > 0, "a path without weight");
        const bool announced = !p.name.empty() || paths.size() > 1;
        if (p.name.empty()) p.name = p.to.to_string();
        const auto same = [&](const route& r) { return r.path.name == p.name; };
        if (std::ranges::any_of(routes, same)) p.name += "#" + std::to_string(routes.size() + 1);
        routes.push_back({.path = std::move(p), .announced = announced});
    }
}

// In turn over the paths, so that the first of each is dialled before the second of any.
void dialer::core::add_places() {
    std::vector<path> paths;
    for (const route& r : routes)
        paths.push_back(r.path);
    const std::vector<std::size_t> counts = deal_subflows(paths, options.subflows);
    for (std::size_t round = 0; round < *std::ranges::max_element(counts); ++round)
        for (std::size_t i = 0; i < routes.size(); ++i)
            if (round < counts[i])
                places.push_back(std::make_unique<place>(*this, routes[i], places.size()));
}

// Uniform in three to five quarters of `d`.
duration dialer::core::jittered(duration d) {
    const double share = static_cast<double>(random() - random.min()) /
                         static_cast<double>(random.max() - random.min());
    return duration(
        static_cast<duration::rep>(static_cast<double>(d.count()) * (0.75 + share / 2)));
}

void dialer::core::enqueue(place& p) {
    p.due.cancel();
    p.now = phase::queued;
    queue.push_back(&p);
    launch();
}

void dialer::core::launch() {
    while (under_way < connects_at_once && !queue.empty()) {
        place& p = *queue.front();
        queue.pop_front();
        if (p.over.down() && p.over.spare != &p) {
            if (p.over.probe && p.over.probe != &p) {
                p.now = phase::waiting;
                continue;
            }
            p.over.probe = &p;
        }
        dial(p);
    }
}

void dialer::core::dial(place& p) {
    ++under_way;
    p.now = phase::connecting;
    out.write(log_level::debug, "path", {{"name", p.over.path.name}, {"state", "dialling"}});
    connector_options c = options.connect;
    c.socket = p.over.path.socket;
    if (p.over.has_worked) c.connect_within = options.redial_timeout;
    if (!p.over.path.congestion_control.empty())
        c.tcp.congestion_control = p.over.path.congestion_control;
    p.connecting = std::make_unique<io_connector>(loop, names, p.over.path.to, c,
                                                  io_connector::done::to<&place::on_connected>(p));
}

void dialer::core::connected(place& p, result<std::unique_ptr<io_pipe>> r) {
    loop.retire(std::move(p.connecting));
    --under_way;
    if (r) {
        p.now = phase::joining;
        const route& over = p.over;
        std::unique_ptr<io_pipe> pipe = *std::move(r);
        if (over.path.tls)
            pipe = make_tls_pipe(loop, std::move(pipe), *over.path.tls, over.path.tls_options);
        to.adopt(std::move(pipe),
                 subflow_path{.name = over.path.name,
                              .rank = over.path.rank,
                              .announced = over.announced,
                              .payload_crc = over.path.payload_crc},
                 &owner, p.token);
    } else {
        failed(p, r.error());
    }
    launch();
}

void dialer::core::ready(place& p) {
    p.now = phase::up;
    p.up_since = loop.now();
    p.limit = subflow_limit::unknown;
    route& over = p.over;
    ++over.up;
    over.has_worked = true;
    over.failure = {};
    over.probe = nullptr;
    if (std::exchange(over.failing, false))
        out.write(log_level::info, "path", {{"name", over.path.name}, {"state", "up"}});
    if (p.leaving)
        give_up(p);
    else
        leave_for(p);
    if (over.up > 1 || stopped) return;
    for (const auto& other : places) {
        if (&other->over != &over || other->now != phase::waiting) continue;
        if (over.died_young <= most_died_young) {
            other->wait = options.first_wait;
            enqueue(*other);
        } else if (!other->due.armed()) {
            other->due.arm_in(life(options));
        }
    }
}

void dialer::core::gone(place& p, error why) {
    const bool was_up = p.now == phase::up;
    if (was_up) --p.over.up;
    if (was_up && std::exchange(p.leaving, false)) {
        p.now = phase::stopped;
        return;
    }
    const bool lived = was_up && loop.now() - p.up_since >= life(options);
    if (was_up) p.over.died_young = lived ? 0 : p.over.died_young + 1;
    place*& spare = p.over.spare;
    if (spare && (spare == &p || (spare->now == phase::up && !is_newcomer(p)))) {
        // It has served, or takes the place of this one, which is the spare from now on.
        p.now = phase::stopped;
        spare = &p;
        return;
    }
    if (!lived) return failed(p, why);
    p.wait = options.first_wait;
    if (stopped)
        p.now = phase::stopped;
    else
        enqueue(p);
}

void dialer::core::failed(place& p, error why) {
    if (stopped || p.over.spare == &p) {
        p.now = phase::stopped;
        return;
    }
    route& over = p.over;
    p.now = phase::waiting;
    over.failure = why;
    over.hopeless = over.hopeless || !may_pass(why.why);
    to.connect_failed(why, options.one_shot && hopeless());
    // Tried again and again: the same once more is no news.
    out.write(std::exchange(over.failing, true) ? log_level::debug : log_level::warn, "path",
              {{"name", over.path.name}, {"state", "failing"}, {"why", libp::to_string(why)}});
    if (p.leaving && !probes(p)) {
        p.leaving = false;
        p.now = phase::stopped;
        return;
    }
    p.failed_at = loop.now();
    duration longest = options.longest_wait;
    if (over.down()) {
        if (!probes(p)) return;
        over.probe = &p;
        if (to.in_use()) longest = std::min(longest, options.longest_wait_in_use);
    }
    // With its jitter the longest wait is just that.
    p.due.arm_in(jittered(std::min(p.wait, longest * 4 / 5)));
    p.wait = std::min(p.wait * 2, options.longest_wait);
}

// Whether it is the one that tries where nothing comes through.
bool dialer::core::probes(const place& p) const noexcept {
    return p.over.down() && (!p.over.probe || p.over.probe == &p);
}

// Every path was tried for whoever waits, and nothing is under way any more.
bool dialer::core::hopeless() const noexcept {
    const auto idle = [](const auto& p) {
        return p->now == phase::waiting || p->now == phase::queued || p->now == phase::stopped;
    };
    return std::ranges::all_of(routes, &route::hopeless) && std::ranges::all_of(places, idle);
}

// Somebody waits: what failed a while ago is tried again now, and the rest soon.
void dialer::core::hurry() {
    for (route& r : routes)
        r.hopeless = false;
    if (stopped) return;
    for (const auto& p : places) {
        if (p->now != phase::waiting || !p->due.armed() || !p->over.down()) continue;
        const instant soon = p->failed_at + options.longest_wait_in_use;
        p->wait = std::min(p->wait, options.longest_wait_in_use);
        if (soon < p->due.due()) p->due.arm(soon);
    }
}

// Nothing answers on what is up. Those may yet come back; a new connection may come through at
// once.
void dialer::core::dial_spares() {
    if (stopped) return;
    for (route& r : routes) {
        if (r.up == 0) continue;
        if (!r.spare) r.spare = &vacant_place(r);
        if (r.spare->now == phase::stopped) enqueue(*r.spare);
    }
}

dialer::core::place& dialer::core::vacant_place(route& r) {
    for (const auto& p : places)
        if (&p->over == &r && p->now == phase::stopped && p.get() != r.spare) return *p;
    places.push_back(std::make_unique<place>(*this, r, places.size()));
    places.back()->now = phase::stopped;
    return *places.back();
}

dialer::dialer(event_loop& loop, resolver& names, node& to, const log& out, std::vector<path> paths,
               const dialer_options& options)
    : core_(std::make_unique<core>(loop, names, to, out, std::move(paths), options, *this)) {
    to.on_want(delegate<void()>::to<&core::hurry>(*core_));
    to.on_silence(delegate<void()>::to<&core::dial_spares>(*core_));
    for (const auto& p : core_->places)
        core_->enqueue(*p);
}

dialer::~dialer() {
    core_->to.forget_owner(*this);
    core_->to.on_want({});
    core_->to.on_silence({});
}

void dialer::retry_now() {
    if (core_->stopped) return;
    for (const auto& p : core_->places) {
        p->wait = core_->options.first_wait;
        if (p->now == core::phase::waiting) core_->enqueue(*p);
    }
}

void dialer::stop() {
    core_->stopped = true;
    core_->trial_due.cancel();
    core_->queue.clear();
    for (const auto& p : core_->places) {
        if (p->now == core::phase::up || p->now == core::phase::joining) continue;
        if (p->now == core::phase::connecting) --core_->under_way;
        p->due.cancel();
        p->connecting.reset();
        p->now = core::phase::stopped;
    }
}

std::size_t dialer::up() const {
    return static_cast<std::size_t>(std::ranges::count_if(
        core_->places, [](const auto& p) { return p->now == core::phase::up; }));
}

std::vector<error> dialer::failures() const {
    std::vector<error> all;
    for (const core::route& r : core_->routes)
        all.push_back(r.failure);
    return all;
}

void dialer::subflow_ready(std::uint64_t token) {
    core_->ready(*core_->places[token]);
}

void dialer::subflow_limited(std::uint64_t token, subflow_limit limit) {
    core_->places[token]->limit = limit;
    core_->consider_deals();
}

void dialer::subflow_gone(std::uint64_t token, error why) {
    core_->gone(*core_->places[token], why);
}

}  // namespace libp::stripe
