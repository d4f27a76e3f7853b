#pragma once

// A value or the error that kept it from being made.
//
//     result<socket_address> a = socket_address::parse("[::1]:80");
//     if (!a) return a.error();
//     use(*a);
//
// Reading the value of a failed result is a bug (checked).

#include <libp/assert.h>
#include <libp/error.h>

#include <optional>
#include <utility>

namespace libp {

template <class T>
class [[nodiscard]] result {
  public:
    result(T value) : value_(std::move(value)) {}
    result(struct error e) : error_(e) { check(bool(e), "a failed result needs a reason"); }

    explicit operator bool() const noexcept { return value_.has_value(); }
    const struct error& error() const noexcept { return error_; }

    T& operator*() & { return checked(); }
    const T& operator*() const& { return const_cast<result*>(this)->checked(); }
    T&& operator*() && { return std::move(checked()); }
    T* operator->() { return &checked(); }
    const T* operator->() const { return &const_cast<result*>(this)->checked(); }

  private:
    T& checked() {
        check(value_.has_value(), "the value of a failed result was used");
        return *value_;
    }

    std::optional<T> value_;
    struct error error_ {};
};

}  // namespace libp
