#pragma once

// Blocks: reference-counted buffers from a pool, the memory that bytes live in while they pass.
//
// A block is filled once, by the kernel or by a codec, and then only read: many slices may share
// it, and it goes back to its pool when the last one lets go. Sizes come in classes (512 B, 4, 16,
// 64, 128 and 256 KiB), with a free list for each; a request above the largest is rounded up to 4
// KiB and never cached.
//
// Threads: a pool, its blocks and every reference to them belong to one thread (one event loop).
// The counts are plain integers.
//
// Lifetime: the pool outlives its blocks (checked when it dies).

#include <libp/assert.h>
#include <libp/types.h>

#include <cstddef>
#include <cstdint>
#include <utility>

namespace libp {

class block_pool;

class alignas(16) block {  // so that data(), right behind it, is aligned too
  public:
    std::uint8_t* data() noexcept { return reinterpret_cast<std::uint8_t*>(this + 1); }
    std::size_t capacity() const noexcept { return capacity_; }
    // How far the block has been filled. Whoever holds the only reference may fill on from here.
    std::size_t used() const noexcept { return used_; }
    void set_used(std::size_t n) noexcept {
        debug_check(n <= capacity_, "a block was filled past its end");
        used_ = static_cast<std::uint32_t>(n);
    }
    bool shared() const noexcept { return refs_ > 1; }

  private:
    friend class block_pool;
    friend class block_ref;

    block_pool* home_ = nullptr;
    block* next_free_ = nullptr;
    std::uint32_t refs_ = 0;
    std::uint32_t capacity_ = 0;
    std::uint32_t used_ = 0;
    std::uint32_t size_class_ = 0;
};

// One reference. Copying counts up, destroying counts down and may return the block to its pool.
class block_ref {
  public:
    block_ref() noexcept = default;
    block_ref(const block_ref& other) noexcept : block_(other.block_) {
        if (block_) ++block_->refs_;
    }
    block_ref(block_ref&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
    block_ref& operator=(block_ref other) noexcept {
        std::swap(block_, other.block_);
        return *this;
    }
    ~block_ref() {
        if (block_ && --block_->refs_ == 0) release();
    }

    explicit operator bool() const noexcept { return block_ != nullptr; }
    block* operator->() const noexcept { return block_; }
    block& operator*() const noexcept { return *block_; }
    friend bool operator==(const block_ref& a, const block_ref& b) noexcept {
        return a.block_ == b.block_;
    }

  private:
    friend class block_pool;
    explicit block_ref(block* b) noexcept : block_(b) { ++b->refs_; }
    void release() noexcept;

    block* block_ = nullptr;
};

class block_pool {
  public:
    // `keep_free`: how many bytes of unused blocks to hold on to for the next taker; the rest is
    // freed.
    explicit block_pool(std::size_t keep_free = 16 * mib) noexcept : keep_free_(keep_free) {}
    ~block_pool();
    block_pool(const block_pool&) = delete;
    block_pool& operator=(const block_pool&) = delete;

    // A block of at least `size` bytes (0 is as good as 1; at most max_size), empty (used() == 0),
    // referenced once. Its data() is aligned to 16 bytes and not cleared.
    block_ref take(std::size_t size);

    // Bytes in blocks that somebody holds, and in blocks waiting in the free lists.
    std::size_t in_use() const noexcept { return in_use_; }
    std::size_t cached() const noexcept { return cached_; }
    // Gives the free lists back to the system.
    void trim() noexcept;

    static constexpr std::size_t max_size = 1024 * mib;
    static constexpr std::size_t classes = 6;
    static constexpr std::size_t class_size[classes] = {512,      4 * kib,   16 * kib,
                                                        64 * kib, 128 * kib, 256 * kib};

  private:
    friend class block_ref;
    void give_back(block* b) noexcept;

    std::size_t keep_free_;
    std::size_t in_use_ = 0;
    std::size_t cached_ = 0;
    block* free_[classes] = {};
};

}  // namespace libp
