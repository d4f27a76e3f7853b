#include <kit/relay_connection.h>

#include <kit/end_code.h>
#include <kit/relay_server.h>

#include <algorithm>

namespace libp::app {

relay_connection::relay_connection(relay_server& server, std::unique_ptr<io_pipe> near,
                                   stripe::stream_pipe* offered, const compact_address& src)
    : server_(server),
      near_(std::move(near)),
      offered_(offered),
      began_(server.loop().now()),
      number_(server.next_number()),
      session_(offered ? offered->session_number() : 0),
      src_(offered ? offered->peer() : src) {
    static_assert(sizeof(relay_connection) <= 160,
                  "ten thousand idle connections are to cost nothing");
}

void relay_connection::start(const std::string& wanted) {
    near_->attach(io_handler::to<&relay_connection::on_near>(*this));
    attempt_ =
        server_.to().start(wanted, upstream::done::to<&relay_connection::on_upstream>(*this));
}

// A client that is gone waits for nobody, and must not keep others out until its target has been
// given up. (A socket tells of its end behind the bytes that are still to be read from it, and
// those wait for the target.)
void relay_connection::on_near(io_flags risen) {
    if (!risen.has(io_flag::broken) || !attempt_) return;
    const std::string to = attempt_->name();
    server_.loop().retire(std::move(attempt_));
    const bridge_end end{bridge_side::a, near_->why()};
    log_end(end_of_bridge(end), to_string(end.why), to);
    server_.ended(*this, exit_of_bridge(end), end.why);
}

void relay_connection::on_upstream(upstream::made made) {
    // It was cut in this very turn.
    if (!attempt_) return server_.loop().retire(std::move(made.pipe));
    const std::string to = made.pipe ? std::string() : attempt_->name();
    server_.loop().retire(std::move(attempt_));
    dst_ = made.at;
    if (!made.pipe) return fail_near(made, to);
    if (server_.out().on(log_level::debug))
        server_.out().write(log_level::debug, "conn",
                            {{"id", server_.id_text(number_)},
                             {"state", "connected"},
                             {"dst", dst_.is_ip() ? dst_.to_string() : server_.to().name()}});
    if (offered_) offered_->accept();
    bridge_.emplace(server_.loop(), std::move(near_), std::move(made.pipe),
                    server_.options().bridge,
                    delegate<void()>::to<&relay_connection::on_over>(*this));
}

void relay_connection::fail_near(const upstream::made& made, const std::string& to) {
    const error why = made.why;
    if (offered_)
        offered_->refuse(why);
    else
        near_->reset();
    log_end(end_of_attempt(why), made.detail.empty() ? to_string(why) : made.detail, to);
    server_.ended(*this, exit_of_attempt(why), why);
}

void relay_connection::on_over() {
    const bridge_end& end = bridge_->end();
    const bool never_made = end.side == bridge_side::b && bridge_->ready_at() == never;
    log_end(never_made ? end_of_attempt(end.why) : end_of_bridge(end),
            end.why ? to_string(end.why) : std::string(), server_.to().name());
    server_.ended(*this, never_made ? exit_of_attempt(end.why) : exit_of_bridge(end), end.why);
}

void relay_connection::cut(error why) {
    if (bridge_) return bridge_->abort(why);
    const std::string to = attempt_->name();
    server_.loop().retire(std::move(attempt_));
    fail_near({nullptr, why}, to);
}

void relay_connection::log_end(const char* end, const std::string& why,
                               const std::string& to) const {
    const log& out = server_.out();
    if (!out.on(log_level::info)) return;
    instant now = server_.loop().now();
    std::string id = server_.id_text(number_);
    std::string src = src_.to_string();
    std::string dst = dst_.is_ip() ? dst_.to_string() : to;
    const instant connected = bridge_ ? std::min(bridge_->ready_at(), now) : now;
    double lasted = seconds(now - began_), connecting = seconds(connected - began_);
    const std::string& listener = server_.options().listener;
    // What a log line needs to be complete: the reason in words, where the end code does not say it
    // all.
    auto write = [&](auto&&... more) {
        out.write(log_level::info, "conn",
                  {{"id", id},
                   {"end", end},
                   {"src", src},
                   {"listener", listener},
                   {"dst", dst},
                   {"up", up()},
                   {"down", down()},
                   {"dur", lasted},
                   {"connect", connecting},
                   more...});
    };
    const log_field session("session", stripe::hex8(session_)), reason("why", why);
    if (session_ != 0 && !why.empty())
        write(session, reason);
    else if (session_ != 0)
        write(session);
    else if (!why.empty())
        write(reason);
    else
        write();
}

}  // namespace libp::app
