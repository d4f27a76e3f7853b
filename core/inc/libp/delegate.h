#pragma once

// A callback: an object and one of its methods, in two words.
//
// std::function owns a copy of its target and may allocate; an event loop holds thousands of
// callbacks whose targets it never owns. A delegate is a plain value: copying it copies the two
// words, and keeping the object alive is the business of whoever made the delegate.
//
//     struct door { void opened(int how_far); };
//     door d;
//     auto call = delegate<void(int)>::to<&door::opened>(d);
//     call(90);

#include <type_traits>
#include <utility>

namespace libp {

template <class Signature>
class delegate;

template <class R, class... Args>
class delegate<R(Args...)> {
  public:
    constexpr delegate() noexcept = default;

    // A delegate that calls `(object.*Method)(args...)`. `object` must outlive every call.
    template <auto Method, class T>
    static constexpr delegate to(T& object) noexcept {
        return delegate(const_cast<std::remove_cv_t<T>*>(&object),
                        [](void* self, Args... args) -> R {
                            return (static_cast<T*>(self)->*Method)(std::forward<Args>(args)...);
                        });
    }

    // A delegate that calls a callable that somebody else keeps alive (a lambda in a test, say).
    template <class F>
    static constexpr delegate of(F& callable) noexcept {
        return delegate(const_cast<std::remove_cv_t<F>*>(&callable),
                        [](void* self, Args... args) -> R {
                            return (*static_cast<F*>(self))(std::forward<Args>(args)...);
                        });
    }

    explicit operator bool() const noexcept { return call_ != nullptr; }
    R operator()(Args... args) const { return call_(self_, std::forward<Args>(args)...); }

  private:
    using call_type = R (*)(void*, Args...);
    constexpr delegate(void* self, call_type call) noexcept : self_(self), call_(call) {}

    void* self_ = nullptr;
    call_type call_ = nullptr;
};

}  // namespace libp
