#include <gtest/gtest.h>
#include <libp/list.h>

#include <deque>
#include <memory>
#include <vector>

#include "support/seed.h"

namespace libp {
namespace {

// Virtual, with the hooks far from the start: nothing about the layout is simple.
struct base {
    virtual ~base() = default;
    int pad = 0;
};
struct item final : base {
    explicit item(int n) : number(n) {}
    int number;
    list_hook hook;
    list_hook other_hook;
};

using list = intrusive_list<item, &item::hook>;
using other_list = intrusive_list<item, &item::other_hook>;

std::vector<int> numbers(const list& l) {
    std::vector<int> out;
    for (item* i = l.front(); i; i = l.next(*i))
        out.push_back(i->number);
    return out;
}

using ints = std::vector<int>;

TEST(list_test, keeps_order_at_both_ends) {
    list l;
    EXPECT_TRUE(l.empty());
    EXPECT_EQ(l.front(), nullptr);
    EXPECT_EQ(l.back(), nullptr);
    EXPECT_EQ(l.pop_front(), nullptr);
    item a(1), b(2), c(3);
    l.push_back(b);
    l.push_back(c);
    l.push_front(a);
    EXPECT_EQ(numbers(l), (ints{1, 2, 3}));
    EXPECT_EQ(l.front(), &a);
    EXPECT_EQ(l.back(), &c);
    EXPECT_EQ(l.pop_front(), &a);
    EXPECT_FALSE(a.hook.linked());
    EXPECT_EQ(numbers(l), (ints{2, 3}));
}

TEST(list_test, an_item_leaves_without_knowing_its_list) {
    list l;
    item a(1), b(2), c(3);
    for (item* i : {&a, &b, &c})
        l.push_back(*i);
    b.hook.unlink();
    EXPECT_EQ(numbers(l), (ints{1, 3}));
    b.hook.unlink();  // nothing happens
    l.push_back(b);
    EXPECT_EQ(numbers(l), (ints{1, 3, 2}));
}

TEST(list_test, an_item_that_dies_is_off_the_list) {
    list l;
    item a(1), c(3);
    l.push_back(a);
    {
        item b(2);
        l.push_back(b);
        l.push_back(c);
        EXPECT_EQ(numbers(l), (ints{1, 2, 3}));
    }
    EXPECT_EQ(numbers(l), (ints{1, 3}));
    {
        item only(9);
        list lonely;
        lonely.push_back(only);
    }
}

TEST(list_test, a_list_that_dies_leaves_its_items_unlinked) {
    item a(1), b(2);
    {
        list l;
        l.push_back(a);
        l.push_back(b);
    }
    EXPECT_FALSE(a.hook.linked());
    EXPECT_FALSE(b.hook.linked());
    list next;
    next.push_back(a);
    EXPECT_EQ(numbers(next), (ints{1}));
}

TEST(list_test, one_list_for_each_hook) {
    list l;
    other_list o;
    item a(1), b(2);
    l.push_back(a);
    l.push_back(b);
    o.push_front(a);
    o.push_front(b);
    EXPECT_EQ(o.front(), &b);
    EXPECT_EQ(o.next(b), &a);
    a.hook.unlink();
    EXPECT_EQ(o.back(), &a);
    EXPECT_EQ(numbers(l), (ints{2}));
}

TEST(list_test, takes_another_lists_items_behind_its_own) {
    list l, other;
    item a(1), b(2), c(3);
    l.push_back(a);
    other.push_back(b);
    other.push_back(c);
    l.take(other);
    EXPECT_TRUE(other.empty());
    EXPECT_EQ(numbers(l), (ints{1, 2, 3}));
    l.clear();
    EXPECT_TRUE(l.empty());
    EXPECT_FALSE(c.hook.linked());
}

TEST(list_death_test, linking_twice_is_a_bug) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    list l, other;
    item a(1);
    l.push_back(a);
    EXPECT_DEATH(other.push_back(a), "already on a list");
}

TEST(list_test, agrees_with_a_deque) {
    for (const std::uint64_t seed : test_seeds(50)) {
        SCOPED_TRACE(seed_note(seed));
        test_random random(seed);
        list lists[2];
        std::deque<int> models[2];
        std::vector<std::unique_ptr<item>> items;
        int next_number = 0;
        for (int step = 0; step < 300; ++step) {
            const std::uint64_t which = random.below(2);
            const std::uint64_t what = random.below(6);
            if (items.empty() || what < 2) {
                items.push_back(std::make_unique<item>(next_number++));
                if (what == 0) {
                    lists[which].push_front(*items.back());
                    models[which].push_front(items.back()->number);
                } else {
                    lists[which].push_back(*items.back());
                    models[which].push_back(items.back()->number);
                }
            } else if (what == 2) {
                if (item* i = lists[which].pop_front()) {
                    ASSERT_EQ(i->number, models[which].front());
                    models[which].pop_front();
                    std::erase_if(items, [i](const auto& p) { return p.get() == i; });
                }
            } else if (what == 3 && random.one_in(4)) {
                lists[which].take(lists[1 - which]);
                models[which].insert(models[which].end(), models[1 - which].begin(),
                                     models[1 - which].end());
                models[1 - which].clear();
            } else {
                // Dies while linked.
                const std::uint64_t at = random.below(items.size());
                for (auto& model : models)
                    std::erase(model, items[at]->number);
                items.erase(items.begin() + static_cast<std::ptrdiff_t>(at));
            }
            for (int i = 0; i < 2; ++i) {
                ASSERT_EQ(numbers(lists[i]), ints(models[i].begin(), models[i].end()));
            }
        }
    }
}

}  // namespace
}  // namespace libp
