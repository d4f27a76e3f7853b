// What a chain costs in allocations, counted by this program's own operator new.

#include <gtest/gtest.h>
#include <libp/chain.h>

#include <cstdlib>
#include <new>

namespace {

thread_local std::size_t allocations = 0;

}  // namespace

void* operator new(std::size_t size) {
    ++allocations;
    if (void* p = std::malloc(size)) return p;
    throw std::bad_alloc();
}
void* operator new[](std::size_t size) {
    return operator new(size);
}
// Not inlined: g++ would then see free() meet new where gtest deletes a test, and warn.
[[gnu::noinline]] void operator delete(void* p) noexcept {
    std::free(p);
}
[[gnu::noinline]] void operator delete[](void* p) noexcept {
    std::free(p);
}
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept {
    std::free(p);
}
[[gnu::noinline]] void operator delete[](void* p, std::size_t) noexcept {
    std::free(p);
}

namespace libp {
namespace {

TEST(chain_memory_test, a_block_at_a_time_does_not_allocate) {
    block_pool pool;
    chain in, out;
    std::size_t warm = 0;
    for (int turn = 0; turn < 100; ++turn) {
        for (int piece = 0; piece < 4; ++piece) {
            block_ref b = pool.take(64 * kib);
            const std::uint8_t* const start = b->data();
            in.append(slice{std::move(b), start, 1000});
        }
        in.move_front(out, 1500);
        out.drop_front(out.size());
        in.move_front(out, in.size());
        out.clear();
        if (turn == 3) warm = allocations;
    }
    EXPECT_EQ(allocations, warm);
}

TEST(chain_memory_test, an_emptied_chain_does_not_keep_a_large_ring) {
    block_pool pool;
    const auto fill = [&](chain& c, int pieces) {
        for (int i = 0; i < pieces; ++i) {
            block_ref b = pool.take(1);
            const std::uint8_t* const start = b->data();
            c.append(slice{std::move(b), start, 1});
        }
    };
    chain c;
    fill(c, 1000);  // grows by doubling
    c.drop_front(1000);
    std::size_t before = allocations;
    fill(c, 1);
    EXPECT_EQ(allocations, before + 1) << "the ring of 1024 was kept";
    c.clear();
    before = allocations;
    fill(c, 1);
    EXPECT_EQ(allocations, before) << "the ring of 2 was not kept";
}

}  // namespace
}  // namespace libp
