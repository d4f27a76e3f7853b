#pragma once

// Bytes that nobody shall find in memory that is free again: keys, and the text they are read from.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace libp {

// Overwrites what it gives back. By writes that a compiler may not leave out, though nobody reads
// them.
template <class T>
struct wiping_allocator {
    using value_type = T;

    wiping_allocator() noexcept = default;
    template <class Other>
    wiping_allocator(const wiping_allocator<Other>&) noexcept {}

    T* allocate(std::size_t n) { return std::allocator<T>().allocate(n); }
    void deallocate(T* p, std::size_t n) noexcept {
        volatile unsigned char* at = reinterpret_cast<unsigned char*>(p);
        for (std::size_t i = 0; i < n * sizeof(T); ++i)
            at[i] = 0;
        std::allocator<T>().deallocate(p, n);
    }
    friend bool operator==(const wiping_allocator&, const wiping_allocator&) noexcept = default;
};

using secret_bytes = std::vector<std::uint8_t, wiping_allocator<std::uint8_t>>;
using secret_text = std::vector<char, wiping_allocator<char>>;

}  // namespace libp
