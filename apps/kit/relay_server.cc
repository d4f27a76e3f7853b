#include <kit/relay_server.h>

#include <libp/process.h>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace libp::app {

relay_server::relay_server(event_loop& loop, const log& out, const relay_options& options,
                           upstream& to, delegate<void()> settled)
    : loop_(loop), log_(out), options_(options), to_(to), settled_(settled) {
    std::snprintf(prefix_, sizeof(prefix_), "%04x-", static_cast<unsigned>(process_id()) & 0xffffu);
}

relay_server::~relay_server() {
    while (relay_connection* c = connections_.pop_front())
        delete c;
}

void relay_server::arrived(std::unique_ptr<io_pipe> near, const socket_address& peer) {
    serve(std::move(near), nullptr, peer, {});
    if (live_ < options_.max_conns || finishing_ || !listeners_) return;
    paused_ = true;
    listeners_->pause();
}

void relay_server::offered(std::unique_ptr<stripe::stream_pipe> near,
                           const stripe::open_request& request) {
    if (finishing_) {
        near->refuse({reason::refused, 0});
        return loop_.retire(std::move(near));
    }
    if (waiting_.size() >= sweep_at_) sweep_waiting();
    waiting_.push_back({std::move(near), request.target});
    serve_waiting();
}

// The engine bounds how many streams wait, but not how many have waited and were given up by those
// who opened them.
void relay_server::sweep_waiting() {
    std::erase_if(waiting_, [this](offer& o) {
        if (!o.near->has(io_flag::broken)) return false;
        loop_.retire(std::move(o.near));
        return true;
    });
    sweep_at_ = std::max(least_sweep, 2 * waiting_.size());
}

void relay_server::serve_waiting() {
    while (!waiting_.empty() && live_ < options_.max_conns) {
        auto [near, target] = std::move(waiting_.front());
        waiting_.pop_front();
        if (near->has(io_flag::broken)) {  // its opener gave up
            loop_.retire(std::move(near));
            continue;
        }
        stripe::stream_pipe* stream = near.get();
        serve(std::move(near), stream, {}, target);
    }
}

void relay_server::serve(std::unique_ptr<io_pipe> near, stripe::stream_pipe* offered,
                         const compact_address& src, const std::string& wanted) {
    auto* c = new relay_connection(*this, std::move(near), offered, src);
    connections_.push_back(*c);
    ++live_;
    if (options_.once) finish();
    if (log_.on(log_level::debug))
        log_.write(log_level::debug, "conn",
                   {{"id", id_text(c->number())},
                    {"state", "accepted"},
                    {"src", offered ? offered->peer().to_string() : src.to_string()},
                    {"wants", wanted.empty() ? "-" : wanted}});
    c->start(wanted);
}

void relay_server::ended(relay_connection& which, exit_code status, error why) {
    up_ += which.up();
    down_ += which.down();
    if (why) ++failed_;
    last_exit_ = status;
    last_error_ = why;
    last_client_ = which.broken_client();
    last_joined_ = which.joined();
    --live_;
    which.on_list.unlink();
    loop_.retire(std::unique_ptr<relay_connection>(&which));

    if (finishing_) {
        if (live_ == 0) settled_();
        return;
    }
    serve_waiting();
    if (!listeners_) return;
    if (std::exchange(paused_, false)) listeners_->resume();
    listeners_->retry();
}

void relay_server::finish() {
    if (std::exchange(finishing_, true)) return;
    if (listeners_) listeners_->close();
    for (offer& o : std::exchange(waiting_, {})) {
        o.near->refuse({reason::refused, 0});
        loop_.retire(std::move(o.near));
    }
}

void relay_server::cut(error why) {
    // A connection may leave the list from within its cut().
    for (relay_connection* c = connections_.front(); c;) {
        relay_connection* next = connections_.next(*c);
        c->cut(why);
        c = next;
    }
}

std::string relay_server::id_text(std::uint32_t number) const {
    return prefix_ + std::to_string(number);
}

void relay_server::log_status() const {
    std::uint64_t up = up_, down = down_;
    for (relay_connection* c = connections_.front(); c; c = connections_.next(*c)) {
        up += c->up();
        down += c->down();
    }
    log_.answer("status", {{"conns", live_},
                           {"max", options_.max_conns},
                           {"total", accepted_},
                           {"failed", failed_},
                           {"up", up},
                           {"down", down},
                           {"buffers", loop_.blocks().in_use()},
                           {"turns", loop_.turns()},
                           {"cpu", cpu_seconds()}});
}

}  // namespace libp::app
