#pragma once

// A chain: an ordered run of bytes held as slices of shared blocks. Bytes move between layers by
// moving slices; nothing is copied unless a method says so.
//
//  -- shape --
//
// size() counts bytes, slices() counts pieces. A piece is never empty. An empty chain holds no
// block, and keeps room for at most four slices: little enough that thousands of idle pipes may
// hold one each, enough that a pipe that passes a block at a time does not allocate every time.
//
//  -- ownership --
//
// A chain owns its references, not the blocks. Two chains may hold slices of one block (share); the
// bytes behind them are immutable from then on. The exception is append_copy, which fills the rest
// of the last block where nobody else holds that block.
//
//  -- cost --
//
// Appending, prepending, dropping and moving are O(pieces touched). Slices of one block that meet
// are joined into one as they are added, at either end: a header written in front of its payload in
// the payload's block leaves as one piece.

#include <libp/assert.h>
#include <libp/block.h>
#include <libp/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace libp {

struct slice {
    block_ref owner;  // empty: the bytes are static and live for ever
    const std::uint8_t* data = nullptr;
    std::size_t size = 0;

    bytes view() const noexcept { return {data, size}; }
};

class chain {
  public:
    chain() noexcept = default;
    chain(chain&&) noexcept;
    chain& operator=(chain&&) noexcept;
    chain(const chain&) = delete;  // say share if you mean it
    chain& operator=(const chain&) = delete;
    ~chain() = default;

    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }
    std::size_t slices() const noexcept { return count_; }
    // The i-th piece, i < slices(). Valid until the chain changes.
    const slice& operator[](std::size_t i) const noexcept {
        check(i < count_, "a chain has no such slice");
        return at(static_cast<std::uint32_t>(i));
    }

    // Adds at the end. The chain given is left empty. Empty slices are dropped.
    void append(slice s);
    void append(chain&& tail);
    // Adds in front.
    void prepend(slice s);
    void prepend(chain&& head);
    // Adds a copy at the end: into the last block if this chain is its only holder and there is
    // room, else into a new block of at least `reserve` bytes.
    void append_copy(block_pool& pool, bytes data, std::size_t reserve = 0);

    // Moves the first n bytes (n <= size()) to the end of `to`.
    void move_front(chain& to, std::size_t n);
    // Adds references to the n bytes (offset + n <= size()) from `offset` to the end of `to`; this
    // chain keeps its own.
    void share(chain& to, std::size_t offset, std::size_t n) const;
    // Lets go of the first n bytes (n <= size()).
    void drop_front(std::size_t n);
    void clear() noexcept;

    // Copies up to out.size() bytes from `offset` on; returns how many. The chain is unchanged.
    std::size_t copy_out(mutable_bytes out, std::size_t offset = 0) const noexcept;
    // For bytes that will be kept for long and must not pin large blocks: replaces the slices by
    // copies in new blocks, at most half of each wasted, if those hold less memory than the chain's
    // blocks do now. A block that others hold too counts in full, since nobody knows who lets go
    // last.
    void compact(block_pool& pool);

    // For tests and small messages: everything, as one string.
    std::string to_string() const;

  private:
    // What an empty chain may keep.
    static constexpr std::uint32_t idle_capacity = 4;

    slice& at(std::uint32_t i) const noexcept { return ring_[(first_ + i) & (capacity_ - 1)]; }
    void swap(chain& other) noexcept;
    void make_room();
    slice pop_front() noexcept;
    void release_ring() noexcept;

    // 1. capacity_ is 0 or a power of two; count_ <= capacity_.
    // 2. The live slices are at(0) ... at(count_ - 1); every other place of the ring is an empty
    //    slice.
    // 3. size_ is the sum of the live slices' sizes, none of which is 0.
    std::unique_ptr<slice[]> ring_;
    std::uint32_t capacity_ = 0;
    std::uint32_t first_ = 0;
    std::uint32_t count_ = 0;
    std::size_t size_ = 0;
};

// Folds the chain's bytes into a CRC-32C; see crc32c.h.
std::uint32_t crc32c(std::uint32_t sum, const chain& data) noexcept;

}  // namespace libp
