#pragma once

// What the applications at both ends of a simulated session do with a stream, and what became of
// it.

#include <libp/block.h>
#include <libp/chain.h>
#include <libp/error.h>
#include <libp/time.h>
#include <libp/types.h>

#include <cstdint>
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
    // The opener writes one chunk every so often, and the acceptor answers what it has read: `down`
    // is to be the same as `up`.
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
    std::uint64_t read_between(duration from, duration to) const;
    void note_read(std::size_t n, instant now);
};

// The bytes at `offset` ... of what end `side` sends on stream `key`: eight at a time.
void pattern(std::uint64_t key, int side, std::uint64_t offset, mutable_bytes out);

// True if `data` is what the pattern says; else `wrong` is the first offset that is not.
bool matches(std::uint64_t key, int side, std::uint64_t offset, const chain& data,
             std::uint64_t& wrong);

}  // namespace libp::stripe::sim
