// A session's subflows: how they come and go, what their owners and the log hear of them, and what
// is seen of their paths.

#include "stripe/session.h"

#include <libp/crc32c.h>

#include <algorithm>
#include <utility>

namespace libp::stripe {
namespace {

// How many subflows that died are remembered for tables.
constexpr std::size_t dead_remembered = 64;
// How often, at most, input makes it look whether paths have changed.
constexpr duration look_interval = 10ms;
// What all subflows together owe an answer for that long, and say nothing, is a silent session.
constexpr duration silent_after = 3s;
constexpr duration silent_again = 2s;

}  // namespace

const char* end_of_subflow(error why, bool dialled) noexcept {
    if (const char* known = end_word(why.why)) return known;
    if (why.why == reason::local_abort) return "ok";
    return dialled ? "upstream_rst" : "client_rst";
}

const char* name_of(subflow_state state) noexcept {
    switch (state) {
        case subflow_state::good:
            return "up";
        case subflow_state::suspect:
            return "suspect";
        case subflow_state::stale:
            break;
    }
    return "stale";
}

bool session::has_subflow(subflow_id id) const noexcept {
    const auto same = [id](const auto& s) { return s->id() == id; };
    const auto was = [id](const subflow_info& s) { return s.id == id; };
    return std::ranges::any_of(subflows_, same) || std::ranges::any_of(dead_, was);
}

void session::join(subflow_id id, joining_pipe::parts parts, subflow_origin origin) {
    resume_.cancel();
    chain first = std::move(parts.received);
    const duration rtt = parts.rtt;
    subflows_.push_back(
        std::make_unique<subflow_driver>(loop_, *this, id, std::move(parts), std::move(origin)));
    subflow_driver& s = *subflows_.back();
    if (may_log(s))
        log_.write(
            log_level::info, "subflow",
            {{"id", hex8(id)}, {"session", hex8(number_)}, {"path", s.path()}, {"state", "up"}});
    engine_.subflow_up(id,
                       {.payload_crc = s.origin().path.payload_crc,
                        .rank = s.origin().path.rank,
                        .rtt = rtt,
                        .path = crc32c(0, bytes_of(s.route()))},
                       loop_.now());
    s.start(std::move(first));
    later();
    if (subflow_owner* owner = s.origin().owner) owner->subflow_ready(s.origin().token);
}

void session::lose(subflow_driver& s, error why) {
    if (s.dead()) return;
    // One that ends behind the peer's goodbye was said goodbye to.
    bury_stats(s, why.why == reason::peer_reset && engine_.peer_leaves() ? error{} : why);
    engine_.subflow_down(s.id(), loop_.now());
    s.die(why);
    later();
}

void session::bury_stats(subflow_driver& s, error why) {
    const subflow_stats stats = engine_.stats(s.id());
    sent_ += stats.sent_bytes;
    received_ += stats.received_bytes;
    if (dead_.size() == dead_remembered) dead_.erase(dead_.begin());
    dead_.push_back({s.id(), s.path(), stats, number_, false});
    if (!may_log(s)) return;
    write_end(why, [&](auto&&... words) {
        log_.write(log_level::info, "subflow",
                   {{"id", hex8(s.id())},
                    {"session", hex8(number_)},
                    {"path", s.path()},
                    {"state", "down"},
                    {"end", end_of_subflow(why, s.origin().owner != nullptr)},
                    {"sent", stats.sent_bytes},
                    {"received", stats.received_bytes},
                    {"resent", stats.resent},
                    {"dur", seconds(loop_.now() - s.since())},
                    words...});
    });
}

// Whoever dials bounds himself; strangers do not.
bool session::may_log(subflow_driver& s) {
    return s.origin().owner || keeper_.may_log_subflow();
}

void session::part_with(subflow_driver& s, error why, error told) {
    bury_stats(s, told);
    joining_pipe::parts rest = s.part(why);
    keeper_.part(std::move(rest.pipe), std::move(rest.unsent));
}

// Not by a reset: the confirmation that the peer waits for is on its way.
void session::leave(subflow_driver& s) {
    part_with(s, {reason::local_abort}, {reason::local_abort});
    engine_.subflow_down(s.id(), loop_.now());
    later();
}

// One at a time, because the owner may come back with another subflow or take an owner out.
void session::sweep() {
    const auto dead = [](const auto& s) { return s->dead(); };
    for (;;) {
        const auto at = std::ranges::find_if(subflows_, dead);
        if (at == subflows_.end()) return;
        std::unique_ptr<subflow_driver> s = std::move(*at);
        subflows_.erase(at);
        const subflow_origin& from = s->origin();
        if (from.owner) from.owner->subflow_gone(from.token, s->why());
        loop_.retire(std::move(s));
    }
}

void session::drop(const subflow_owner& owner, std::uint64_t token) {
    for (const auto& s : subflows_)
        if (s->origin().owner == &owner && s->origin().token == token)
            engine_.drain(s->id(), loop_.now());
    later();
}

compact_address session::peer_address() const noexcept {
    for (const auto& s : subflows_)
        if (!s->dead()) return s->origin().path.peer;
    return {};
}

void session::set_scheduler(scheduler by) {
    engine_.set_scheduler(by);
    later();
}

std::size_t session::unfinished() const noexcept {
    std::size_t n = 0;
    for (const auto& s : subflows_)
        n += s->unfinished();
    return n;
}

void session::lose_most_unfinished() {
    const auto most =
        std::ranges::max_element(subflows_, {}, [](const auto& s) { return s->unfinished(); });
    if (most != subflows_.end()) lose(**most, {reason::limit});
}

std::uint64_t session::carried() const {
    std::uint64_t n = sent_ + received_;
    for (const auto& s : subflows_) {
        if (s->dead()) continue;
        const subflow_stats stats = engine_.stats(s->id());
        n += stats.sent_bytes + stats.received_bytes;
    }
    return n;
}

void session::forget_owner(subflow_owner& owner) noexcept {
    for (const auto& s : subflows_)
        if (s->origin().owner == &owner) s->origin().owner = nullptr;
}

void session::on_subflow_limited(const event& e) {
    const auto at = std::ranges::find(subflows_, e.subflow, [](const auto& s) { return s->id(); });
    if (at == subflows_.end() || (*at)->dead()) return;
    const subflow_origin& from = (*at)->origin();
    if (!from.owner) return;
    // One that is limited in one direction is limited; nobody looks at a direction in which little
    // is sent.
    const subflow_stats stats = engine_.stats(e.subflow);
    const auto either = [&](subflow_limit l) { return stats.limit == l || stats.peer_limit == l; };
    subflow_limit limit = subflow_limit::unknown;
    if (either(subflow_limit::window))
        limit = subflow_limit::window;
    else if (either(subflow_limit::path))
        limit = subflow_limit::path;
    if (log_.on(log_level::trace))
        log_.write(log_level::trace, "subflow",
                   {{"id", hex8(e.subflow)},
                    {"session", hex8(number_)},
                    {"limited", limit == subflow_limit::window ? "window"
                                : limit == subflow_limit::path ? "path"
                                                               : "no"}});
    from.owner->subflow_limited(from.token, limit);
}

void session::look_at_paths() {
    look_again_at_ = loop_.now() + look_interval;
    std::vector<path_watch::sight> seen;
    bool owed = false;
    for (const auto& s : subflows_) {
        if (s->dead()) continue;
        seen.push_back({s->route(), engine_.stats(s->id()), loop_.now() - s->heard()});
        owed = owed || seen.back().stats.in_flight > 0;
    }
    paths_.look(seen, loop_.now());
    if (!owed)
        silence_.cancel();
    else if (!silence_.armed())
        silence_.arm_in(silent_after);
}

void session::on_silence() {
    instant heard = instant::min();
    bool owed = false;
    for (const auto& s : subflows_) {
        if (s->dead()) continue;
        heard = std::max(heard, s->heard());
        owed = owed || engine_.stats(s->id()).in_flight > 0;
    }
    if (!owed) return;
    const bool silent = loop_.now() - heard >= silent_after;
    silence_.arm(silent ? loop_.now() + silent_again : heard + silent_after);
    if (silent) keeper_.session_silent();
}

void session::list_subflows(std::vector<subflow_info>& to) const {
    for (const auto& s : subflows_)
        if (!s->dead()) to.push_back({s->id(), s->path(), engine_.stats(s->id()), number_, true});
    to.insert(to.end(), dead_.begin(), dead_.end());
}

}  // namespace libp::stripe
