#pragma once

// What a receive or a send came to: never an overloaded int.
//
//   ok      `bytes` > 0 moved (or, on a datagram pipe, one datagram, possibly of zero bytes)
//   again   nothing moved; the readiness that was assumed is gone, and its return will be reported
//   fin     receive only: the peer finished cleanly, there will be no more
//   broken  nothing moved and nothing ever will; `why` says why
//
// `bytes` is 0 for everything but ok; `why` is set for broken only.

#include <libp/error.h>

#include <cstddef>

namespace libp {

enum class io_status : std::uint8_t { ok, again, fin, broken };

struct io_result {
    io_status status = io_status::again;
    std::size_t bytes = 0;
    error why{};

    static io_result moved(std::size_t n) noexcept { return {io_status::ok, n, {}}; }
    static io_result again() noexcept { return {io_status::again, 0, {}}; }
    static io_result fin() noexcept { return {io_status::fin, 0, {}}; }
    static io_result broken(error e) noexcept { return {io_status::broken, 0, e}; }

    bool ok() const noexcept { return status == io_status::ok; }
};

}  // namespace libp
