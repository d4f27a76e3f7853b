#pragma once

// Connections that came in and still shake hands: strangers, who may never get any further.
//
// There are at most `most`; above it the oldest makes room, so that those who say nothing cannot
// keep out those who do: whoever knows what to say needs a round trip or two. The handshake's own
// deadline is the pipe's.

#include <kit/failure_budget.h>

#include <libp/compact_address.h>
#include <libp/event_loop.h>
#include <libp/io_pipe.h>
#include <libp/list.h>
#include <libp/socket_address.h>

#include <cstddef>
#include <memory>

namespace libp::app {

class handshakes {
  public:
    using arrival = delegate<void(std::unique_ptr<io_pipe>, const socket_address& peer,
                                  failure_budget::toll paid)>;

    using loss = delegate<void(error why, const socket_address& peer)>;

    // Called from the loop: `done` with each pipe that became ready, `lost` for each that broke
    // before.
    handshakes(event_loop& loop, std::size_t most, arrival done, loss lost) noexcept
        : loop_(loop), most_(most), done_(done), lost_(lost) {}
    ~handshakes();
    handshakes(const handshakes&) = delete;
    handshakes& operator=(const handshakes&) = delete;

    void add(std::unique_ptr<io_pipe> pipe, const socket_address& peer, failure_budget::toll paid);
    // The owner is full: who is ready stays here. And goes on, oldest first, until the owner is
    // full again.
    void hold() noexcept { held_ = true; }
    void release();
    // Gives all of them up.
    void clear();
    std::size_t size() const noexcept { return size_; }
    bool full() const noexcept { return size_ == most_; }

  private:
    struct stranger {
        stranger(handshakes& o, std::unique_ptr<io_pipe> p, const socket_address& at,
                 failure_budget::toll t)
            : of(o), pipe(std::move(p)), peer(at), paid(t) {}
        void on_pipe(io_flags risen) { of.on_pipe(*this, risen); }

        handshakes& of;
        std::unique_ptr<io_pipe> pipe;
        socket_address peer;
        failure_budget::toll paid;
        list_hook hook;
    };
    void on_pipe(stranger& who, io_flags risen);
    void pass_on(stranger& who);
    stranger& least_trusted() noexcept;
    std::unique_ptr<stranger> take(stranger& who);

    event_loop& loop_;
    const std::size_t most_;
    arrival done_;
    loss lost_;
    intrusive_list<stranger, &stranger::hook> waiting_;  // oldest first; owned
    std::size_t size_ = 0;
    bool held_ = false;
};

}  // namespace libp::app
