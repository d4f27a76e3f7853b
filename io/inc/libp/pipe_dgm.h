#pragma once

// Datagrams over a stream: each is sent as its length, a QUIC varint (RFC 9000 section 16), and its
// bytes. Needs a stream below, offers a datagram pipe above.
//
// A zero-length datagram is legal and arrives as one. A length above the bound breaks the pipe with
// `oversize` before a byte of it is stored; a stream below that ends inside a datagram is
// `truncated`, a break and never a FIN. FINs pass straight through, behind what was sent. A peer
// that speaks TLS is told from the first that it says, an alert or a client's greeting: what it
// breaks with is `tls_wanted`.
//
// Nothing is copied but the length: a datagram is received as the slices the pipe below delivered.
// Memory held: one datagram's worth of what was received (dgm_memory()), and on the sending side
// one datagram that the pipe below took only part of; while that is so the pipe is not writable.

#include <libp/event_loop.h>
#include <libp/io_pipe.h>

#include <memory>

namespace libp {

struct dgm_options {
    std::size_t max_datagram = 512 * kib;
};

// The most that a pipe holds of what it received, in bytes: a datagram that is not here as a whole,
// or several that are, and a little of what follows.
constexpr std::size_t dgm_read_ahead = 16 * kib;
constexpr std::size_t dgm_memory(std::size_t max_datagram) noexcept {
    return max_datagram + dgm_read_ahead;
}

std::unique_ptr<io_pipe> make_dgm_pipe(event_loop& loop, std::unique_ptr<io_pipe> lower,
                                       const dgm_options& options = {});

}  // namespace libp
