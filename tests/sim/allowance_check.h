#pragma once

// Whether a subflow carries no more than its allowance: looked at frame by frame, as the frames
// leave an engine, with what was in flight before each of them, for that is what the engine decided
// on. Later the allowance may shrink, and what is in flight stays what it is.
//
// DATA is sent where it and what is in flight fit into the allowance, and where nothing is in
// flight. Besides that
//
//   * what is new of a stream that sends little may find `hurry` bytes beyond the allowance:
//     somebody waits for it, and it does not wait for a bulk transfer's confirmations. What sends
//     little is worked out here from the frames alone.
//   * control frames always go. They count as what is in flight, so that data pays for them.
//   * datagrams have an allowance of their own, which is less (engine_datagrams.cc); with it they
//     stand beside the data.
//
// Headers and trailers of the frame itself are not counted before it is sent.

#include <libp/chain.h>
#include <libp/stripe/engine.h>
#include <libp/stripe/wire.h>

#include <map>
#include <string>
#include <vector>

namespace libp::stripe::sim {

class allowance_check {
  public:
    // What one transmit() of a subflow appended to nothing, with its figures before and after. Says
    // what must not be; empty: all is well.
    std::string look(const chain& out, const subflow_stats& before, std::size_t in_flight_after,
                     instant now);

  private:
    static constexpr std::size_t hurry = 64 * kib;
    static constexpr double sparse_rate = 64 * kib, sparse_burst = 64 * kib;

    struct sent_frame {
        wire::header head;
        std::size_t end;
    };
    struct usage {
        double recent = 0;
        instant at{};
    };

    bool may_go(const wire::header& h, std::size_t in_flight, std::size_t allowance, instant now);

    std::vector<sent_frame> frames_;
    std::map<stream_id, usage> new_bytes_;
};

}  // namespace libp::stripe::sim
