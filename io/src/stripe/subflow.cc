#include "stripe/subflow.h"

#include <algorithm>

namespace libp::stripe {

namespace {

// A confirmation costs the peer a frame; a late one keeps its sender waiting. The first bytes of a
// subflow are confirmed more often, because its sender knows nothing of it yet.
constexpr std::uint64_t confirm_bytes = 64 * kib;
// While more lies there to be read, the path is not idle for want of a confirmation.
constexpr std::uint64_t confirm_bytes_of_more = 256 * kib;
constexpr std::uint64_t first_confirm_bytes = 16 * kib, first_bytes = 256 * kib;
constexpr duration confirm_after = 10ms;
// Silent for that long, and for several times its patience: it will not come back.
constexpr duration hopeless_after = 10s;

}  // namespace

subflow::subflow(block_pool& blocks, subflow_id number, unsigned place_, std::uint32_t max_frame,
                 const subflow_options& options, instant now) noexcept
    : id(number),
      place(place_),
      payload_crc(options.payload_crc),
      rank(options.rank),
      path(options.path),
      reader(blocks, max_frame),
      estimate(options.rtt, now),
      last_progress(now),
      last_heard(now) {}

delivery_estimator::mark subflow::sent(std::size_t size, bool eliciting, instant now) noexcept {
    const std::size_t before = in_flight();
    if (before == 0) last_progress = now;
    position += size;
    stats.sent_bytes += size;
    if (!eliciting) return {};
    last_eliciting = position;
    return estimate.on_sent(before, now);
}

void subflow::processed(std::size_t size, std::uint8_t type, instant now) noexcept {
    received += size;
    stats.received_bytes += size;
    if (!wire::elicits(type)) return;
    unconfirmed += size;
    last_eliciting_at = now;
    if (path_ack_at == never) path_ack_at = saturating_add(now, confirm_after);
    const bool at_once = type == wire::type::ping || type == wire::type::drain;
    if (at_once || unconfirmed >= confirm_at()) path_ack_due = true;
}

std::uint64_t subflow::confirm_at() const noexcept {
    if (received < first_bytes) return first_confirm_bytes;
    return more_waits ? confirm_bytes_of_more : confirm_bytes;
}

void subflow::tell_more_waits(bool more) noexcept {
    more_waits = more;
    if (unconfirmed >= confirm_at()) path_ack_due = true;
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

void subflow::forgive(duration d) noexcept {
    last_progress = saturating_add(last_progress, d);
    silent_since = saturating_add(silent_since, d);
    look_again = never;
}

double subflow::overdue(instant now) const noexcept {
    const duration usual =
        estimate.srtt() > duration{0} ? estimate.srtt() : estimate.expected_rtt();
    return seconds(std::max(duration{0}, quiet(now) - usual - confirm_after));
}

instant subflow::verdict_at() const noexcept {
    if (in_flight() == 0 || is_over()) return never;
    const duration patience = estimate.patience();
    duration wait = patience;
    if (state == subflow_state::suspect) wait = 2 * patience;
    if (state == subflow_state::stale) wait = std::max(hopeless_after, 8 * patience);
    const instant at = saturating_add(last_progress, wait);
    return look_again == never ? at : std::max(at, look_again);
}

// While it is silent only the verdict is timed: the PING is due or sent.
instant subflow::next_timer(duration heartbeat, duration dead_after, bool alone) const noexcept {
    if (is_over()) return never;
    const instant verdict =
        saturating_add(silent_since, dead_after - std::min(heartbeat, dead_after));
    const instant ping = silent_since == never ? saturating_add(last_heard, heartbeat) : never;
    return std::min(
        {path_ack_due ? never : path_ack_at, ping, verdict, alone ? never : verdict_at()});
}

void subflow::on_timer(instant now, duration heartbeat, duration dead_after) noexcept {
    if (is_over()) return;
    if (path_ack_at <= now) path_ack_due = true;
    // It answers, but never says that it drains too.
    if (draining && saturating_add(drain_since, dead_after) <= now) dead = true;
    if (silent_since == never) {
        // Timed from here, not from the last byte: after a suspend the peer gets its chance to
        // answer.
        if (saturating_add(last_heard, heartbeat) <= now) {
            silent_since = now;
            ping_due = true;
        }
    } else if (saturating_add(silent_since, dead_after - std::min(heartbeat, dead_after)) <= now) {
        dead = true;
    }
}

}  // namespace libp::stripe
