#pragma once

// Bytes that say where they belong: a function of a seed and an offset, so that no copy of what was
// sent is needed to check what arrived, and a byte that is lost, doubled or out of order cannot go
// unseen.

#include <libp/types.h>

#include <algorithm>
#include <cstring>

namespace libp::e2e {

class pattern {
  public:
    explicit pattern(std::uint64_t seed) noexcept : seed_(seed) {}

    // The bytes from `offset` on.
    void fill(std::uint64_t offset, mutable_bytes out) const noexcept {
        std::size_t done = 0;
        while (done < out.size()) {
            std::uint64_t at = offset + done, w = word(at / 8);
            std::size_t skip = at % 8, n = std::min<std::size_t>(8 - skip, out.size() - done);
            std::uint8_t raw[8];
            std::memcpy(raw, &w, 8);
            std::memcpy(out.data() + done, raw + skip, n);
            done += n;
        }
    }

    // How many of these bytes are the ones from `offset` on, before the first that is not.
    std::size_t matching(std::uint64_t offset, bytes data) const noexcept {
        std::uint8_t expected[16 * kib];
        for (std::size_t done = 0; done < data.size();) {
            std::size_t n = std::min(data.size() - done, sizeof expected);
            fill(offset + done, {expected, n});
            if (std::memcmp(expected, data.data() + done, n) != 0) {
                for (std::size_t i = 0; i < n; ++i)
                    if (expected[i] != data[done + i]) return done + i;
            }
            done += n;
        }
        return data.size();
    }

  private:
    // splitmix64
    std::uint64_t word(std::uint64_t i) const noexcept {
        std::uint64_t z = (seed_ + i) * 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
    }

    std::uint64_t seed_;
};

}  // namespace libp::e2e
