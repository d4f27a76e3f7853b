#pragma once

// Rate limit on failed TLS handshakes: a ClientHello costs its sender nothing and the server 0.1 ms
// or more.
//
// Whoever comes in pays a token, and gets it back by proving himself: those who belong here can
// come in any number. Of those who fail so many pass that answering them takes a few hundredths of
// a processor: 100 a second from one address, 250 in all, and 256 and 768 at once. The others are
// to be turned away before a byte of theirs is read.
//
// Those who fail shall not use up what those who belong here need, so not all pay from the same
// purse:
//
//   * An address at which somebody proved himself within a day pays its own tokens and nothing
//     else.
//   * One that has not failed much lately (8 times, one forgotten every 10 s) is a newcomer.
//     Newcomers have 100 a second and 512 at once together, and beyond that what the others leave.
//   * All others together have 150 a second, and 256 at once.
//
// So a flood keeps a newcomer out only if it comes from very many addresses at once, and those who
// are known never. An IPv6 address counts as its first 64 bits, the rest is its owner's to choose;
// and as its first 48 where newcomers are counted, for who has one network often has them all.
//
// What is remembered of addresses has a fixed size (80 KiB): an address shares its tokens with the
// few that fall into the same place, which nobody outside can choose. It is not taken for a known
// one because of that: who is known is recognised. Of those 1024 places are kept, one each: with a
// hundred known addresses a few are newcomers again.

#include <libp/socket_address.h>
#include <libp/time.h>

#include <array>
#include <cstdint>
#include <optional>

namespace libp::app {

class failure_budget {
  public:
    // What somebody paid besides his address's token.
    enum class toll : std::uint8_t { nothing, newcomers, all };

    failure_budget();

    // May one more come in? Nothing: he is to be turned away.
    std::optional<toll> admit(const socket_address& from, instant now) noexcept;
    // One of those who came in, and paid that, has proved himself.
    void proved(const socket_address& from, toll paid, instant now) noexcept;

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
        void give_back(duration each) noexcept { full_at -= each; }
    };
    struct place {
        bucket tokens, first_tries;
    };
    struct acquaintance {
        std::uint32_t mark = 0;
        instant until{};
    };
    // `network`: so many bytes of an IPv6 address count.
    std::uint64_t hash_of(const socket_address& from, std::size_t network) const noexcept;
    place& place_of(std::uint64_t hash) noexcept { return places_[hash % places_.size()]; }
    acquaintance& known_as(std::uint64_t hash) noexcept { return known_[hash % known_.size()]; }

    const std::uint64_t secret_;
    bucket newcomers_, all_;
    std::array<place, 4096> places_{};
    std::array<acquaintance, 1024> known_{};
};

}  // namespace libp::app
