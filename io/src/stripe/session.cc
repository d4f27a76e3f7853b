#include "stripe/session.h"

#include <libp/assert.h>
#include <libp/crc32c.h>
#include <libp/endian.h>

#include <algorithm>
#include <utility>

namespace libp::stripe {
namespace {

// Bytes that one pump() puts on all subflows together before others get their turn: this many batches for each.
constexpr std::size_t batches_per_pump = 4;
// How many subflows that died are remembered for tables.
constexpr std::size_t dead_remembered = 64;
// So many subflows that have drained may wait for their peers, each as long as its node lets it (node.cc).
constexpr std::size_t most_parted = 16;
constexpr duration parted_time = 5s;
// A session without streams has nothing to resume: it waits only for a client that is about to come back.
constexpr duration resume_when_idle = 5s;
// How often, at most, input makes it look whether paths have changed.
constexpr duration look_interval = 10ms;
// What all subflows together owe an answer for that long, and say nothing, is a silent session.
constexpr duration silent_after = 3s;
constexpr duration silent_again = 2s;

std::uint32_t number_of(const session_key& key) noexcept {
    std::uint32_t n = 0;
    for (const identity* end : {&key.low, &key.high})
        n ^= load_be32(end->node_id.data()) ^ load_be32(end->instance.data());
    return n ? n : 1;  // 0 is a stream's "no session"
}

// The words of a line that says how a session ended: cleanly, if nothing was cut.
const char* end_of_session(error why, bool cut) noexcept {
    if (const char* known = end_word(why.why)) return known;
    if (!cut) return "ok";
    return why.why == reason::local_abort ? "drain_cut" : "session_lost";
}

// ... in words too, where it was not this end's own doing.
void write_end(error why, auto&& write) {
    if (!why || why.why == reason::local_abort)
        write();
    else
        write(log_field("why", to_string(why)));
}

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

std::string hex8(std::uint32_t n) {
    constexpr char digits[] = "0123456789abcdef";
    std::string text(8, '0');
    for (std::size_t i = 8; i-- > 0; n >>= 4)
        text[i] = digits[n & 15];
    return text;
}

session::session(event_loop& loop, const log& out, keeper& by, node::stream_handler handler,
                 const session_key& key, const identity& peer, const session_options& options)
    : loop_(loop),
      log_(out),
      keeper_(by),
      handler_(handler),
      key_(key),
      peer_(peer),
      number_(number_of(key)),
      options_(options),
      since_(loop.now()),
      engine_(loop.blocks(), options.engine, loop.now()),
      paths_(out, hex8(number_)),
      pump_(loop, delegate<void()>::to<&session::on_pump>(*this)),
      timer_(loop, delegate<void()>::to<&session::on_timer>(*this)),
      resume_(loop, delegate<void()>::to<&session::on_resume_over>(*this)),
      silence_(loop, delegate<void()>::to<&session::on_silence>(*this)) {
    log_.write(log_level::info, "session", {{"id", hex8(number_)}, {"state", "up"}});
}

// Of a session that is over nothing is left to break; of one whose node dies, everything.
session::~session() {
    break_streams({reason::local_abort});
}

// -- subflows -------------------------------------------------------------------------------------

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
    log_.write(log_level::info, "subflow",
               {{"id", hex8(id)}, {"session", hex8(number_)}, {"path", s.path()}, {"state", "up"}});
    engine_.subflow_up(id,
                       {.payload_crc = options_.payload_crc && s.origin().path.payload_crc,
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

void session::part_with(subflow_driver& s, error why, error told) {
    bury_stats(s, told);
    joining_pipe::parts rest = s.part(why);
    keeper_.part(std::move(rest.pipe), std::move(rest.unsent));
}

// Not by a reset, as a rule: the confirmation that the peer waits for is on its way. But a peer that joins only to be drained is not waited for.
void session::leave(subflow_driver& s) {
    if (loop_.now() - parted_since_ > parted_time) {
        parted_since_ = loop_.now();
        parted_ = 0;
    }
    if (++parted_ > most_parted) return lose(s, {reason::local_abort});
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

// -- streams --------------------------------------------------------------------------------------

void session::open(striped_stream& s, const open_request& request) {
    if (request.datagrams && !options_.engine.datagrams)
        return s.on_broken({reason::unsupported}, {});
    const stream_id id = engine_.open(request, loop_.now());
    if (id == 0) return s.on_broken({reason::limit}, {});
    s.bind(*this, id, true);
    streams_.emplace(id, &s);
    log_stream(id, "opened here", request);
    later();
}

void session::log_stream(stream_id id, const char* state, const open_request& request) const {
    if (!log_.on(log_level::debug)) return;
    log_.write(log_level::debug, "stream",
               {{"id", id},
                {"session", hex8(number_)},
                {"state", state},
                {"target", request.target.empty() ? "-" : request.target}});
}

void session::forget(stream_id id) noexcept {
    streams_.erase(id);
    if (subflows_.empty()) later();  // it may have been the last to wait for one
}

std::size_t session::send_bound() const noexcept {
    const std::size_t floor = options_.share / 4 / options_.engine.max_streams;
    const std::size_t shared = options_.share / 4 * 3;
    const std::size_t left = shared - std::min(shared, engine_.memory());
    return std::max({left, floor, std::size_t{1}});
}

std::size_t session::break_streams(error why) {
    std::size_t cut = 0;
    while (!streams_.empty()) {
        const auto [id, s] = *streams_.begin();
        streams_.erase(streams_.begin());
        const bool whole = engine_.completed(id);
        chain unread;
        while (s->kind() == io_kind::stream &&
               engine_.read(id, unread, std::size_t{1} << 30, loop_.now()).ok()) {
        }
        // Its datagrams are dropped, up to its end.
        for (chain dropped; whole && s->kind() == io_kind::datagram &&
                            engine_.next_datagram(id, dropped, loop_.now()).ok();) {
        }
        if (whole) {
            keeper_.completed(*s, std::move(unread));
            continue;
        }
        ++cut;
        engine_.abort(id, why, loop_.now());
        s->on_broken(why, std::move(unread));
    }
    return cut;
}

// -- driving the engine ---------------------------------------------------------------------------

void session::later() noexcept {
    if (over_ || pump_.scheduled()) return;
    pump_.schedule();
    pump_turn_ = loop_.turns();
}

// Behind the handlers that this input has made runnable, so that what they answer goes out in the same
// turn. A pump that waits since an earlier turn is not put off again.
void session::after_input() {
    settle();
    if (pump_turn_ == loop_.turns()) pump_.cancel();
    later();
}

void session::on_pump() {
    transmit();
    settle();
}

void session::on_timer() {
    engine_.on_timer(loop_.now());
    look_again_at_ = loop_.now();
    settle();
    later();
}

// In rounds of one batch for each, so that every subflow that is not congested gets its part; the soonest first, so that
// it has what comes first in a stream.
void session::transmit() {
    order_.clear();
    for (const auto& s : subflows_)
        order_.emplace_back(engine_.arrival(s->id()), s.get());
    std::ranges::sort(order_);
    const std::size_t most = subflows_.size() * batches_per_pump * subflow_driver::largest_batch;
    std::size_t sent = 0;
    for (std::size_t round = 1; round > 0 && sent < most;) {
        round = 0;
        for (const auto& [arrival, s] : order_)
            round += s->transmit();
        sent += round;
    }
    if (sent >= most && most > 0) later();
}

void session::settle() {
    if (settling_ || over_) return;
    settling_ = true;
    event e;
    while (!over_ && engine_.next_event(e)) {
        dispatch(e);
        e = event{};
    }
    if (!over_ && loop_.now() >= look_again_at_) look_at_paths();
    if (!over_) {
        for (const subflow_id id : engine_.take_dead()) {
            const auto at = std::ranges::find(subflows_, id, [](const auto& s) { return s->id(); });
            if (at != subflows_.end()) lose(**at, {reason::timed_out});
        }
    }
    if (!over_) {
        for (const auto& s : subflows_)
            if (!s->dead() && s->drained() && engine_.drained(s->id())) leave(*s);
    }
    settling_ = false;
    sweep();
    if (over_) return;
    if (closing_ && (subflows_.empty() || engine_.open_streams() == 0))
        return end({reason::local_abort});
    update_resume();
    const instant due = engine_.next_timer();
    if (due != timer_.due()) timer_.arm(due);
}

void session::dispatch(event& e) {
    if (e.what == event::kind::session_broken) return end(e.why);
    if (e.what == event::kind::stream_opened) return on_stream_opened(e);
    if (e.what == event::kind::subflow_limited) return on_subflow_limited(e);
    const auto at = streams_.find(e.id);
    if (at == streams_.end()) return;  // its pipe is gone
    striped_stream& s = *at->second;
    switch (e.what) {
        case event::kind::stream_ready:
            return s.on_ready();
        case event::kind::stream_readable:
            return s.on_readable();
        case event::kind::stream_writable:
            return s.on_writable();
        case event::kind::stream_fin_acked:
            return s.on_fin_acked();
        case event::kind::stream_broken:
            streams_.erase(at);
            if (engine_.is_over()) ++cut_;
            return s.on_broken(e.why, std::move(e.unread));
        case event::kind::stream_completed:
            streams_.erase(at);
            return keeper_.completed(s, std::move(e.unread));
        case event::kind::stream_opened:
        case event::kind::session_broken:
        case event::kind::subflow_limited:
            break;
    }
}

void session::on_stream_opened(event& e) {
    later();
    if (!handler_ || closing_) return engine_.refuse(e.id, {reason::refused_by_peer}, loop_.now());
    auto s = std::make_unique<striped_stream>(loop_, e.request);
    s->bind(*this, e.id, false);
    streams_.emplace(e.id, s.get());
    log_stream(e.id, "opened by the peer", e.request);
    handler_(std::move(s), e.request);
}

void session::on_subflow_limited(const event& e) {
    const auto at = std::ranges::find(subflows_, e.subflow, [](const auto& s) { return s->id(); });
    if (at == subflows_.end() || (*at)->dead()) return;
    const subflow_origin& from = (*at)->origin();
    if (!from.owner) return;
    // One that is limited in one direction is limited; nobody looks at a direction in which little is sent.
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

// -- the end --------------------------------------------------------------------------------------

void session::update_resume() {
    if (!subflows_.empty()) return;
    duration left = options_.resume;
    // The engine's streams, not ours: one whose pipe is done may still owe the peer an acknowledgement.
    if (engine_.open_streams() == 0) left = std::min(left, resume_when_idle);
    const instant due = saturating_add(loop_.now(), left);
    if (due < resume_.due()) resume_.arm(due);
}

void session::on_resume_over() {
    end({reason::session_lost});
}

// A stream that is over for us may not be for the peer, until it has our acknowledgement; and if that was on a subflow that
// dies, nobody could say it again.
void session::close() {
    if (over_ || closing_) return;
    closing_ = true;
    cut_ += break_streams({reason::local_abort});
    if (engine_.open_streams() == 0 || subflows_.empty()) return end({reason::local_abort});
    later();
}

void session::end(error why) {
    if (over_) return;
    over_ = true;
    cut_ += break_streams(why);
    // The peer's goodbye, where nothing was cut, is no break to whoever reads the log.
    const error told = why.why == reason::peer_reset && cut_ == 0 ? error{} : why;
    // What is left to say, as far as it goes out at once; and then that this is the end, on each subflow and whatever waits there.
    for (const auto& s : subflows_)
        for (std::size_t n = 0; n < batches_per_pump && s->transmit() > 0; ++n) {
        }
    engine_.leave(loop_.now());
    for (const auto& s : subflows_) {
        s->transmit_last();
        if (!s->dead()) part_with(*s, why, told);
    }
    pump_.cancel();
    timer_.cancel();
    resume_.cancel();
    silence_.cancel();
    write_end(told, [&](auto&&... words) {
        log_.write(cut_ > 0 ? log_level::warn : log_level::info, "session",
                   {{"id", hex8(number_)},
                    {"state", "down"},
                    {"end", end_of_session(told, cut_ > 0)},
                    {"streams", cut_},
                    {"sent", sent_},
                    {"received", received_},
                    {"dur", seconds(loop_.now() - since_)},
                    words...});
    });
    keeper_.session_over(*this);
    if (!settling_) sweep();
}

bool session::flushed() const {
    const auto idle = [this](const auto& s) {
        return s->drained() && !engine_.wants_transmit(s->id(), loop_.now());
    };
    return engine_.memory() == 0 && std::ranges::all_of(subflows_, idle);
}

}  // namespace libp::stripe
