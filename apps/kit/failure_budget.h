#pragma once

// How many strangers may fail to shake hands: a greeting costs whoever sends it nothing and the server a tenth of a millisecond or more,
// which is taken from the connections there are.
//
// Whoever comes in pays a token, and gets it back by proving himself: those who belong here can come in any number. Of those
// who fail so many pass that answering them takes a few hundredths of a processor: 100 a second from one address, 250 in all, and 256 and
// 512 at once. The others are to be turned away before a byte of theirs is read.
//
// What is remembered of addresses has a fixed size: an address shares its tokens with the few that fall into the same place, which
// nobody outside can choose.

#include <libp/socket_address.h>
#include <libp/time.h>

#include <array>
#include <cstdint>

namespace libp::app {

class failure_budget {
  public:
    failure_budget();

    // May one more come in? False: he is to be turned away.
    bool admit(const socket_address& from, instant now) noexcept;
    // One of those who came in has proved himself.
    void proved(const socket_address& from) noexcept;

  private:
    // Tokens that come back one by one: all are there at full_at.
    struct bucket {
        instant full_at{};
        bool has(duration each, int most, instant now) const noexcept {
            return full_at - now <= (most - 1) * each;
        }
        void take(duration each, instant now) noexcept {
            full_at = (full_at > now ? full_at : now) + each;
        }
    };
    bucket& of(const socket_address& from) noexcept;

    const std::uint64_t secret_;
    bucket all_;
    std::array<bucket, 1024> by_address_{};
};

}  // namespace libp::app
