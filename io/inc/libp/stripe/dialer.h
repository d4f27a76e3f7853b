#pragma once

// Keeps a session supplied with subflows: connects `subflows` of them, dealt over the paths, and dials again when one dies.
//
// The first try of each is immediate. After a failure the same place waits 100 ms, then twice as long each
// time up to 30 s, with a quarter of jitter either way so that many clients of a restarted server do
// not come back in step; a subflow that lived resets the wait. At most 4 connects are under way at once. (The shape is
// AWS's "exponential backoff and jitter"; the bounds are gRPC's connection back-off scaled to a server that restarts.)
//
// A path that fails is logged when it begins to fail and when it works again, not at every try.

#include <libp/endpoint.h>
#include <libp/io_connector.h>
#include <libp/stripe/node.h>

#include <memory>
#include <string>
#include <vector>

namespace libp::stripe {

struct path {
    endpoint to;
    connect_options socket{};
    std::string name{};  // for logs; empty: its endpoint
};

struct dialer_options {
    std::size_t subflows = 4;  // at least one for each path
    connector_options connect{};
    duration first_wait{100ms};
    duration longest_wait{30s};
};

class dialer final : public subflow_owner {
  public:
    // The node and the resolver outlive it. Begins at once.
    dialer(event_loop& loop, resolver& names, node& to, const log& out, std::vector<path> paths,
           const dialer_options& options);
    ~dialer() override;

    // Dials now whatever is waiting, and forgets how long it had to wait (SIGHUP, a changed address).
    void retry_now();
    // No further dials; what is up stays up.
    void stop();
    std::size_t up() const;
    // Why the last failed connect failed; no reason if none did.
    error last_failure() const;

    void subflow_ready(std::uint64_t token) override;
    void subflow_gone(std::uint64_t token, error why) override;

  private:
    struct core;
    std::unique_ptr<core> core_;
};

}  // namespace libp::stripe
