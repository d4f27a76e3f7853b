#pragma once

// An intrusive doubly linked list: the links live in the items, so linking never allocates, and an
// item can leave whatever list it is on in O(1) without knowing which.
//
//     struct job { list_hook hook; };
//     intrusive_list<job, &job::hook> todo;
//
// A hook unlinks itself when its item dies. A list does not own its items; when a list dies its
// items are left unlinked. An item may be on one list per hook; linking a linked hook is a bug
// (checked).

#include <libp/assert.h>

#include <cstddef>

namespace libp {

class list_hook {
  public:
    list_hook() noexcept = default;
    ~list_hook() { unlink(); }
    list_hook(const list_hook&) = delete;
    list_hook& operator=(const list_hook&) = delete;

    bool linked() const noexcept { return next_ != this; }

    // Leaves the list it is on; nothing happens if it is on none.
    void unlink() noexcept {
        prev_->next_ = next_;
        next_->prev_ = prev_;
        prev_ = next_ = this;
    }

  private:
    template <class T, list_hook T::*Hook>
    friend class intrusive_list;

    void insert_before(list_hook& at) noexcept {
        check(!linked(), "an item is already on a list");
        prev_ = at.prev_;
        next_ = &at;
        prev_->next_ = this;
        at.prev_ = this;
    }

    list_hook* prev_ = this;
    list_hook* next_ = this;
};

template <class T, list_hook T::*Hook>
class intrusive_list {
  public:
    intrusive_list() noexcept = default;
    ~intrusive_list() { clear(); }

    bool empty() const noexcept { return !head_.linked(); }

    void push_back(T& item) noexcept { (item.*Hook).insert_before(head_); }
    void push_front(T& item) noexcept { (item.*Hook).insert_before(*head_.next_); }

    // The ends; nullptr when empty.
    T* front() const noexcept { return empty() ? nullptr : item_of(head_.next_); }
    T* back() const noexcept { return empty() ? nullptr : item_of(head_.prev_); }
    T* pop_front() noexcept {
        T* item = front();
        if (item) (item->*Hook).unlink();
        return item;
    }
    // The one after `item`, nullptr at the end. Fetch it before removing `item`.
    T* next(const T& item) const noexcept {
        list_hook* h = (item.*Hook).next_;
        return h == &head_ ? nullptr : item_of(h);
    }

    // Moves everything from `other` to the end of this list.
    void take(intrusive_list& other) noexcept {
        while (T* item = other.pop_front())
            push_back(*item);
    }
    void clear() noexcept {
        while (pop_front()) {
        }
    }

  private:
    static T* item_of(list_hook* hook) noexcept {
        // The distance of the hook from the start of its item, measured on storage that is never
        // read.
        alignas(T) static unsigned char storage[sizeof(T)];
        T* probe = reinterpret_cast<T*>(storage);
        auto offset = reinterpret_cast<unsigned char*>(&(probe->*Hook)) - storage;
        return reinterpret_cast<T*>(reinterpret_cast<unsigned char*>(hook) - offset);
    }

    mutable list_hook head_;
};

}  // namespace libp
