#pragma once

// Reads from a descriptor into blocks whose size follows the flow. Private to io: sockets and plain
// descriptors read alike.
//
// A read goes into one block: of 16 KiB to begin with, of the next larger class (64, 128, 256 KiB)
// after a read that filled it, of the next smaller one after `patience` reads in a row that used
// less than a quarter of what was asked for. A read that used less than a quarter of its block is
// copied into one of its own size, so that what a consumer keeps never pins more than four times
// its memory, and the block goes straight back to the pool's free list, where the next reader finds
// it warm. Between reads nothing is held.

#include <libp/chain.h>
#include <libp/io_result.h>
#include <libp/os.h>

#include <span>

namespace libp {

class block_reader {
  public:
    using read_call = io_result (*)(fd_type, std::span<const mutable_bytes>) noexcept;

    struct outcome {
        io_result result;
        bool emptied = false;  // it came short: there is no more for now
    };
    // One call, of at most `max` (> 0) bytes, appended to `to`.
    outcome read(block_pool& pool, fd_type fd, read_call call, chain& to, std::size_t max);

  private:
    static constexpr std::uint8_t smallest = 2, largest = 5;  // indices into block_pool::class_size
    static constexpr std::uint8_t patience = 8;

    void adapt(std::size_t got, std::size_t want) noexcept;

    std::uint8_t class_ = smallest;
    std::uint8_t small_reads_ = 0;
};

}  // namespace libp
