#pragma once

// One subflow of a session: moves bytes between its pipe and the session's engine.
//
// Frames that the engine gave are written whole or the subflow dies: what the pipe did not take
// stays in `out_`, at most a batch, and nothing more is asked for before it is gone. Receiving
// never waits: what the engine is given it had granted.
//
//  -- little waits here --
//
// What a subflow has taken can go nowhere else, so it is given little that cannot leave at once. A
// batch is what the subflow delivers in 4 ms, and no more than the pipe proves to take; the layers
// below are asked to hold 10 ms' worth of unsent bytes (io_pipe::keep_unsent), looked at again at
// most every 100 ms and changed when it is off by a factor of two. The engine is told when the
// subflow stops taking bytes (set_congested) and when it goes on, and is shown what the system says
// of the connection.

#include <libp/event_loop.h>
#include <libp/io_pipe.h>
#include <libp/stripe/engine.h>

#include <memory>

#include "stripe/joining_pipe.h"

namespace libp::stripe {

class session;

class subflow_driver {
  public:
    static constexpr std::size_t smallest_batch = 16 * kib;
    static constexpr std::size_t largest_batch = 256 * kib;

    subflow_driver(event_loop& loop, session& of, subflow_id id, joining_pipe::parts parts,
                   subflow_origin origin);

    // Gives the engine what came in behind the handshake, and starts listening to the pipe.
    void start(chain first);
    // Sends what is left of a batch, or a new one. Returns the bytes that the pipe took.
    std::size_t transmit();
    // The last frames that the engine has for it, whether or not it takes bytes now; they may be
    // left for part().
    void transmit_last();
    // Nothing more is done with pipe or engine; why() says why. The pipe is reset.
    void die(error why);
    // The same, but nothing is lost: the pipe, and what is still to be sent on it, are the
    // caller's.
    joining_pipe::parts part(error why);

    subflow_id id() const noexcept { return id_; }
    const std::string& path() const noexcept { return origin_.path.name; }
    // What the subflows of one path have in common.
    const std::string& route() const noexcept { return origin_.route; }
    // When something last came in.
    instant heard() const noexcept { return heard_; }
    subflow_origin& origin() noexcept { return origin_; }
    bool dead() const noexcept { return bool(why_); }
    error why() const noexcept { return why_; }
    instant since() const noexcept { return since_; }
    // Bytes of a frame that has not come whole.
    std::size_t unfinished() const noexcept { return unfinished_; }
    // Nothing the engine gave waits for the pipe.
    bool all_written() const noexcept { return out_.empty(); }

  private:
    void on_pipe(io_flags risen);
    void on_more();
    void receive();
    void feed(chain&& data);
    void set_unfinished(std::size_t bytes);
    // Sends what is in out_; returns the bytes that the pipe took.
    std::size_t flush();
    // Asks the engine for a batch, and the pipe to keep no more unsent than suits the subflow's
    // rate.
    void fetch();
    void tell_congestion();
    // Lets the engine see, at most every 100 ms, what the system says of the connection.
    void look();

    event_loop& loop_;
    session& session_;
    const subflow_id id_;
    std::unique_ptr<io_pipe> pipe_;
    subflow_origin origin_;
    const instant since_;
    chain out_;
    std::size_t batch_ = 32 * kib;  // what the pipe seems to take at once
    std::size_t kept_unsent_ = 0;
    std::size_t unfinished_ = 0;
    instant keep_again_at_{}, look_again_at_{};
    instant heard_;
    bool congested_ = false;  // as the engine was told
    deferred more_;           // a turn's share was received and there is more
    error why_{};
};

}  // namespace libp::stripe
