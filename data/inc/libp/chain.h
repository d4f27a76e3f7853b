#pragma once

// A chain: an ordered run of bytes held as slices of shared blocks. Bytes move between layers by
// moving slices; nothing is copied unless a method says so.
//
//  -- shape --
//
// size() counts bytes, slices() counts pieces. A piece is never empty. An empty chain owns no memory, so that thousands
// of idle pipes may hold one each.
//
//  -- ownership --
//
// A chain owns its references, not the blocks. Two chains may hold slices of one block (share_front);
// the bytes behind them are immutable from then on. The exception is append_copy, which fills the rest
// of the last block where nobody else holds that block.
//
//  -- cost --
//
// Appending, dropping and moving are O(pieces touched). Joining adjacent slices of one block into one
// is done on append.

#include <libp/block.h>
#include <libp/types.h>

#include <cstddef>
#include <string>
#include <vector>

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
    chain(const chain&) = delete;  // say share_front if you mean it
    chain& operator=(const chain&) = delete;
    ~chain() = default;

    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }
    std::size_t slices() const noexcept;
    const slice& operator[](std::size_t i) const noexcept;

    // Adds at the end. The chain given is left empty. Empty slices are dropped.
    void append(slice s);
    void append(chain&& tail);
    // Adds in front.
    void prepend(slice s);
    void prepend(chain&& head);
    // Adds a copy at the end: into the last block if this chain is its only holder and there is room, else
    // into a new block of at least `reserve` bytes.
    void append_copy(block_pool& pool, bytes data, std::size_t reserve = 0);

    // Moves the first n bytes (n <= size()) to the end of `to`.
    void move_front(chain& to, std::size_t n);
    // Adds references to the n bytes (offset + n <= size()) from `offset` to the end of `to`; this chain keeps its own.
    void share(chain& to, std::size_t offset, std::size_t n) const;
    // Lets go of the first n bytes (n <= size()).
    void drop_front(std::size_t n);
    void clear() noexcept;

    // Copies up to out.size() bytes from `offset` on; returns how many. The chain is unchanged.
    std::size_t copy_out(mutable_bytes out, std::size_t offset = 0) const noexcept;
    // The memory of a chain whose bytes must not pin large blocks: replaces its slices by copies in
    // blocks of the right size class if that holds less memory. Used before bytes are kept for long.
    void compact(block_pool& pool);

    // For tests and small messages: everything, as one string.
    std::string to_string() const;

  private:
    std::vector<slice> slices_;  // slices_[first_ ...] are live
    std::size_t first_ = 0;
    std::size_t size_ = 0;
};

// Folds the chain's bytes into a CRC-32C; see crc32c.h.
std::uint32_t crc32c(std::uint32_t sum, const chain& data) noexcept;

}  // namespace libp
