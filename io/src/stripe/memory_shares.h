#pragma once

// How a node's memory is divided over its sessions.
//
// A session's share is fixed when it begins, because what an engine has granted cannot be taken
// back. A quarter of the budget is kept as an equal floor for each of max_sessions; of the rest a
// session gets 1 / (live sessions + 2) of what is left, so that the first gets half, the second a
// third of the other half, and so on. Their sum never exceeds the budget; a share comes back when
// its session ends.

#include <libp/assert.h>

#include <algorithm>
#include <cstddef>

namespace libp::stripe {

class memory_shares {
  public:
    memory_shares(std::size_t budget, std::size_t max_sessions) noexcept
        : floor_(budget / 4 / std::max<std::size_t>(max_sessions, 1)),
          left_(budget - floor_ * std::max<std::size_t>(max_sessions, 1)),
          slots_(max_sessions) {}

    bool available() const noexcept { return live_ < slots_; }
    // Only while available().
    std::size_t take() noexcept {
        check(available(), "more sessions than there is memory for");
        const std::size_t extra = left_ / (live_ + 2);
        left_ -= extra;
        ++live_;
        return floor_ + extra;
    }
    // `share` came from take().
    void give_back(std::size_t share) noexcept {
        left_ += share - floor_;
        --live_;
    }

  private:
    const std::size_t floor_;
    std::size_t left_;
    const std::size_t slots_;
    std::size_t live_ = 0;
};

}  // namespace libp::stripe
