#include <kit/relay_connection.h>

#include <kit/end_code.h>
#include <kit/relay_server.h>

namespace libp::app {

relay_connection::relay_connection(relay_server& server, std::unique_ptr<io_pipe> near,
                                   stripe::stream_pipe* offered, const compact_address& src)
    : server_(server),
      near_(std::move(near)),
      offered_(offered),
      began_(server.loop().now()),
      connected_(began_),
      number_(server.next_number()),
      src_(src) {
    static_assert(sizeof(relay_connection) <= 160,
                  "ten thousand idle connections are to cost nothing");
}

void relay_connection::start() {
    attempt_ = server_.far().start(far_end::done::to<&relay_connection::on_far>(*this));
}

void relay_connection::on_far(far_end::made far) {
    server_.loop().retire(std::move(attempt_));
    dst_ = far.at;
    connected_ = server_.loop().now();
    if (!far.pipe) return fail_near(far.why);
    if (offered_) offered_->accept();
    bridge_.emplace(server_.loop(), std::move(near_), std::move(far.pipe), server_.options().bridge,
                    delegate<void()>::to<&relay_connection::on_over>(*this));
}

void relay_connection::fail_near(error why) {
    if (offered_)
        offered_->refuse(why);
    else
        near_->reset();
    log_end(end_of_attempt(why), why);
    server_.ended(*this, exit_of_attempt(why), why);
}

void relay_connection::on_over() {
    const bridge_end& end = bridge_->end();
    log_end(end_of_bridge(end), end.why);
    server_.ended(*this, exit_of_bridge(end), end.why);
}

void relay_connection::cut(error why) {
    if (bridge_) return bridge_->abort(why);
    server_.loop().retire(std::move(attempt_));
    fail_near(why);
}

void relay_connection::log_end(const char* end, const error& why) const {
    const log& out = server_.out();
    if (!out.on(log_level::info)) return;
    instant now = server_.loop().now();
    std::string id = server_.id_text(number_);
    std::string src = offered_ ? "stripe" : src_.to_string();
    std::string dst = dst_.is_ip() ? dst_.to_string() : server_.far().name();
    double lasted = seconds(now - began_), connecting = seconds(connected_ - began_);
    const std::string& listener = server_.options().listener;
    // What a log line needs to be complete: the reason in words, where the end code does not say it all.
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
    if (why)
        write(log_field("why", to_string(why)));
    else
        write();
}

}  // namespace libp::app
