#pragma once

// What peers have been granted, kept below one budget.
//
// Every stream has a window: `limit` is how far the peer may send, `consumed` how far the
// application has read. The difference is memory the peer can make us hold. Invariants, after every
// call:
//
//   1. granted() = sum over windows of (what the peer may still make us hold)
//   2. charged() >= granted(): a stream whose peer may still send is charged at least the floor, so
//      that reading everything always leaves room to grant it the floor again, and no stream can be
//      starved for good
//   3. charged() <= budget
//   4. charged() includes what is kept besides, which is datagrams
//
// A window is admitted only if its floor fits. Windows grow above the floor out of the budget less
// a reserve for newcomers.

#include <libp/types.h>

#include <cstdint>

namespace libp::stripe {

struct window {
    std::uint64_t limit = 0;
    std::uint64_t consumed = 0;
    std::uint64_t size = 0;  // what a grant aims at: limit = consumed + size
    bool open = false;       // admitted
    bool final = false;      // `limit` is the stream's size; nothing more is granted

    std::uint64_t outstanding() const noexcept { return limit - consumed; }
};

class credit {
  public:
    credit(std::uint64_t budget, std::uint64_t floor, std::uint64_t first, std::uint64_t most,
           std::uint32_t max_streams) noexcept;

    // Takes a stream in, with `limit` granted already by the HELLO. False: there is no room for its
    // floor.
    bool admit(window& w, std::uint64_t limit) noexcept;
    // Takes in one that the peer has yet to open, with at most `limit`, and leaves the most of the
    // room to others. False: there is little.
    bool admit_ahead(window& w, std::uint64_t limit) noexcept;
    // Its first real window: a part of what is left, at most `first`.
    void grant_first(window& w) noexcept;
    // The application read n bytes. True if a new limit is to be told: when a quarter of the window
    // is read. So the sender has three quarters left while that is under way, and a limit that is
    // lost with its path is followed by others before the sender has to stop.
    bool consume(window& w, std::uint64_t n) noexcept;
    // Doubles it, budget permitting. True if a new limit is to be told.
    bool grow(window& w) noexcept;
    // The stream's size is known: what is granted beyond it comes back.
    void finish(window& w, std::uint64_t final_size) noexcept;
    void release(window& w) noexcept;

    // Something that came and that nobody granted: n bytes, of which there may be an eighth of the
    // budget in all. False: no room.
    bool keep(std::uint64_t n) noexcept;
    void let_go(std::uint64_t n) noexcept;
    std::uint64_t kept() const noexcept { return kept_; }

    std::uint64_t granted() const noexcept { return granted_; }
    std::uint64_t charged() const noexcept { return charged_; }
    std::uint64_t charge(const window& w) const noexcept;

  private:
    std::uint64_t room() const noexcept;
    void raise(window& w, std::uint64_t limit) noexcept;
    template <class Change>
    void recount(window& w, Change change) noexcept;

    const std::uint64_t budget_, floor_, first_, most_;
    const std::uint32_t max_streams_;
    std::uint64_t granted_ = 0;
    std::uint64_t charged_ = 0;
    std::uint64_t kept_ = 0;  // part of charged_
    std::uint64_t open_ = 0;
};

}  // namespace libp::stripe
