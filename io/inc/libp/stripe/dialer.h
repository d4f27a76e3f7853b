#pragma once

// Keeps a session supplied with subflows: connects `subflows` of them, dealt over the paths, and
// dials again when one dies.
//
//  -- dealing --
//
// A path that says how many subflows it wants gets so many. What is left of `subflows` is dealt
// over the others by weight, at least one each.
//
// Then what was dealt is put to the test. A path all of whose subflows are held back by their
// congestion windows though it is not full (it loses packets) gets one more from each path that is
// full and has one to spare; that one is closed when the new one is up. The bytes carried in the
// second before and in the second after next say whether it paid. If it did not, it is undone, and
// that path gives nothing for a minute.
//
//  -- dialling again --
//
// The first try of each is immediate. After a failure the same place waits 100 ms, then twice as
// long each time, with a quarter of jitter either way and up to 30 s, so that many clients of a
// restarted server do not come back in step; a subflow that lived resets the wait. At most 4
// connects are under way at once. (The shape is AWS's "exponential backoff and jitter"; the bounds
// are gRPC's connection back-off scaled to a server that restarts.)
//
// A path that has none of its subflows left, or never had one and failed, is probed by one connect
// at a time; when that is up the others follow at once, or, if the last few were up for less than a
// second, a second later. While streams are open or wait for a session, it waits no longer than 750
// ms between two: somebody would notice. A path that has worked before gives a connect 2 s (from
// the name's resolution on): a connect's own retransmissions double their wait, and with many short
// tries a path that comes back is noticed within a second or two.
//
// While all that is up is silent (node::on_silence), one more connect is tried on each path: after
// a change of address the old connections never say another word, and TCP takes minutes to give
// them up. What comes up takes the place of the first that dies.
//
// A path that fails is logged when it begins to fail and when it works again, not at every try.

#include <libp/endpoint.h>
#include <libp/io_connector.h>
#include <libp/pipe_tls.h>
#include <libp/stripe/node.h>

#include <memory>
#include <string>
#include <vector>

namespace libp::stripe {

struct path {
    endpoint to;
    connect_options socket{};
    // For logs, at both ends; empty: its endpoint, and a number if that is another's name.
    std::string name{};
    std::size_t subflows = 0;  // exactly so many; 0: by weight
    unsigned weight = 1;       // > 0: its share of the subflows, relative to the others'
    std::uint8_t rank = 0;     // subflow_options
    bool payload_crc = true;
    const tls_credentials* tls = nullptr;  // its subflows are encrypted
    tls_pipe_options tls_options{};
    std::string congestion_control{};  // of its subflows here; empty: as connect.tcp says
};

struct dialer_options {
    std::size_t subflows = 4;  // of all paths together
    connector_options connect{};
    duration first_wait{100ms};
    duration longest_wait{30s};
    duration longest_wait_in_use{750ms};
    duration redial_timeout{2s};
    // Streams that wait are given up when every path has failed in a way that another try would not
    // change (refused, no such name, a wrong key, another version; not a handshake that was reset,
    // nor a server that is full), instead of when their time is up.
    bool one_shot = false;
    duration trial{1s};      // how long it is counted, before and after a subflow is dealt anew
    duration no_trial{60s};  // ... and how long not, after one that did not pay
};

// How many of `subflows` each path gets.
std::vector<std::size_t> deal_subflows(const std::vector<path>& paths, std::size_t subflows);

class dialer final : public subflow_owner {
  public:
    // The node and the resolver outlive it. Begins at once. It is the one that hears of the node's
    // on_want() and on_silence().
    dialer(event_loop& loop, resolver& names, node& to, const log& out, std::vector<path> paths,
           const dialer_options& options);
    ~dialer() override;

    // Dials now whatever is waiting, and forgets how long it had to wait (SIGHUP, a changed
    // address).
    void retry_now();
    // No further dials; what is up stays up.
    void stop();
    std::size_t up() const;
    // Of each path, in their order: why the last subflow that did not come up did not; no reason
    // where one has come up since, or none was tried.
    std::vector<error> failures() const;

    void subflow_ready(std::uint64_t token) override;
    void subflow_limited(std::uint64_t token, subflow_limit limit) override;
    void subflow_gone(std::uint64_t token, error why) override;

  private:
    struct core;
    std::unique_ptr<core> core_;
};

}  // namespace libp::stripe
