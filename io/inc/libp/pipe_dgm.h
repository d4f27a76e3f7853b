#pragma once

// Datagrams over a stream: each is sent as its length, a QUIC varint (RFC 9000 section 16), and its
// bytes. Needs a stream below, offers a datagram pipe above.
//
// A zero-length datagram is legal and arrives as one. A length above the bound breaks the pipe with
// `oversize` before a byte of it is stored; a stream below that ends inside a datagram is `truncated`, a
// break and never a FIN. FINs pass straight through, behind what was sent. A peer that speaks TLS is told from the first that it says, an
// alert or a client's greeting: what it breaks with is `tls_wanted`.
//
// Nothing is copied but the length: a datagram is received as the slices the pipe below delivered. Memory held: one unfinished datagram
// (at most max_datagram) and 16 KiB, or 256 KiB of whole ones, and on the sending side one datagram that the pipe below took only part of;
// while that is so the pipe is not writable.

#include <libp/event_loop.h>
#include <libp/io_pipe.h>

#include <memory>

namespace libp {

struct dgm_options {
    std::size_t max_datagram = 512 * kib;
};

std::unique_ptr<io_pipe> make_dgm_pipe(event_loop& loop, std::unique_ptr<io_pipe> lower,
                                       const dgm_options& options = {});

}  // namespace libp
