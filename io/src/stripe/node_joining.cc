// Subflows on their way into a session: what both ends say of themselves, who may join what, and
// who makes room.

#include <libp/assert.h>
#include <libp/random.h>
#include <libp/stripe/wire.h>

#include "stripe/node_state.h"

#include <algorithm>
#include <utility>

namespace libp::stripe {
namespace {

// How long a handshake has before it may have to make room for another.
constexpr duration handshake_grace = 200ms;

}  // namespace

hello node::core::own_hello(const subflow_path& path) const {
    hello h;
    h.who = who;
    fill_random(h.nonce);
    h.max_frame = options.engine.max_frame;
    h.max_streams = options.engine.max_streams;
    h.initial_credit = options.engine.own_initial_credit;
    h.heartbeat_ms = static_cast<std::uint32_t>(options.engine.heartbeat / 1ms);
    if (options.engine.datagrams) h.features |= wire::feature::datagrams;
    h.rank = path.rank;
    if (path.announced) h.path = path.name.substr(0, wire::path_name_max);
    return h;
}

error node::core::hello_came(joining_pipe& j) {
    const handshake& h = j.greeting();
    const session_key key = h.key();
    if (h.own().who != who || std::ranges::find(ended, key) != ended.end())
        return {reason::session_lost};
    session* s = find(key);
    const std::string who_joins = j.pipe().peer_identity();
    if (s && s->peer_identity() != who_joins) return {reason::auth_failed};
    if (s && s->has_subflow(h.id())) return {reason::protocol_error};
    // Those that were accepted and have not heard the peer's READY count as if they were up.
    std::size_t subflows = s ? s->subflows() : 0;
    std::vector<session_key> begun;
    for (const auto& other : joining) {
        if (!other->accepted() || other->doomed()) continue;
        const session_key k = other->greeting().key();
        if (k == key && other->pipe().peer_identity() != who_joins) return {reason::auth_failed};
        if (k == key) ++subflows;
        if (k == key && other->greeting().id() == h.id()) return {reason::protocol_error};
        if (k != key && !find(k) && std::ranges::find(begun, k) == begun.end()) begun.push_back(k);
    }
    if (subflows >= options.max_subflows) return {reason::limit};
    if (s) {
        if (s->was_shared(j.since(), options.handshake_timeout)) j.goes_on();
        return {};
    }
    const auto taken = [&](const auto& other) {
        return !other->over() && !other->vacant() && !other->is_before(h.peer().who, who_joins);
    };
    const auto lasting = static_cast<std::size_t>(std::ranges::count_if(sessions, taken));
    if (lasting + begun.size() >= options.max_sessions) return {reason::limit};
    return {};
}

void node::core::shaken(joining_pipe& j) {
    const session_key key = j.greeting().key();
    session* s = find(key);
    // While it waited for READY the session may have ended, or others may have begun.
    if (std::ranges::find(ended, key) != ended.end() || j.greeting().own().who != who)
        return failed(j, {reason::session_lost});
    if (s && s->peer_identity() != j.pipe().peer_identity())
        return failed(j, {reason::auth_failed});
    if (!s && j.greeting().peer_goes_on()) {
        // We had it, and have forgotten that it ended. Behind READY: the peer's engine hears it.
        j.refuse({reason::session_lost});
        return failed(j, {reason::session_lost});
    }
    if (!s) {
        end_restarted(j);
        if (!make_place()) return failed(j, {reason::limit});
        s = &begin_session(j);
    }
    std::unique_ptr<joining_pipe> joined = take(j);
    trouble = {};
    learn_path(joined->origin().path, joined->origin().route, joined->greeting().peer());
    s->join(joined->greeting().id(), joined->take(), std::move(joined->origin()));
    loop.retire(std::move(joined));
    open_waiting();
}

void node::core::failed(joining_pipe& j, error why) {
    log_refusal(j.origin(), why);
    // While `j` is still listed: owners hear of it, and may take themselves out.
    if (why == error{reason::session_lost, by_peer}) end_lost(j, why);
    if (why.why == reason::session_lost) begin_anew(j);
    std::unique_ptr<joining_pipe> gone = take(j);
    const subflow_origin& from = gone->origin();
    joining_pipe::parts rest = gone->take();
    if (gone->greeting().refused()) {
        see_off(refused, std::move(rest.pipe), std::move(rest.unsent));
    } else {
        // At once, not at the end of the turn: the peer may be dialling again already.
        rest.pipe->reset();
        loop.retire(std::move(rest.pipe));
    }
    subflow_owner* owner = from.owner;
    const std::uint64_t token = from.token;
    loop.retire(std::move(gone));
    if (owner) owner->subflow_gone(token, why);
}

bool node::core::may_log(log_quota& quota, std::string_view topic, std::string_view state) {
    const auto [may, left_out] = quota.ask(loop.now());
    if (left_out > 0)
        out.write(log_level::info, topic,
                  {{"state", state}, {"count", left_out}, {"why", "not logged"}});
    return may;
}

// Whoever dials bounds himself; strangers do not. Nobody was refused where we left before it had
// begun.
void node::core::log_refusal(const subflow_origin& from, error why) {
    if (!from.owner && !may_log(refusals_logged, "subflow", "refused")) return;
    out.write(log_level::info, "subflow",
              {{"path", from.path.name},
               {"state", why.why == reason::local_abort ? "down" : "refused"},
               {"end", end_of_subflow(why, from.owner != nullptr)},
               {"why", to_string(why)}});
}

// What the peer says of a way that it dialled. Our own word counts where we dialled.
void node::core::learn_path(subflow_path& path, std::string& route, const hello& peer) {
    path.rank = std::max(path.rank, peer.rank);
    if (path.announced || peer.path.empty()) return;
    route = peer.path;
    path.name = peer.path + "@" + path.name;
}

std::unique_ptr<joining_pipe> node::core::take(joining_pipe& j) {
    const auto at = std::ranges::find(joining, &j, [](const auto& p) { return p.get(); });
    check(at != joining.end(), "a pipe joined twice");
    std::unique_ptr<joining_pipe> taken = std::move(*at);
    joining.erase(at);
    return taken;
}

// For one more handshake. Whoever connects and says nothing shall not keep others out for as long
// as he may stay. What we dialled ourselves is no stranger's: it neither needs room nor makes it.
bool node::core::make_room() {
    std::size_t shaking = 0;
    joining_pipe* oldest = nullptr;
    for (const auto& j : joining) {
        if (j->doomed() || j->origin().owner) continue;
        if (!oldest) oldest = j.get();
        ++shaking;
    }
    if (shaking < options.max_handshakes) return true;
    if (!oldest || loop.now() - oldest->since() < handshake_grace) return false;
    oldest->doom({reason::limit});
    return true;
}

}  // namespace libp::stripe
