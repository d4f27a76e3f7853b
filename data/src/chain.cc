#include <libp/chain.h>

#include <libp/crc32c.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace libp {

namespace {

// True where `second` goes on in memory where `first` stops. Static bytes of two objects may meet
// by chance and still not be one object: only a block joins.
bool adjacent(const slice& first, const slice& second) noexcept {
    return first.owner && first.owner == second.owner && first.data + first.size == second.data;
}

// The size of the next block when `left` bytes are copied into blocks of which none is more than
// half wasted: the class that holds them all if they fill half of it, else one of a lower class,
// filled.
std::size_t snug_block(std::size_t left) noexcept {
    for (std::size_t c = 0; c < block_pool::classes; ++c) {
        const std::size_t size = block_pool::class_size[c];
        if (left > size) continue;
        return c == 0 || left > size / 2 ? size : block_pool::class_size[c - 1];
    }
    return block_pool::class_size[block_pool::classes - 1];
}

}  // namespace

// -- the ring -------------------------------------------------------------------------------------

chain::chain(chain&& other) noexcept {
    swap(other);
}

chain& chain::operator=(chain&& other) noexcept {
    if (this == &other) return *this;
    clear();
    swap(other);
    return *this;
}

void chain::swap(chain& other) noexcept {
    std::swap(ring_, other.ring_);
    std::swap(capacity_, other.capacity_);
    std::swap(first_, other.first_);
    std::swap(count_, other.count_);
    std::swap(size_, other.size_);
}

void chain::make_room() {
    if (count_ < capacity_) return;
    const std::uint32_t capacity = capacity_ ? 2 * capacity_ : 2;
    check(capacity > capacity_, "a chain has too many slices");
    auto ring = std::make_unique<slice[]>(capacity);
    for (std::uint32_t i = 0; i < count_; ++i)
        ring[i] = std::move(at(i));
    ring_ = std::move(ring);
    capacity_ = capacity;
    first_ = 0;
}

slice chain::pop_front() noexcept {
    slice s = std::exchange(at(0), slice{});
    size_ -= s.size;
    --count_;
    first_ = (first_ + 1) & (capacity_ - 1);
    if (count_ == 0) release_ring();
    return s;
}

void chain::release_ring() noexcept {
    first_ = 0;
    if (capacity_ <= idle_capacity) return;
    ring_.reset();
    capacity_ = 0;
}

void chain::clear() noexcept {
    while (count_ > 0)
        pop_front();
}

// -- adding ---------------------------------------------------------------------------------------

void chain::append(slice s) {
    if (s.size == 0) return;
    if (count_ > 0 && adjacent(at(count_ - 1), s)) {
        at(count_ - 1).size += s.size;
        size_ += s.size;
        return;
    }
    make_room();
    size_ += s.size;
    at(count_++) = std::move(s);
}

void chain::append(chain&& tail) {
    check(&tail != this, "a chain was appended to itself");
    if (empty()) {
        swap(tail);
        return;
    }
    while (!tail.empty())
        append(tail.pop_front());
}

void chain::prepend(slice s) {
    if (s.size == 0) return;
    if (count_ > 0 && adjacent(s, at(0))) {
        at(0).data = s.data;
        at(0).size += s.size;
        size_ += s.size;
        return;
    }
    make_room();
    first_ = (first_ + capacity_ - 1) & (capacity_ - 1);
    ++count_;
    size_ += s.size;
    at(0) = std::move(s);
}

void chain::prepend(chain&& head) {
    check(&head != this, "a chain was prepended to itself");
    if (empty()) {
        swap(head);
        return;
    }
    for (std::uint32_t i = head.count_; i-- > 0;)
        prepend(head.at(i));
    head.clear();
}

