#include <gtest/gtest.h>
#include <libp/min_heap.h>

#include <map>
#include <memory>
#include <vector>

#include "support/seed.h"

namespace libp {
namespace {

struct entry {
    int key = 0;
    std::size_t heap_index = heap_none;
};

struct earlier {
    bool operator()(const entry& a, const entry& b) const { return a.key < b.key; }
};

using heap = min_heap<entry, earlier, &entry::heap_index>;

TEST(min_heap_test, the_smallest_is_on_top) {
    heap h;
    EXPECT_EQ(h.top(), nullptr);
    entry a{3}, b{1}, c{2};
    h.push(a);
    h.push(b);
    h.push(c);
    EXPECT_EQ(h.top(), &b);
    h.remove(b);
    EXPECT_EQ(b.heap_index, heap_none);
    EXPECT_EQ(h.top(), &c);
    a.key = 0;
    h.update(a);
    EXPECT_EQ(h.top(), &a);
    h.remove(c);
    h.remove(a);
    EXPECT_TRUE(h.empty());
    h.push(b);  // one that left may come back
    EXPECT_EQ(h.size(), 1u);
}

TEST(min_heap_death_test, misuse_is_a_bug) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    heap h, other;
    entry in{1}, out{2}, elsewhere{3};
    h.push(in);
    other.push(elsewhere);
    EXPECT_DEATH(h.push(in), "already in a heap");
    EXPECT_DEATH(h.remove(out), "not in this heap");
    EXPECT_DEATH(h.remove(elsewhere), "not in this heap");
    EXPECT_DEATH(h.update(out), "not in this heap");
}

TEST(min_heap_test, agrees_with_a_multimap) {
    for (const std::uint64_t seed : test_seeds(60)) {
        SCOPED_TRACE(seed_note(seed));
        test_random random(seed);
        heap h;
        std::vector<std::unique_ptr<entry>> items;
        std::multimap<int, entry*> model;
        const auto forget = [&](entry* e) {
            for (auto [at, end] = model.equal_range(e->key); at != end; ++at) {
                if (at->second == e) return (void)model.erase(at);
            }
        };
        const int key_space = 1 + static_cast<int>(random.below(60));  // small ones make ties
        const auto random_key = [&] {
            return static_cast<int>(random.below(static_cast<std::uint64_t>(key_space)));
        };
        for (int step = 0; step < 600; ++step) {
            const std::uint64_t what = random.below(5);
            if (items.empty() || what < 2) {
                items.push_back(std::make_unique<entry>(entry{random_key()}));
                h.push(*items.back());
                model.emplace(items.back()->key, items.back().get());
            } else if (what == 2) {
                entry* e = items[random.below(items.size())].get();
                forget(e);
                e->key = random_key();
                model.emplace(e->key, e);
                h.update(*e);
            } else {
                // The top, as a timer that fires; or any, as one that is cancelled.
                entry* e = what == 3 ? h.top() : items[random.below(items.size())].get();
                forget(e);
                h.remove(*e);
                std::erase_if(items, [e](const auto& p) { return p.get() == e; });
            }
            ASSERT_EQ(h.size(), model.size());
            ASSERT_EQ(h.empty(), model.empty());
            if (!model.empty()) {
                ASSERT_EQ(h.top()->key, model.begin()->first);
            }
        }
        for (; !h.empty(); h.remove(*h.top())) {
            ASSERT_EQ(h.top()->key, model.begin()->first);
            forget(h.top());
        }
        EXPECT_TRUE(model.empty());
    }
}

}  // namespace
}  // namespace libp
