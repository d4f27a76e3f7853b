#pragma once

// Writes frames at the end of a chain. Headers, trailers and small payloads are packed one behind
// the other into a scratch block that all subflows of an engine share, so a DATA frame costs two
// slices (its payload, and the trailer of one frame joined with the header of the next) and no
// allocation of its own.

#include <libp/block.h>
#include <libp/chain.h>
#include <libp/stripe/wire.h>

namespace libp::stripe {

class frame_writer {
  public:
    explicit frame_writer(block_pool& blocks) noexcept : blocks_(blocks) {}

    // A frame whose payload is small: copied, with a CRC if asked for. Fills in length and flag
    // CRC. Returns its size.
    std::size_t small(chain& out, wire::header head, bytes payload = {}, bool with_crc = false);
    // A frame whose payload's slices are shared. `head` says length and flag CRC; `crc` is the
    // payload's.
    std::size_t shared(chain& out, const wire::header& head, const chain& payload,
                       std::uint32_t crc);

  private:
    void put(chain& out, bytes data);

    block_pool& blocks_;
    block_ref scratch_;
};

}  // namespace libp::stripe
