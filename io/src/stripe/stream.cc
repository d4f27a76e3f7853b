#include "stripe/stream.h"

#include <algorithm>

namespace libp::stripe {

namespace {

// A stream that keeps below 64 KiB a second and has little waiting is somebody typing, or asking (the sparse flows of fq_codel, RFC 8290).
constexpr double sparse_rate = 64 * kib, sparse_burst = 64 * kib;
constexpr std::size_t sparse_backlog = 16 * kib;

}  // namespace

bool stream::is_sparse(instant now) const noexcept {
    if (send.unsent().size() > sparse_backlog) return false;
    return recent_ - sparse_rate * seconds(now - recent_at_) <= sparse_burst;
}

void stream::spent(std::size_t bytes, instant now) noexcept {
    recent_ = std::max(0.0, recent_ - sparse_rate * seconds(now - recent_at_)) +
              static_cast<double>(bytes);
    recent_at_ = now;
    if (!send.unsent().empty() || bytes > sparse_backlog)
        small_sends_ = 0;
    else if (small_sends_ < chatty)
        ++small_sends_;
}

}  // namespace libp::stripe
