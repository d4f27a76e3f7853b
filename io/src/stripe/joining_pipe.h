#pragma once

// A pipe on its way to becoming a subflow: HELLO and READY are exchanged over it, within a
// deadline.
//
// Memory: at most one small read that the handshake has not consumed, and the two frames to be
// sent. Bytes behind the peer's READY are the engine's and are handed over with the pipe.

#include <libp/event_loop.h>
#include <libp/io_pipe.h>
#include <libp/stripe/handshake.h>
#include <libp/stripe/node.h>

#include <memory>
#include <optional>
#include <string>

namespace libp::stripe {

// Where a subflow came from: what to call it, and whom to tell.
struct subflow_origin {
    subflow_path path;
    subflow_owner* owner = nullptr;
    std::uint64_t token = 0;
    // The path's name as its owner says it, without the peer's address: what subflows of one path
    // have in common.
    std::string route{};
};

class joining_pipe {
  public:
    // Who decides. Calls come from the loop and are the joining pipe's last statement; the judge
    // then retires it.
    class judge {
      public:
        virtual ~judge() = default;
        // The peer's HELLO is known. An error refuses the subflow: failed() follows with it, and
        // the peer is to hear it.
        virtual error hello_came(joining_pipe& who) = 0;
        // Both ends are agreed: take pipe, leftovers and unsent bytes from `who`.
        virtual void shaken(joining_pipe& who) = 0;
        virtual void failed(joining_pipe& who, error why) = 0;
    };

    joining_pipe(event_loop& loop, judge& by, std::unique_ptr<io_pipe> pipe, const hello& own,
                 subflow_origin origin, duration limit);

    // From hello_came(): the peer must have had the session before this subflow began.
    void goes_on() noexcept { goes_on_ = true; }
    // From shaken(): the peer is told why it is not to be.
    void refuse(error why) { handshake_.refuse(why); }
    // Gives up, from the loop: failed() follows.
    void doom(error why) noexcept;
    bool doomed() const noexcept { return bool(doom_); }

    const handshake& greeting() const noexcept { return handshake_; }
    // The judge accepted it; it waits for the peer's READY.
    bool accepted() const noexcept { return accepted_; }
    subflow_origin& origin() noexcept { return origin_; }
    const io_pipe& pipe() const noexcept { return *pipe_; }
    instant since() const noexcept { return since_; }

    struct parts {
        std::unique_ptr<io_pipe> pipe;
        chain received;   // behind the handshake: the engine's
        chain unsent;     // of the handshake: goes before any frame, or before the end
        duration rtt{0};  // from our HELLO to the peer's READY; 0: not known
    };
    parts take();

  private:
    void on_pipe(io_flags risen);
    void on_deadline();
    void on_doom();
    // The error that ends the handshake, if one does.
    error receive();
    error consume();
    error send();

    event_loop& loop_;
    judge& judge_;
    std::unique_ptr<io_pipe> pipe_;
    handshake handshake_;
    subflow_origin origin_;
    const instant since_;
    chain in_, out_;
    timer deadline_;
    deferred doomed_;
    error doom_{};
    instant hello_sent_ = never;
    bool accepted_ = false, goes_on_ = false;
};

}  // namespace libp::stripe
