#pragma once

// Where connections go: makes the far pipe of each.
//
// A relay connects to an address, a striping client opens a stream; the relay server does not know which.
// What it gets is a pipe that is ready, or why there is none.

#include <libp/compact_address.h>
#include <libp/delegate.h>
#include <libp/error.h>
#include <libp/io_pipe.h>

#include <memory>
#include <string>

namespace libp::app {

class far_end {
  public:
    // One try, under way until `done` was called. Destroying it cancels it; within `done` it is to be
    // retired instead.
    class attempt {
      public:
        virtual ~attempt() = default;
    };

    struct made {
        std::unique_ptr<io_pipe> pipe;  // nullptr: it failed
        error why{};
        compact_address at{};  // whom it leads to, where that is an address
    };
    using done = delegate<void(made)>;

    virtual ~far_end() = default;

    // `call` is called once, from the loop, never from within start().
    virtual std::unique_ptr<attempt> start(done call) = 0;
    // For logs, where there is no address: "unix:///run/x.sock", "stripe".
    virtual const std::string& name() const noexcept = 0;
};

}  // namespace libp::app
