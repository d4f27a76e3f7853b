#pragma once

// Many connections at once from one thread: each end of each sends pattern bytes, then FIN, and
// checks every byte that comes to it up to the other's FIN. Clients and targets are driven by the
// same loop.
//
// A connection starts with its number, eight bytes, which tells the target's end whose bytes to
// expect and to answer with.

#include <e2e/peer.h>

#include <functional>
#include <string>

namespace libp::e2e {

struct traffic_plan {
    std::size_t connections = 1;
    std::uint64_t bytes = 32 * mib;  // each way, each connection; at least 8
    std::uint64_t seed = 1;
    bool try_again = false;  // a client whose connection breaks makes another, once `go` said yes

    // While it says no, nothing is sent but a client's first bytes, and the targets stay silent.
    // Asked at every turn, at least every 10 ms, with the number of connections that reached the
    // target.
    std::function<bool(std::size_t accepted)> go{};
};

struct traffic_report {
    std::size_t exact = 0;       // connections on which both ends got every byte and FIN
    std::size_t broken = 0;      // ends that saw an error
    std::size_t false_ends = 0;  // ends that saw FIN early, or a wrong byte
    std::string first_fault;     // empty: none

    std::string to_string() const;
};

// Through the relay at `address` to `server`. Returns when all connections are over; throws a
// failure when for the whole of test_patience() nothing moves.
traffic_report run_traffic(const std::string& address, target& server, const traffic_plan& plan);

// The same, and a failure unless every connection was exact and none broke.
void expect_exact_traffic(const std::string& address, target& server, const traffic_plan& plan);

}  // namespace libp::e2e
