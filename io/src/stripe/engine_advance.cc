// Credit for streams that have yet to be opened, so that what their opener has to send need not
// wait for an answer.
//
// A stream begins with the initial credit of the HELLO, which is small: it is promised to as many
// streams as may ever be open. The next few streams are granted more, each by its id, out of what
// the budget has left; each stream that is accepted or refused makes room for one more. Such a
// window is charged like any other from the moment that it is granted, and its stream takes it
// over. A grant that dies with its subflow is not said again: the stream gets its credit with
// OPEN_OK, a round trip later, and that is all there is to lose.

#include "stripe/engine_state.h"

#include <algorithm>
#include <utility>

namespace libp::stripe {

void engine::state::grant_ahead() {
    while (advances_.size() < opt_.streams_ahead && next_advanced_ <= UINT32_MAX - 2) {
        advance a{.id = next_advanced_, .granted = {}};
        if (!credit_.admit_ahead(a.granted, opt_.window_ahead)) return;
        advances_.push_back(a);
        next_advanced_ += 2;
    }
}

window engine::state::take_advance(stream_id id) {
    next_advanced_ = std::max(next_advanced_, id <= UINT32_MAX - 2 ? id + 2 : id);
    const auto at = std::ranges::find(advances_, id, &advance::id);
    if (at == advances_.end()) return {};
    const window granted = at->granted;
    advances_.erase(at);
    return granted;
}

const engine::state::advance* engine::state::unsaid_advance() const noexcept {
    const auto at = std::ranges::find(advances_, false, &advance::said);
    return at == advances_.end() ? nullptr : &*at;
}

void engine::state::transmit_advance(subflow& on, chain& out, instant now) {
    advance& a = *std::ranges::find(advances_, false, &advance::said);
    a.said = true;
    const wire::header h{.type = wire::type::credit, .stream = a.id, .offset = a.granted.limit};
    // Without a record: it is not said again, and some bytes that go first and alone would be taken
    // for the rate of a slow path.
    on.sent(put_small(on, out, h), true, now);
}

void engine::state::on_credit_ahead(const wire::header& h) {
    if ((h.stream - next_own_) / 2 >= wire::streams_ahead_max)
        return break_session({reason::protocol_error}, wire::code::protocol, true);
    std::uint64_t& limit = next_credits_[h.stream];
    limit = std::max(limit, h.offset);
}

}  // namespace libp::stripe
