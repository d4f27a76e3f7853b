#include "stripe/stream.h"

namespace libp::stripe {

namespace {

// What a stream that is sparse has waiting at most.
constexpr std::size_t sparse_backlog = 16 * kib;

}  // namespace

bool stream::is_sparse(instant now) const noexcept {
    if (send.unsent().size() > sparse_backlog) return false;
    return recent_.is_within(now);
}

void stream::spent(std::size_t bytes, instant now) noexcept {
    recent_.spent(bytes, now);
    if (!send.unsent().empty() || bytes > sparse_backlog)
        small_sends_ = 0;
    else if (small_sends_ < chatty)
        ++small_sends_;
}

}  // namespace libp::stripe
