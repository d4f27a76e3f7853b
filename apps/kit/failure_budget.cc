#include <kit/failure_budget.h>

#include <libp/random.h>
#include <libp/types.h>

#include <algorithm>

namespace libp::app {

namespace {

constexpr duration each_of_one = 10ms, each_of_newcomers = 10ms, each_of_all = duration(1s) / 150;
constexpr int most_of_one = 256, most_of_newcomers = 512, most_of_all = 256;
// How often somebody may fail before he is no newcomer any more.
constexpr duration each_first_try = 10s;
constexpr int most_first_tries = 8;
constexpr duration known_for = 24h;
// Of an IPv6 address: what its owner was given.
constexpr std::size_t network_size = 8, site_size = 6;

std::uint64_t random_number() {
    std::uint8_t random[8];
    fill_random(random);
    std::uint64_t n = 0;
    for (const std::uint8_t b : random)
        n = n << 8 | b;
    return n;
}

// What tells an address from the others of its place.
std::uint32_t mark_of(std::uint64_t hash) noexcept {
    return static_cast<std::uint32_t>(hash >> 32);
}

}  // namespace

failure_budget::failure_budget() : secret_(random_number()) {}

// By FNV-1a from a secret start, mixed: addresses that are alike end up apart.
std::uint64_t failure_budget::hash_of(const socket_address& from,
                                      std::size_t network) const noexcept {
    const auto ip = from.ip_bytes();
    constexpr std::uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    const bool is_v4 = std::equal(std::begin(mapped), std::end(mapped), ip.begin());
    std::uint64_t h = secret_;
    for (std::size_t i = 0; i < (is_v4 ? ip.size() : network); ++i)
        h = (h ^ ip[i]) * 0x100000001b3;
    h = (h ^ h >> 32 ^ secret_ >> 7) * 0x9e3779b97f4a7c15;
    return h ^ h >> 32;
}

std::optional<failure_budget::toll> failure_budget::admit(const socket_address& from,
                                                          instant now) noexcept {
    const std::uint64_t hash = hash_of(from, network_size);
    place& at = place_of(hash);
    bucket& first_tries = place_of(hash_of(from, site_size)).first_tries;
    if (!at.tokens.has(each_of_one, most_of_one, now)) return std::nullopt;
    toll paid = toll::nothing;
    const acquaintance& known = known_as(hash);
    if (known.until <= now || known.mark != mark_of(hash)) {
        if (first_tries.has(each_first_try, most_first_tries, now) &&
            newcomers_.has(each_of_newcomers, most_of_newcomers, now)) {
            paid = toll::newcomers;
            first_tries.take(each_first_try, now);
            newcomers_.take(each_of_newcomers, now);
        } else if (all_.has(each_of_all, most_of_all, now)) {
            paid = toll::all;
            all_.take(each_of_all, now);
        } else {
            return std::nullopt;
        }
    }
    at.tokens.take(each_of_one, now);
    return paid;
}

void failure_budget::proved(const socket_address& from, toll paid, instant now) noexcept {
    const std::uint64_t hash = hash_of(from, network_size);
    place& at = place_of(hash);
    bucket& first_tries = place_of(hash_of(from, site_size)).first_tries;
    at.tokens.give_back(each_of_one);
    if (paid == toll::newcomers) {
        first_tries.give_back(each_first_try);
        newcomers_.give_back(each_of_newcomers);
    } else if (paid == toll::all) {
        all_.give_back(each_of_all);
    }
    known_as(hash) = {mark_of(hash), now + known_for};
}

}  // namespace libp::app
