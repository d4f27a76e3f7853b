#include "stripe/subflow.h"

#include <algorithm>

namespace libp::stripe {

namespace {

constexpr std::uint64_t confirm_bytes = 64 * kib;
constexpr duration confirm_after = 25ms;

}  // namespace

void subflow::sent(std::size_t size, bool eliciting) noexcept {
    position += size;
    if (eliciting) last_eliciting = position;
    stats.sent_bytes += size;
}

void subflow::measure(duration rtt) noexcept {
    stats.srtt = stats.srtt == duration{0} ? rtt : stats.srtt + (rtt - stats.srtt) / 8;
}

void subflow::processed(std::size_t size, std::uint8_t type, instant now) noexcept {
    received += size;
    stats.received_bytes += size;
    if (!wire::elicits(type)) return;
    unconfirmed += size;
    last_eliciting_at = now;
    if (path_ack_at == never) path_ack_at = saturating_add(now, confirm_after);
    if (unconfirmed >= confirm_bytes || type == wire::type::ping) path_ack_due = true;
}

void subflow::path_ack_sent() noexcept {
    unconfirmed = 0;
    path_ack_at = never;
    path_ack_due = false;
}

void subflow::heard(instant now) noexcept {
    last_heard = now;
    silent_since = never;
}

// While it is silent only the verdict is timed: the PING is due or sent.
instant subflow::next_timer(duration heartbeat, duration dead_after) const noexcept {
    if (dead || broken) return never;
    const instant verdict =
        saturating_add(silent_since, dead_after - std::min(heartbeat, dead_after));
    const instant ping = silent_since == never ? saturating_add(last_heard, heartbeat) : never;
    return std::min({path_ack_due ? never : path_ack_at, ping, verdict});
}

void subflow::on_timer(instant now, duration heartbeat, duration dead_after) noexcept {
    if (dead || broken) return;
    if (path_ack_at <= now) path_ack_due = true;
    if (silent_since == never) {
        // Timed from here, not from the last byte: after a suspend the peer gets its chance to answer.
        if (saturating_add(last_heard, heartbeat) <= now) {
            silent_since = now;
            ping_due = true;
        }
    } else if (saturating_add(silent_since, dead_after - std::min(heartbeat, dead_after)) <= now) {
        dead = true;
    }
}

}  // namespace libp::stripe
