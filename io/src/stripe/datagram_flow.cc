#include "stripe/datagram_flow.h"

#include <libp/assert.h>

#include <algorithm>
#include <utility>

namespace libp::stripe {

void datagram_queue::push(datagram&& d) {
    bytes_ += d.payload.size();
    all_.push_back(std::move(d));
}

datagram datagram_queue::take(std::size_t i) {
    datagram d = std::move(all_[i]);
    all_.erase(all_.begin() + static_cast<std::ptrdiff_t>(i));
    bytes_ -= d.payload.size();
    return d;
}

void datagram_queue::check_invariants() const {
    std::size_t bytes = 0;
    for (const datagram& d : all_)
        bytes += d.payload.size();
    check(bytes == bytes_, "a queue's bytes are miscounted");
    check(size() <= most_ && bytes <= most_bytes_, "a queue is longer than it may be");
}

bool number_window::admit(std::uint64_t number) noexcept {
    if (number > last_) {
        const std::uint64_t before = last_ / 64;
        const std::uint64_t ahead = std::min(number / 64 - before, words);
        for (std::uint64_t n = 1; n <= ahead; ++n)
            seen_[(before + n) % words] = 0;
        last_ = number;
    }
    if (last_ - number >= size) return false;
    std::uint64_t& word = seen_[number / 64 % words];
    const std::uint64_t bit = std::uint64_t{1} << (number % 64);
    return (std::exchange(word, word | bit) & bit) == 0;
}

}  // namespace libp::stripe