void chain::append_copy(block_pool& pool, bytes data, std::size_t reserve) {
    if (data.empty()) return;
    slice* last = count_ > 0 ? &at(count_ - 1) : nullptr;
    if (last && last->owner && !last->owner->shared()) {
        block& b = *last->owner;
        std::uint8_t* const end = b.data() + b.used();
        // The slice must end where the block's bytes end: what lies behind it then is free.
        if (last->data + last->size == end && data.size() <= b.capacity() - b.used()) {
            std::memcpy(end, data.data(), data.size());
            b.set_used(b.used() + data.size());
            last->size += data.size();
            size_ += data.size();
            return;
        }
    }
    block_ref b = pool.take(std::max(data.size(), reserve));
    std::memcpy(b->data(), data.data(), data.size());
    b->set_used(data.size());
    const std::uint8_t* const start = b->data();
    append(slice{std::move(b), start, data.size()});
}

// -- moving, sharing, dropping --------------------------------------------------------------------

void chain::move_front(chain& to, std::size_t n) {
    check(&to != this, "a chain was moved to itself");
    check(n <= size_, "more bytes were moved than a chain holds");
    if (n == size_) {
        to.append(std::move(*this));
        return;
    }
    while (n > 0 && n >= at(0).size) {
        n -= at(0).size;
        to.append(pop_front());
    }
    if (n == 0) return;
    to.append(slice{at(0).owner, at(0).data, n});
    drop_front(n);
}

void chain::share(chain& to, std::size_t offset, std::size_t n) const {
    check(&to != this, "a chain was shared with itself");
    check(offset <= size_ && n <= size_ - offset, "more bytes were shared than a chain holds");
    for (std::uint32_t i = 0; n > 0; ++i) {
        const slice& s = at(i);
        if (offset >= s.size) {
            offset -= s.size;
            continue;
        }
        const std::size_t part = std::min(n, s.size - offset);
        to.append(slice{s.owner, s.data + offset, part});
        n -= part;
        offset = 0;
    }
}

void chain::drop_front(std::size_t n) {
    check(n <= size_, "more bytes were dropped than a chain holds");
    while (n > 0 && n >= at(0).size)
        n -= pop_front().size;
    if (n == 0) return;
    at(0).data += n;
    at(0).size -= n;
    size_ -= n;
}

// -- copying --------------------------------------------------------------------------------------

std::size_t chain::copy_out(mutable_bytes out, std::size_t offset) const noexcept {
    std::size_t done = 0;
    for (std::uint32_t i = 0; i < count_ && done < out.size(); ++i) {
        const slice& s = at(i);
        if (offset >= s.size) {
            offset -= s.size;
            continue;
        }
        const std::size_t part = std::min(out.size() - done, s.size - offset);
        std::memcpy(out.data() + done, s.data + offset, part);
        done += part;
        offset = 0;
    }
    return done;
}

void chain::compact(block_pool& pool) {
    std::size_t held = 0;
    for (std::uint32_t i = 0; i < count_; ++i) {
        const slice& s = at(i);
        if (s.owner && (i == 0 || at(i - 1).owner != s.owner)) held += s.owner->capacity();
    }
    std::size_t needed = 0;
    for (std::size_t left = size_; left > 0;) {
        const std::size_t next = snug_block(left);
        needed += next;
        left -= std::min(left, next);
    }
    if (needed >= held) return;

    chain copies;
    while (copies.size_ < size_) {
        block_ref b = pool.take(snug_block(size_ - copies.size_));
        const std::uint8_t* const start = b->data();
        const std::size_t n = copy_out({b->data(), b->capacity()}, copies.size_);
        b->set_used(n);
        copies.append(slice{std::move(b), start, n});
    }
    *this = std::move(copies);
}

std::string chain::to_string() const {
    std::string all;
    all.reserve(size_);
    for (std::uint32_t i = 0; i < count_; ++i)
        all += text_of(at(i).view());
    return all;
}

std::uint32_t crc32c(std::uint32_t sum, const chain& data) noexcept {
    for (std::size_t i = 0; i < data.slices(); ++i)
        sum = crc32c(sum, data[i].view());
    return sum;
}

}  // namespace libp
