#include <libp/block.h>

#include <libp/assert.h>

#include <new>

namespace libp {

namespace {

// The smallest class that holds `size` bytes; block_pool::classes if none does.
std::size_t class_for(std::size_t size) noexcept {
    std::size_t c = 0;
    while (c < block_pool::classes && block_pool::class_size[c] < size)
        ++c;
    return c;
}

}  // namespace

block_pool::~block_pool() {
    check(in_use_ == 0, "a block pool died before its blocks");
    trim();
}

block_ref block_pool::take(std::size_t size) {
    const std::size_t c = class_for(size);
    block* b = c < classes ? free_[c] : nullptr;
    if (b) {
        free_[c] = std::exchange(b->next_free_, nullptr);
        cached_ -= b->capacity_;
    } else {
        check(size <= max_size, "a block is too large");
        const std::size_t capacity =
            c < classes ? class_size[c] : (size + 4 * kib - 1) / (4 * kib) * (4 * kib);
        b = new (::operator new(sizeof(block) + capacity)) block;
        b->home_ = this;
        b->capacity_ = static_cast<std::uint32_t>(capacity);
        b->size_class_ = static_cast<std::uint32_t>(c);
    }
    b->used_ = 0;
    in_use_ += b->capacity_;
    return block_ref(b);
}

void block_pool::give_back(block* b) noexcept {
    in_use_ -= b->capacity_;
    if (b->size_class_ >= classes || cached_ + b->capacity_ > keep_free_) {
        ::operator delete(b);
        return;
    }
    b->next_free_ = std::exchange(free_[b->size_class_], b);
    cached_ += b->capacity_;
}

void block_pool::trim() noexcept {
    for (block*& head : free_) {
        while (head)
            ::operator delete(std::exchange(head, head->next_free_));
    }
    cached_ = 0;
}

void block_ref::release() noexcept {
    block_->home_->give_back(block_);
}

}  // namespace libp
