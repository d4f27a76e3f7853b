#pragma once

// What limits a subflow: judged from what the system says of its TCP connection, looked at now and
// then while much is sent.
//
// Where bytes wait for TCP's window to open while the round trip is about the shortest there was,
// the path has room that the connection does not use: it is limited by loss, or by the sender's
// slow growth (RFC 7661 calls that cwnd-limited). Where nothing waits although as much is in flight
// as we allow, it is the path that is full. A look that shows neither (a queue stands, and bytes
// wait) counts for neither, and one at a subflow that has too little to send is none. Six looks of
// the last eight make a verdict; it is gone when less than three of them agree, and with the first
// look after a second without one: what was is judged anew, and the verdict said anew.

#include <libp/socket.h>
#include <libp/stripe/engine.h>

namespace libp::stripe {

class limit_judge {
  public:
    // `in_flight` and `allowance` as the engine counts them. True: the verdict has changed.
    bool look(const tcp_state& tcp, std::size_t in_flight, std::size_t allowance,
              instant now) noexcept;
    subflow_limit verdict() const noexcept { return verdict_; }

  private:
    std::uint8_t window_ = 0, path_ = 0;  // the last eight looks, a bit each
    subflow_limit verdict_ = subflow_limit::unknown;
    instant looked_{};
};

}  // namespace libp::stripe
