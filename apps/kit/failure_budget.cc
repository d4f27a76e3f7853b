#include <kit/failure_budget.h>

#include <libp/random.h>
#include <libp/types.h>

namespace libp::app {

namespace {

constexpr duration each_of_one = 10ms, each_of_all = 4ms;
constexpr int most_of_one = 256, most_of_all = 512;

std::uint64_t random_number() {
    std::uint8_t random[8];
    fill_random(random);
    std::uint64_t n = 0;
    for (const std::uint8_t b : random)
        n = n << 8 | b;
    return n;
}

}  // namespace

failure_budget::failure_budget() : secret_(random_number()) {}

// By FNV-1a from a secret start, mixed: addresses that are alike end up apart.
failure_budget::bucket& failure_budget::of(const socket_address& from) noexcept {
    socket_address address = from;
    if (address.is_ip()) address.set_port(0);
    const auto* raw = reinterpret_cast<const unsigned char*>(address.raw());
    std::uint64_t h = secret_;
    for (std::size_t i = 0; i < address.raw_size(); ++i)
        h = (h ^ raw[i]) * 0x100000001b3;
    h = (h ^ h >> 32 ^ secret_ >> 7) * 0x9e3779b97f4a7c15;
    return by_address_[(h >> 32) % by_address_.size()];
}

bool failure_budget::admit(const socket_address& from, instant now) noexcept {
    bucket& one = of(from);
    if (!one.has(each_of_one, most_of_one, now) || !all_.has(each_of_all, most_of_all, now))
        return false;
    one.take(each_of_one, now);
    all_.take(each_of_all, now);
    return true;
}

void failure_budget::proved(const socket_address& from) noexcept {
    of(from).full_at -= each_of_one;
    all_.full_at -= each_of_all;
}

}  // namespace libp::app
