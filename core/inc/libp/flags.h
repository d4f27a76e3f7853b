#pragma once

// A set of enumerators, typed: flags<io_event> cannot be mixed with flags<something_else> or an
// int.
//
// The enumerators are bits (1, 2, 4 ...); the set is as wide as the enum's underlying type.

#include <type_traits>

namespace libp {

template <class E>
class flags {
  public:
    using raw_type = std::underlying_type_t<E>;

    constexpr flags() noexcept = default;
    constexpr flags(E bit) noexcept : raw_(static_cast<raw_type>(bit)) {}  // one bit is a set
    static constexpr flags from_raw(raw_type raw) noexcept { return flags(raw, 0); }

    constexpr raw_type raw() const noexcept { return raw_; }
    constexpr bool any() const noexcept { return raw_ != 0; }
    constexpr bool none() const noexcept { return raw_ == 0; }
    constexpr bool has(E bit) const noexcept { return (raw_ & static_cast<raw_type>(bit)) != 0; }

    constexpr flags& set(flags bits) noexcept { return *this = *this | bits; }
    constexpr flags& clear(flags bits) noexcept {
        return *this = from_raw(static_cast<raw_type>(raw_ & ~bits.raw_));
    }
    constexpr flags& put(E bit, bool on) noexcept { return on ? set(bit) : clear(bit); }

    friend constexpr flags operator|(flags a, flags b) noexcept {
        return from_raw(static_cast<raw_type>(a.raw_ | b.raw_));
    }
    friend constexpr flags operator&(flags a, flags b) noexcept {
        return from_raw(static_cast<raw_type>(a.raw_ & b.raw_));
    }
    // What is in a and not in b.
    friend constexpr flags operator-(flags a, flags b) noexcept {
        return from_raw(static_cast<raw_type>(a.raw_ & ~b.raw_));
    }
    friend constexpr bool operator==(flags, flags) noexcept = default;

  private:
    constexpr flags(raw_type raw, int) noexcept : raw_(raw) {}
    raw_type raw_ = 0;
};

}  // namespace libp
