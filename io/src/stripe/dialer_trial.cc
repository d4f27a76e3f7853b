// Subflows that are dealt anew, on trial: counted before, given time to settle, counted after.

#include "stripe/dialer_state.h"
#include "stripe/redeal.h"

#include <algorithm>

namespace libp::stripe {

// With less in a trial's time there is nothing to judge it by.
constexpr double least_carried = 64 * kib;

std::vector<std::pair<dialer::core::route*, dialer::core::route*>> dialer::core::possible_deals() {
    std::vector<dealt_path> now;
    for (const route& r : routes) {
        dealt_path d{.fixed = r.path.subflows > 0,
                     .keeps = loop.now() < r.gives_again_at,
                     .rank = r.path.rank};
        for (const auto& p : places) {
            if (&p->over != &r || p->now != phase::up || p->leaving) continue;
            ++d.up;
            if (p->limit == subflow_limit::window) ++d.window;
            if (p->limit == subflow_limit::path) ++d.path;
        }
        now.push_back(d);
    }
    std::vector<std::pair<route*, route*>> found;
    for (const auto& [from, over] : redeal(now))
        found.emplace_back(&routes[from], &routes[over]);
    return found;
}

void dialer::core::consider_deals() {
    if (stopped || trial_now != trial::none || !deals.empty()) return;
    if (possible_deals().empty()) {
        // Nobody says again what holds, so who gave in vain is asked again when it may give.
        instant again = never;
        for (const route& r : routes)
            if (r.gives_again_at > loop.now()) again = std::min(again, r.gives_again_at);
        if (again != never) trial_due.arm(again);
        return;
    }
    trial_now = trial::before;
    carried = to.carried();
    trial_due.arm_in(options.trial);
}

void dialer::core::on_trial() {
    const std::uint64_t total = to.carried();
    const double rate =
        static_cast<double>(total - std::min(total, carried)) / seconds(options.trial);
    carried = total;
    switch (std::exchange(trial_now, trial::none)) {
        case trial::none:
            return consider_deals();
        case trial::before:
            // Where all is idle this ends: who sends again is judged again (limit_judge.h).
            if (rate == 0) return;
            if (rate * seconds(options.trial) < least_carried) {
                trial_now = trial::before;
                break;
            }
            rate_before = rate;
            for (const auto& [from, over] : possible_deals())
                make(*from, *over, "congestion windows hold it back");
            if (deals.empty()) return consider_deals();  // those who could give cannot any more
            trial_now = trial::settling;
            break;
        case trial::settling:
            trial_now = trial::after;
            break;
        case trial::after:
            judge(rate);
            return consider_deals();
    }
    trial_due.arm_in(options.trial);
}

// One more over `over`; when that is up, one less over `from`.
void dialer::core::make(route& from, route& over, const char* why) {
    const auto gives = std::ranges::find_if(places, [&](const auto& p) {
        const auto leaves_already = [&](const deal& d) { return d.leaves == p.get(); };
        return &p->over == &from && p->now == phase::up && !p->leaving && p.get() != from.spare &&
               std::ranges::none_of(deals, leaves_already);
    });
    if (gives == places.end()) return;
    place& leaves = **gives;
    place& comes = vacant_place(over);
    deals.push_back({&comes, &leaves});
    const auto coming = std::ranges::count_if(
        deals, [&](const deal& d) { return &d.comes->over == &over && d.comes->now != phase::up; });
    out.write(log_level::info, "path",
              {{"name", over.path.name},
               {"state", "dealt"},
               {"subflows", over.up + static_cast<std::size_t>(coming)},
               {"from", from.path.name},
               {"why", why}});
    comes.wait = options.first_wait;
    enqueue(comes);
}

bool dialer::core::is_newcomer(const place& p) const noexcept {
    return std::ranges::any_of(deals, [&p](const deal& d) { return d.comes == &p && !d.made; });
}

void dialer::core::give_up(place& p) {
    if (p.now == phase::waiting && !probes(p)) {
        p.due.cancel();
        p.now = phase::stopped;
        return;
    }
    p.leaving = true;
    if (p.now == phase::up) to.drop(owner, p.token);
}

// If what was to leave has died meanwhile, it is being dialled again, and the newcomer is one too
// many.
void dialer::core::leave_for(place& p) {
    const auto at =
        std::ranges::find_if(deals, [&p](const deal& d) { return d.comes == &p && !d.made; });
    if (at == deals.end()) return;
    at->made = at->leaves->now == phase::up && !at->leaves->leaving;
    give_up(at->made ? *at->leaves : p);
    if (!at->made || trial_now == trial::none) deals.erase(at);
    consider_deals();  // after the last one that was undone
}

void dialer::core::judge(double rate) {
    const std::vector<deal> tried = std::exchange(deals, {});
    for (const deal& d : tried) {
        if (!d.made) {
            give_up(*d.comes);  // it did not come up in all that time
        } else if (rate < rate_before) {
            d.leaves->over.gives_again_at = loop.now() + options.no_trial;
            make(d.comes->over, d.leaves->over, "all paths together carried less without");
        }
    }
}

}  // namespace libp::stripe
