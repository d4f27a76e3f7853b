#include "bridge_direction.h"

#include <algorithm>

namespace libp {

namespace {

constexpr std::uint8_t bulk_receives_to_splice = 2;
constexpr std::uint8_t lean_bursts_to_copy = 3;

}  // namespace

bridge_direction::bridge_direction(io_pipe& from, io_pipe& to, splice_pool* pool) noexcept
    : from_(from), to_(to), pool_(pool) {}

bridge_direction::~bridge_direction() {
    if (kernel_) pool_->give_back(std::move(kernel_));
}

std::size_t bridge_direction::held() const noexcept {
    return held_.size() + (kernel_ ? kernel_->held() : 0);
}

bool bridge_direction::holds() const noexcept {
    return pending_ || held() > 0;
}

bool bridge_direction::can_receive() const noexcept {
    return from_.has(io_flag::readable) && !from_.has(io_flag::fin_rcvd) &&
           to_.has(io_flag::writable);
}

bridge_direction::progress bridge_direction::pump(std::size_t window, std::size_t budget) {
    progress p;
    // pass_on comes first: what is held from the last time goes before anything newer.
    while (p.spent < budget) {
        if (!pass_on(p)) break;
        if (p.spent >= budget || !receive(std::min(window, budget - p.spent), p)) break;
    }
    pass_fin(p);
    if (p.spent >= budget) p.more = holds() ? to_.has(io_flag::writable) : can_receive();
    if (kernel_ && kernel_->held() == 0 && !p.more) end_burst();
    if (held_.empty()) held_ = chain();  // an idle direction owns no memory
    return p;
}

// One receive. False: there is nothing to pass on.
bool bridge_direction::receive(std::size_t max, progress& p) {
    if (!can_receive()) return false;
    bool spliced = want_splice();
    io_result r = spliced ? from_.recv_spliced(*kernel_, max) : from_.recv(held_, max);
    if (!r.ok()) return false;  // fin and broken are flags of the pipe by now
    p.moved = true;
    if (from_.kind() == io_kind::datagram) {
        if (to_.kind() == io_kind::datagram) pending_ = true;
        if (r.bytes == 0) p.spent += least_cost;  // nothing on a stream, but not for nothing
    }
    if (spliced)
        burst_ += r.bytes;
    else
        note_receive(r.bytes);
    return true;
}

// Sends what is held for as long as the far end takes it. True: nothing is held any more.
bool bridge_direction::pass_on(progress& p) {
    while (holds()) {
        if (!to_.has(io_flag::writable)) return false;
        io_result r = kernel_ && kernel_->held() > 0 ? to_.send_spliced(*kernel_) : send_held();
        if (!r.ok()) return false;
        pending_ = false;
        passed_ += r.bytes;
        p.spent += std::max(r.bytes, least_cost);
        p.moved = true;
    }
    return true;
}

io_result bridge_direction::send_held() {
    std::size_t most = to_.max_datagram();
    // A datagram stays one, even above the bound: then it breaks the far end, and is not quietly
    // cut in two.
    if (pending_ || to_.kind() == io_kind::stream || held_.size() <= most) return to_.send(held_);

    chain piece;
    held_.move_front(piece, std::max<std::size_t>(most, 1));
    io_result r = to_.send(piece);
    if (!r.ok()) held_.prepend(std::move(piece));
    return r;
}

void bridge_direction::pass_fin(progress& p) {
    if (!from_.has(io_flag::fin_rcvd) || holds()) return;
    if (to_.has(io_flag::fin_wanted) || to_.has(io_flag::broken)) return;
    to_.send_fin();
    p.spent += least_cost;
    p.moved = true;
}

bool bridge_direction::want_splice() noexcept {
    if (!splicing_) return false;
    if (!kernel_) {
        kernel_ = pool_->take();
        burst_ = 0;
    }
    if (!kernel_) {
        splicing_ = false;
        streak_ = 0;
    }
    return kernel_ != nullptr;
}

void bridge_direction::note_receive(std::size_t received) noexcept {
    if (!pool_) return;
    streak_ = received >= bulk_receive ? static_cast<std::uint8_t>(streak_ + 1) : std::uint8_t{0};
    if (streak_ < bulk_receives_to_splice) return;
    splicing_ = from_.can_splice() && to_.can_splice();
    streak_ = 0;
}

void bridge_direction::end_burst() noexcept {
    pool_->give_back(std::move(kernel_));
    streak_ = burst_ < bulk_receive ? static_cast<std::uint8_t>(streak_ + 1) : std::uint8_t{0};
    if (streak_ < lean_bursts_to_copy) return;
    splicing_ = false;
    streak_ = 0;
}

}  // namespace libp
