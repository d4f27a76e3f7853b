#include <libp/assert.h>
#include <libp/random.h>
#include <libp/stripe/wire.h>

#include "stripe/node_state.h"

#include <algorithm>
#include <utility>

namespace libp::stripe {
namespace {

// How many ended sessions are remembered, so that they stay ended.
constexpr std::size_t ended_remembered = 256;
// As many as a browser opens at once, nearly.
constexpr std::size_t streams_ahead = 4;
// How long a pipe that we closed may take to be gone, while the node goes on, and how many may. The
// oldest goes for one more, of those that were refused if there are any; where there are none a
// refusal is not said. Strangers do not cost a session its goodbye.
constexpr duration parting_limit = 5s;
constexpr std::size_t most_parting = 256;

// What all subflows together may have of frames that have not come whole, out of a node's memory.
std::size_t most_unfinished(const node_options& options) noexcept {
    return std::max(options.memory_budget / 16, 8 * std::size_t(options.engine.max_frame));
}

}  // namespace

node::core::core(event_loop& l, const log& o, const node_options& opts, stream_handler h)
    : loop(l),
      out(o),
      options(opts),
      handler(h),
      scheduler(opts.engine.scheduler),
      shares(opts.memory_budget, opts.max_sessions),
      close_limit(l, delegate<void()>::to<&core::on_close_limit>(*this)),
      chores(l, delegate<void()>::to<&core::on_chores>(*this)) {
    check(opts.max_subflows <= 64, "a session has at most 64 subflows");
    who.node_id = opts.node_id;
    if (who.node_id == decltype(who.node_id){}) fill_random(who.node_id);
    take_new_instance();
}

void node::core::take_new_instance() noexcept {
    fill_random(who.instance);
}

// -- sessions -------------------------------------------------------------------------------------

session* node::core::find(const session_key& key) noexcept {
    for (const auto& s : sessions)
        if (!s->over() && s->key() == key) return s.get();
    return nullptr;
}

// For one more session. One that waits for subflows and has nothing to wait for makes way, the
// oldest first.
bool node::core::make_place() {
    if (shares.available()) return true;
    const auto idle = [](const auto& s) { return !s->over() && s->vacant(); };
    const auto at = std::ranges::find_if(sessions, idle);
    if (at == sessions.end()) return false;
    replacing = true;
    (*at)->end({reason::limit});
    replacing = false;
    return true;
}

// The newest that can carry a new stream now.
session* node::core::usable() noexcept {
    for (auto at = sessions.rbegin(); at != sessions.rend(); ++at)
        if (!(*at)->over() && !(*at)->leaving() && (*at)->subflows() > 0) return at->get();
    return nullptr;
}

session& node::core::begin_session(const joining_pipe& first) {
    const handshake& h = first.greeting();
    session_options s;
    s.share = shares.take();
    s.resume = options.resume;
    s.peer_identity = first.pipe().peer_identity();
    s.engine = options.engine;
    s.engine.scheduler = scheduler;
    s.engine.even = h.even();
    s.engine.max_frame = std::min(h.own().max_frame, h.peer().max_frame);
    s.engine.datagrams =
        options.engine.datagrams && (h.peer().features & wire::feature::datagrams) != 0;
    s.engine.peer_initial_credit = h.peer().initial_credit;
    s.engine.memory_budget = s.share / 2;
    s.engine.streams_ahead = handler ? streams_ahead : 0;
    // What our HELLO promised every stream has to fit, into the half that windows leave free for
    // newcomers.
    const std::size_t fit = std::max<std::uint64_t>(
        1, s.engine.memory_budget / 2 / std::max<std::uint64_t>(s.engine.own_initial_credit, 1));
    s.engine.max_streams = static_cast<std::uint32_t>(
        std::min<std::size_t>({h.own().max_streams, h.peer().max_streams, fit}));
    sessions.push_back(
        std::make_unique<session>(loop, out, *this, handler, h.key(), h.peer().who, s));
    return *sessions.back();
}

// The peer's new process knows nothing of the old session: there is nobody whom a new instance
// would tell. The session that is about to begin has ours as it stands.
void node::core::end_restarted(const joining_pipe& by) {
    const identity& peer = by.greeting().peer().who;
    const std::string identity = by.pipe().peer_identity();
    replacing = true;
    for (std::size_t i = 0; i < sessions.size(); ++i)
        if (sessions[i]->is_before(peer, identity)) sessions[i]->end({reason::peer_restarted});
    replacing = false;
}

// The peer has ended it and takes no more of it. It needs no less to say so than to join, and to
// break the session from within.
void node::core::end_lost(const joining_pipe& by, error why) {
    session* s = find(by.greeting().key());
    if (s && s->peer_identity() == by.pipe().peer_identity()) s->end(why);
}

// Where both ends took the end of a session for the other's goodbye, neither has a new instance
// since, and they would refuse each other for ever. Whoever dials begins anew; at a stranger's word
// that would disturb those who shake hands.
void node::core::begin_anew(joining_pipe& after) {
    const bool current = after.origin().owner && after.greeting().own().who == who;
    if (current && std::ranges::all_of(sessions, &session::over)) take_new_instance();
}

void node::core::see_off(parting_pipes& with, std::unique_ptr<io_pipe> pipe, chain rest) {
    if (!closing && parting.size() + refused.size() >= most_parting) {
        parting_pipes& from = refused.empty() ? with : refused;
        if (from.empty()) {
            pipe->reset();
            return loop.retire(std::move(pipe));
        }
        from.erase(from.begin());
    }
    with.push_back(std::make_unique<parting_pipe>(loop, std::move(pipe), std::move(rest),
                                                  parting_limit,
                                                  parting_pipe::gone::to<&core::on_parted>(*this)));
}

void node::core::on_parted(parting_pipe& p) {
    for (parting_pipes* all : {&parting, &refused}) {
        const auto at = std::ranges::find(*all, &p, [](const auto& q) { return q.get(); });
        if (at == all->end()) continue;
        loop.retire(std::move(*at));
        all->erase(at);
        return chores.schedule();
    }
}

void node::core::session_over(session& which) {
    shares.give_back(which.share());
    ended.push_back(which.key());
    if (ended.size() > ended_remembered) ended.pop_front();
    const auto alive = [](const auto& s) { return !s->over(); };
    // Whoever has said goodbye does not come back with the same instance: no new one of ours has to
    // tell him, and those who shake hands just now have been told the old.
    if (!replacing && !which.leaving() && std::ranges::none_of(sessions, alive))
        take_new_instance();
    chores.schedule();
}

// The session's share goes to the next one, so what outlives it is bounded by itself: a peer may
// come, leave bytes that nobody reads, and come again.
void node::core::completed(striped_stream& s, chain unread) {
    const std::size_t most = options.memory_budget / 8;
    if (kept_unread + unread.size() > most && kept_counted_in != loop.turns()) {
        kept_counted_in = loop.turns();
        kept_unread = 0;
        for (striped_stream* other = outliving.front(); other; other = outliving.next(*other))
            kept_unread += other->unread();
    }
    if (kept_unread + unread.size() > most) return s.on_broken({reason::limit}, {});
    s.on_completed(std::move(unread));
    kept_unread += s.unread();
    if (s.unread() > 0) outliving.push_back(s);
}

// An honest subflow's frame is whole within milliseconds, and of a size that suits its rate. Of
// those that seem not to go on it is whose session has most of such that goes: one peer's many
// subflows do not cost another's.
void node::core::unfinished_changed(std::size_t was, std::size_t is) {
    unfinished = unfinished - was + is;
    if (is < was) return;
    while (unfinished > most_unfinished(options)) {
        const auto most =
            std::ranges::max_element(sessions, {}, [](const auto& s) { return s->unfinished(); });
        check(most != sessions.end() && (*most)->unfinished() > 0,
              "unfinished bytes are miscounted");
        (*most)->lose_most_unfinished();
    }
}

void node::core::on_chores() {
    if (closing) {
        for (const auto& s : sessions)
            s->close();
    }
    for (auto& s : sessions)
        if (s->over()) loop.retire(std::move(s));
    std::erase(sessions, nullptr);
    if (!closing || !sessions.empty() || !parting.empty()) return;
    close_limit.cancel();
    if (closed) std::exchange(closed, delegate<void()>{})();
}

void node::core::on_close_limit() {
    for (const auto& s : sessions)
        s->end({reason::local_abort});
    // At once: retired, they might still hear of their peers in this turn and call on_parted().
    parting.clear();
    chores.schedule();
}

// -- streams that wait for a session --------------------------------------------------------------

void node::core::open_waiting() {
    session* s = usable();
    if (!s) return;
    while (striped_stream* waiter = waiting.pop_front())
        s->open(*waiter, waiter->request());
}

// -- the public face ------------------------------------------------------------------------------

node::node(event_loop& loop, const log& out, const node_options& options, stream_handler streams)
    : core_(std::make_unique<core>(loop, out, options, streams)) {}

node::~node() {
    while (striped_stream* s = core_->waiting.pop_front())
        s->on_broken({reason::local_abort}, {});
}

void node::adopt(std::unique_ptr<io_pipe> pipe, std::string path, subflow_owner* owner,
                 std::uint64_t token) {
    adopt(std::move(pipe), subflow_path{.name = std::move(path)}, owner, token);
}

void node::adopt(std::unique_ptr<io_pipe> pipe, subflow_path path, subflow_owner* owner,
                 std::uint64_t token) {
    core& c = *core_;
    const bool full = !owner && !c.make_room();
    if (path.name.empty()) path.name = describe(*pipe);
    const hello own = c.own_hello(path);
    std::string route = path.name;
    c.joining.push_back(std::make_unique<joining_pipe>(
        c.loop, c, std::move(pipe), own,
        subflow_origin{std::move(path), owner, token, std::move(route)},
        c.options.handshake_timeout));
    if (c.closing)
        c.joining.back()->doom({reason::local_abort});
    else if (full)
        c.joining.back()->doom({reason::limit});
}

void node::forget_owner(subflow_owner& owner) {
    for (const auto& j : core_->joining)
        if (j->origin().owner == &owner) j->origin().owner = nullptr;
    for (const auto& s : core_->sessions)
        s->forget_owner(owner);
}

void node::drop(const subflow_owner& owner, std::uint64_t token) {
    for (const auto& s : core_->sessions)
        if (!s->over()) s->drop(owner, token);
}

std::uint64_t node::carried() const {
    std::uint64_t n = 0;
    for (const auto& s : core_->sessions)
        if (!s->over()) n += s->carried();
    return n;
}

std::unique_ptr<stream_pipe> node::open_stream(const open_request& request, duration wait) {
    core& c = *core_;
    auto s = std::make_unique<striped_stream>(c.loop, request);
    if (c.closing) {
        s->on_broken({reason::local_abort}, {});
        return s;
    }
    s->ask(request, wait, c.trouble);
    if (session* on = c.usable()) {
        on->open(*s, request);
    } else {
        c.waiting.push_back(*s);
        if (c.want) c.want();
    }
    return s;
}

bool node::in_use() const {
    return !core_->waiting.empty() || open_streams() > 0;
}

void node::on_want(delegate<void()> call) {
    core_->want = call;
}

void node::on_silence(delegate<void()> call) {
    core_->silence = call;
}

void node::connect_failed(error why, bool for_good) {
    core_->trouble = why;
    if (!for_good) return;
    while (striped_stream* s = core_->waiting.pop_front())
        s->on_broken(why, {});
}

void node::close(delegate<void()> done, duration limit) {
    core& c = *core_;
    c.closing = true;
    c.closed = done;
    while (striped_stream* s = c.waiting.pop_front())
        s->on_broken({reason::local_abort}, {});
    for (const auto& j : c.joining)
        j->doom({reason::local_abort});
    c.close_limit.arm(std::min(c.close_limit.due(), saturating_add(c.loop.now(), limit)));
    c.chores.schedule();
}

void node::set_scheduler(scheduler by) {
    core_->scheduler = by;
    for (const auto& s : core_->sessions)
        s->set_scheduler(by);
}

bool node::set_scheduler(std::uint32_t session, scheduler by) {
    bool any = false;
    for (const auto& s : core_->sessions) {
        if (s->over() || s->number() != session) continue;
        s->set_scheduler(by);
        any = true;
    }
    return any;
}

std::vector<subflow_info> node::subflows() const {
    std::vector<subflow_info> all;
    for (const auto& s : core_->sessions)
        if (!s->over()) s->list_subflows(all);
    return all;
}

std::size_t node::sessions() const {
    const auto alive = [](const auto& s) { return !s->over(); };
    return static_cast<std::size_t>(std::ranges::count_if(core_->sessions, alive));
}

std::size_t node::open_streams() const {
    std::size_t n = 0;
    for (const auto& s : core_->sessions)
        n += s->streams();
    return n;
}

bool node::flushed() const {
    return std::ranges::all_of(core_->sessions, [](const auto& s) { return s->flushed(); });
}

}  // namespace libp::stripe
