#include "sim/stream_plan.h"

#include <algorithm>
#include <cstring>

namespace libp::stripe::sim {

std::uint64_t outcome::read_between(duration from, duration to) const {
    std::uint64_t n = 0;
    for (std::size_t i = static_cast<std::size_t>(from / 100ms);
         i < std::min(by_tenth.size(), static_cast<std::size_t>(to / 100ms)); ++i)
        n += by_tenth[i];
    return n;
}

void outcome::note_read(std::size_t n, instant now) {
    if (n == 0) return;
    if (read == 0)
        first_read = now;
    else
        longest_gap = std::max(longest_gap, now - last_read);
    last_read = now;
    const auto tenth = static_cast<std::size_t>((now - instant{}) / 100ms);
    if (by_tenth.size() <= tenth) by_tenth.resize(tenth + 1);
    by_tenth[tenth] += n;
}

namespace {

// The eight bytes that begin at 8 * `index`.
std::uint64_t pattern_word(std::uint64_t index, std::uint64_t key, int side) noexcept {
    std::uint64_t x = index * 0x9e3779b97f4a7c15u + key * 2 + static_cast<unsigned>(side);
    x ^= x >> 29;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 32;
    return x;
}

}  // namespace

void pattern(std::uint64_t key, int side, std::uint64_t offset, mutable_bytes out) {
    std::size_t done = 0;
    while (done < out.size()) {
        const std::uint64_t at = offset + done;
        const std::uint64_t word = pattern_word(at >> 3, key, side);
        const std::size_t skip = at & 7, left = out.size() - done;
        if (skip == 0 && left >= 8) {
            std::memcpy(out.data() + done, &word, 8);
            done += 8;
        } else {
            std::uint8_t piece[8];
            std::memcpy(piece, &word, 8);
            const std::size_t n = std::min<std::size_t>(8 - skip, left);
            std::memcpy(out.data() + done, piece + skip, n);
            done += n;
        }
    }
}

bool matches(std::uint64_t key, int side, std::uint64_t offset, const chain& data,
             std::uint64_t& wrong) {
    std::uint8_t expected[4096];
    for (std::size_t i = 0; i < data.slices(); ++i) {
        bytes rest = data[i].view();
        while (!rest.empty()) {
            const std::size_t n = std::min(rest.size(), sizeof expected);
            pattern(key, side, offset, {expected, n});
            if (std::memcmp(expected, rest.data(), n) != 0) {
                wrong = offset;
                while (expected[wrong - offset] == rest[wrong - offset])
                    ++wrong;
                return false;
            }
            offset += n;
            rest = rest.subspan(n);
        }
    }
    return true;
}

}  // namespace libp::stripe::sim
