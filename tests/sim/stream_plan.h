#pragma once

// What the applications at both ends of a simulated session do with a stream, and what became of it.

#include <libp/block.h>
#include <libp/chain.h>
#include <libp/error.h>
#include <libp/time.h>
#include <libp/types.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace libp::stripe::sim {

struct stream_plan {
    int opener = 0;
    std::uint64_t up = 0;    // bytes the opener sends
    std::uint64_t down = 0;  // bytes the acceptor sends
    bool interactive = false;
    std::size_t read_chunk[2] = {SIZE_MAX, SIZE_MAX};  // by end; 0: never reads
    duration read_every[2] = {duration{0}, duration{0}};
    std::size_t write_chunk = 64 * kib;
    std::int64_t abort_after[2] = {-1, -1};  // by end: aborts when it has read that much
    bool refuse = false;
    duration start{0};
    // The opener writes one chunk every so often, and the acceptor answers what it has read: `down` is to be the same as `up`.
    duration echo_every{0};
};

// What became of a plan at one end.
struct outcome {
    bool begun = false, ready = false, fin_read = false, fin_acked = false, ended = false;
    bool aborted = false;
    error broken{};
    std::uint64_t read = 0, written = 0;

    instant begun_at{}, first_read{}, last_read{};
    duration longest_gap{0};              // between two reads that brought something
    std::vector<std::uint64_t> by_tenth;  // bytes read, by tenth of a second from zero
    std::vector<duration> latencies;      // of echoes, at the end that asked

    // Bytes read between two moments.
    std::uint64_t read_between(duration from, duration to) const {
        std::uint64_t n = 0;
        for (std::size_t i = static_cast<std::size_t>(from / 100ms);
             i < std::min(by_tenth.size(), static_cast<std::size_t>(to / 100ms)); ++i)
            n += by_tenth[i];
        return n;
    }
    void note_read(std::size_t n, instant now) {
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
};

// The bytes at `offset` ... of what end `side` sends on stream `key`: eight at a time.
inline void pattern(std::uint64_t key, int side, std::uint64_t offset, mutable_bytes out) {
    std::size_t done = 0;
    while (done < out.size()) {
        const std::uint64_t at = offset + done;
        std::uint64_t x = (at >> 3) * 0x9e3779b97f4a7c15u + key * 2 + static_cast<unsigned>(side);
        x ^= x >> 29;
        x *= 0xbf58476d1ce4e5b9u;
        x ^= x >> 32;
        const std::size_t skip = at & 7;
        const std::size_t n = std::min<std::size_t>(8 - skip, out.size() - done);
        std::uint8_t word[8];
        std::memcpy(word, &x, 8);
        std::memcpy(out.data() + done, word + skip, n);
        done += n;
    }
}

// True if `data` is what the pattern says; else `wrong` is the first offset that is not.
inline bool matches(std::uint64_t key, int side, std::uint64_t offset, const chain& data,
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
