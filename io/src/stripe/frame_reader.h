#pragma once

// Cuts the bytes of a subflow into frames. Payloads are handed on as slices of the blocks they came
// in.
//
// A frame comes out only when it is whole and both its CRCs are right, and only if it is well
// formed (wire.h). After the first that is not, the reader is broken for good.
//
// Memory: nothing between frames; of one that is unfinished, up to max_frame bytes, which may hold
// the block that it began in (128 KiB at most) and four times the size of what came later
// (block_reader.h): five times max_frame. Which subflow goes when all of a node have too much of
// it, the node decides.

#include <libp/block.h>
#include <libp/chain.h>
#include <libp/error.h>
#include <libp/stripe/wire.h>

namespace libp::stripe {

struct frame {
    wire::header head;
    chain payload;
};

class frame_reader {
  public:
    frame_reader(block_pool& blocks, std::uint32_t max_frame) noexcept
        : blocks_(blocks), max_frame_(max_frame) {}

    void feed(chain&& data);
    // True: `out` is the next frame. False: there is no whole frame yet, or error() says what is
    // wrong.
    bool next(frame& out);
    const struct error& error() const noexcept { return error_; }
    std::size_t buffered() const noexcept { return in_.size(); }

  private:
    bool read_header();
    bool fail(reason why) noexcept {
        error_ = {why};
        return false;
    }

    block_pool& blocks_;
    std::uint32_t max_frame_;
    chain in_;
    wire::header head_;  // of the frame at the front of in_, if have_head_
    bool have_head_ = false;
    struct error error_ {};
};

}  // namespace libp::stripe
