#include <kit/handshakes.h>

namespace libp::app {

handshakes::~handshakes() {
    while (stranger* who = waiting_.front())
        take(*who);
}

void handshakes::add(std::unique_ptr<io_pipe> pipe, const socket_address& peer,
                     failure_budget::toll paid) {
    if (size_ == most_) loop_.retire(take(least_trusted()));
    auto* who = new stranger(*this, std::move(pipe), peer, paid);
    waiting_.push_back(*who);
    ++size_;
    who->pipe->attach(io_handler::to<&stranger::on_pipe>(*who));
}

// The oldest of those who paid from the purse that is for the least known.
handshakes::stranger& handshakes::least_trusted() noexcept {
    stranger* out = waiting_.front();
    for (stranger* who = out; who; who = waiting_.next(*who))
        if (who->paid > out->paid) out = who;
    return *out;
}

void handshakes::clear() {
    while (stranger* who = waiting_.front())
        loop_.retire(take(*who));
}

void handshakes::release() {
    held_ = false;
    // Whoever takes one may change the list.
    for (stranger* who = waiting_.front(); who && !held_;) {
        if (who->pipe->has(io_flag::ready)) {
            pass_on(*who);
            who = waiting_.front();
        } else {
            who = waiting_.next(*who);
        }
    }
}

void handshakes::on_pipe(stranger& who, io_flags risen) {
    if (risen.has(io_flag::broken)) {
        lost_(who.pipe->why(), who.peer);
        return loop_.retire(take(who));
    }
    if (risen.has(io_flag::ready) && !held_) pass_on(who);
}

void handshakes::pass_on(stranger& who) {
    std::unique_ptr<stranger> out = take(who);
    std::unique_ptr<io_pipe> pipe = std::move(out->pipe);
    const socket_address peer = out->peer;
    const failure_budget::toll paid = out->paid;
    loop_.retire(std::move(out));
    done_(std::move(pipe), peer, paid);
}

std::unique_ptr<handshakes::stranger> handshakes::take(stranger& who) {
    who.hook.unlink();
    // What happens to a pipe that is retired, until it is gone, is nobody's business.
    who.pipe->attach({});
    --size_;
    return std::unique_ptr<stranger>(&who);
}

}  // namespace libp::app
