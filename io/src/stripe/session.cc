#include "stripe/session.h"

#include <libp/endian.h>

#include <algorithm>
#include <utility>

namespace libp::stripe {
namespace {

// Bytes that one pump() puts on all subflows together before others get their turn: this many
// batches for each.
constexpr std::size_t batches_per_pump = 4;
// A session without streams has nothing to resume: it waits only for a client that is about to come
// back.
constexpr duration resume_when_idle = 5s;

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

}  // namespace

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
    if (keeper_.may_log_session())
        log_.write(log_level::info, "session", {{"id", hex8(number_)}, {"state", "up"}});
}

// Of a session that is over nothing is left to break; of one whose node dies, everything.
session::~session() {
    break_streams({reason::local_abort});
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

// What became of them, where there were any.
void session::log_datagrams() const {
    const datagram_stats d = engine_.datagrams();
    if (d.sent + d.late + d.overrun + d.received == 0) return;
    log_.write(log_level::info, "datagrams",
               {{"session", hex8(number_)},
                {"sent", d.sent},
                {"copies", d.copies},
                {"late", d.late},
                {"overrun", d.overrun},
                {"unsure", d.unsure},
                {"received", d.received},
                {"repeated", d.repeated},
                {"unread", d.unread}});
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

// Behind the handlers that this input has made runnable, so that what they answer goes out in the
// same turn. A pump that waits since an earlier turn is not put off again.
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

// In rounds of one batch for each, so that every subflow that is not congested gets its part; the
// soonest first, so that it has what comes first in a stream.
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
            if (!s->dead() && s->all_written() && engine_.drained(s->id())) leave(*s);
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

// -- the end --------------------------------------------------------------------------------------

void session::update_resume() {
    if (!subflows_.empty()) return;
    duration left = options_.resume;
    // The engine's streams, not ours: one whose pipe is done may still owe the peer an
    // acknowledgement. What came without an OPEN costs a stranger a byte, and would hold a place
    // for as long as streams do.
    if (engine_.opened_streams() == 0) left = std::min(left, resume_when_idle);
    const instant due = saturating_add(loop_.now(), left);
    if (due < resume_.due()) resume_.arm(due);
}

void session::on_resume_over() {
    end({reason::session_lost});
}

// A stream that is over for us may not be for the peer, until it has our acknowledgement; and if
// that was on a subflow that dies, nobody could say it again.
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
    // What is left to say, as far as it goes out at once; and then that this is the end, on each
    // subflow and whatever waits there.
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
    if (cut_ > 0 || keeper_.may_log_session()) log_end(told);
    keeper_.session_over(*this);
    if (!settling_) sweep();
}

void session::log_end(error told) const {
    log_datagrams();
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
}

bool session::flushed() const {
    const auto idle = [this](const auto& s) {
        return s->all_written() && !engine_.wants_transmit(s->id(), loop_.now());
    };
    return engine_.memory() == 0 && std::ranges::all_of(subflows_, idle);
}

}  // namespace libp::stripe
