#pragma once

// A binary min-heap whose items know where they are, so that any of them can be removed or re-keyed
// in O(log n): what a timer queue needs and std::priority_queue lacks.
//
//     struct entry { instant due; std::size_t heap_index = heap_none; };
//     min_heap<entry, earlier, &entry::heap_index> queue;
//
// The heap does not own its items. An item must leave the heap before it dies (its owner's
// destructor calls remove); heap_index is the heap's to write and everyone's to compare with
// heap_none.

#include <libp/assert.h>

#include <cstddef>
#include <vector>

namespace libp {

inline constexpr std::size_t heap_none = static_cast<std::size_t>(-1);

template <class T, class Less, std::size_t T::*Index>
class min_heap {
  public:
    bool empty() const noexcept { return items_.empty(); }
    std::size_t size() const noexcept { return items_.size(); }
    T* top() const noexcept { return items_.empty() ? nullptr : items_.front(); }

    void push(T& item) {
        check(item.*Index == heap_none, "an item is already in a heap");
        items_.push_back(&item);
        item.*Index = items_.size() - 1;
        rise(items_.size() - 1);
    }
    void remove(T& item) noexcept {
        const std::size_t at = item.*Index;
        check(at < items_.size() && items_[at] == &item, "an item is not in this heap");
        T* last = items_.back();
        items_.pop_back();
        item.*Index = heap_none;
        if (last == &item) return;
        place(at, last);
        rise(at);
        sink(last->*Index);
    }
    // Call after the item's key changed.
    void update(T& item) noexcept {
        const std::size_t at = item.*Index;
        check(at < items_.size() && items_[at] == &item, "an item is not in this heap");
        rise(at);
        sink(item.*Index);
    }

  private:
    void place(std::size_t at, T* item) noexcept {
        items_[at] = item;
        item->*Index = at;
    }
    void rise(std::size_t at) noexcept {
        T* item = items_[at];
        while (at > 0) {
            const std::size_t parent = (at - 1) / 2;
            if (!Less{}(*item, *items_[parent])) break;
            place(at, items_[parent]);
            at = parent;
        }
        place(at, item);
    }
    void sink(std::size_t at) noexcept {
        T* item = items_[at];
        for (;;) {
            std::size_t child = 2 * at + 1;
            if (child >= items_.size()) break;
            if (child + 1 < items_.size() && Less{}(*items_[child + 1], *items_[child])) ++child;
            if (!Less{}(*items_[child], *item)) break;
            place(at, items_[child]);
            at = child;
        }
        place(at, item);
    }

    std::vector<T*> items_;
};

}  // namespace libp
