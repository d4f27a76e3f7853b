#include "happy_eyeballs.h"

namespace libp {

std::vector<socket_address> interleave_families(const std::vector<socket_address>& addresses) {
    std::vector<socket_address> preferred, others, mixed;
    for (const socket_address& a : addresses)
        (a.family() == addresses.front().family() ? preferred : others).push_back(a);

    mixed.reserve(addresses.size());
    for (std::size_t i = 0; i < preferred.size() || i < others.size(); ++i) {
        if (i < preferred.size()) mixed.push_back(preferred[i]);
        if (i < others.size()) mixed.push_back(others[i]);
    }
    return mixed;
}

std::optional<std::size_t> happy_eyeballs::begin(instant now) noexcept {
    if (now < due() || begun_ == attempts_) return std::nullopt;
    next_at_ = saturating_add(now, stagger_);
    return begun_++;
}

void happy_eyeballs::failed(std::size_t attempt, error e) noexcept {
    ++failed_;
    if (attempt == 0) why_ = e;
    next_at_ = instant::min();
}

}  // namespace libp
