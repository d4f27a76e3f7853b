#pragma once

// When to try which address: Happy Eyeballs (RFC 8305) without the sockets. Told what failed and
// what time it is, it says which attempt to begin next and when to ask again.

#include <libp/error.h>
#include <libp/socket_address.h>
#include <libp/time.h>

#include <cstddef>
#include <optional>
#include <vector>

namespace libp {

// Alternates between the families, beginning with the first address's; within a family the order
// stays.
std::vector<socket_address> interleave_families(const std::vector<socket_address>& addresses);

class happy_eyeballs {
  public:
    // `attempts` addresses to try, the first at once, each next one `stagger` after the one before
    // or as soon as one failed.
    happy_eyeballs(std::size_t attempts, duration stagger) noexcept
        : attempts_(attempts), stagger_(stagger) {}

    // The attempt to begin now, or none: it is too early, or all have begun.
    std::optional<std::size_t> begin(instant now) noexcept;
    // When begin() will have the next; never: all have begun.
    instant due() const noexcept { return begun_ < attempts_ ? next_at_ : never; }

    // An attempt that was begun came to nothing.
    void failed(std::size_t attempt, error e) noexcept;
    // All have failed, with the first address's error.
    bool lost() const noexcept { return failed_ == attempts_; }
    error why() const noexcept { return why_; }

  private:
    std::size_t attempts_;
    duration stagger_;
    std::size_t begun_ = 0;
    std::size_t failed_ = 0;
    instant next_at_ = instant::min();
    error why_{};
};

}  // namespace libp
