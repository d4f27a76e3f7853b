#pragma once

// Where connections go on to: makes the upstream pipe of each.
//
// A relay connects to an address, a striping client opens a stream; the relay server does not know
// which. What it gets is a pipe that takes bytes, or why there is none. A pipe that is not ready
// yet may still break for a reason that a connection was not made. The near side may have asked for
// a target of its own: whether it gets that is for the upstream to say.

#include <libp/compact_address.h>
#include <libp/delegate.h>
#include <libp/error.h>
#include <libp/io_pipe.h>

#include <memory>
#include <string>

namespace libp::app {

class upstream {
  public:
    // One try, under way until `done` was called. Destroying it cancels it; within `done` it is to
    // be retired instead.
    class attempt {
      public:
        virtual ~attempt() = default;
        // For logs: whom it is to lead to.
        virtual const std::string& name() const noexcept = 0;
    };

    struct made {
        std::unique_ptr<io_pipe> pipe;  // nullptr: it failed
        error why{};
        compact_address at{};  // whom it leads to, where that is an address
        std::string detail{};  // of `why`, for this end's log; empty: there is nothing to add
    };
    using done = delegate<void(made)>;

    virtual ~upstream() = default;

    // `wanted`: the target that the near side asks for, any bytes; empty: it asks for none. `call`
    // is called once, from the loop, never from within start().
    virtual std::unique_ptr<attempt> start(const std::string& wanted, done call) = 0;
    // For logs, where there is no address and no attempt: "unix:///run/x.sock", "stripe".
    virtual const std::string& name() const noexcept = 0;
};

}  // namespace libp::app
