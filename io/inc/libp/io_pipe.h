#pragma once

// io_pipe: a duplex, reliable, ordered channel with the manners of a TCP socket, and the one
// interface that everything here is stacked from.
//
//  -- in short --
//
// A pipe is a row of flags (levels) and four calls. recv() takes bytes out, send() puts bytes in,
// send_fin() says that no more will be sent, reset() gives up. When a flag goes from 0 to 1 outside
// one of these calls, or inside one of them for a reason the caller cannot see from its result, the
// handler is told, with all the flags that rose since last time in one mask.
//
//     ready       the pipe is connected, and its own handshake (if it has one) is done
//     readable    recv() has something to say: bytes, a datagram, the FIN, or that the pipe broke
//     writable    send() will take something; never up after send_fin(). Before ready only where
//                 the protocol lets bytes go along with its first message, unanswered (a stream of
//                 a striped session): if the answer is no, they are lost, and the pipe broken
//     fin_wanted  send_fin() was called
//     fin_sent    our FIN, and all before it, has gone down as far as the pipe can follow: into the
//                 kernel for a socket, acknowledged by the peer for a striped stream
//     fin_rcvd    recv() has returned fin
//     broken      the pipe is dead; why() says why. Last and final.
//
//  -- edges --
//
// Flags are levels; the handler gets their 0 -> 1 edges. A consumer that stops receiving while
// `readable` is up gets no second edge for it: it comes back by itself (a deferred call), or when
// whatever it is waiting for lets it go on. The same with `writable`. A level falls only inside a
// call of the consumer's: readable when recv() returns again, fin, broken, or fewer bytes than
// asked for with nothing more at hand; writable when send() takes less than it was given, or took a
// datagram and has no room for another.
//
// attach() gives the pipe its handler. Flags that are already up are reported as one first mask,
// from the loop, so that a consumer need not look before it listens. attach({}) takes the handler
// away: it is not called any more.
//
//  -- when the handler runs --
//
// Only from the event loop: never inside attach, recv, send, send_fin or reset. What is found there
// is reported by a deferred call. The call to the handler is the last thing a pipe does in an
// event; the handler may call anything on the pipe, except destroy it: an owner that wants that
// retires it (event_loop::retire). A pipe destroyed inside its own handler is a bug (checked).
//
//  -- receiving --
//
// recv(to, max) appends slices of at most `max` bytes to `to`. On a stream that is any part of what
// came, and a max of 0 is a bug (checked); on a datagram pipe exactly one datagram, whatever max
// is, and a datagram may have no bytes. recv returns ok until the pipe has no more, then again;
// then fin, once and for ever after. The caller keeps what it got; the pipe keeps no reference to
// change it through.
//
//  -- sending --
//
// send(from) takes bytes off the front of `from`. A stream takes what it has room for, and `from`
// keeps the rest; a datagram pipe takes the whole chain as one datagram, or nothing (again). A
// datagram above max_datagram() breaks the pipe (oversize): the owner had to know. An empty chain
// is a zero-length datagram to a datagram pipe and nothing at all to a stream (ok, 0 bytes). Taken
// bytes are the pipe's to deliver; when it is congested it takes none, and its memory stays
// bounded.
//
//  -- FIN --
//
// send_fin() is asynchronous by definition: it raises fin_wanted, lowers writable, and the FIN
// follows the last byte taken; fin_sent rises when it went. Calling it again changes nothing.
// Sending after it is a bug (checked). On a broken pipe it does nothing. Receiving goes on: the two
// directions end one by one.
//
//     peer's FIN arrives behind data     recv: ok ... ok, then fin
//     peer's FIN, then ours              both fin_rcvd and fin_sent; the pipe is finished, may be
//                                        destroyed
//     our FIN, peer goes on sending      recv goes on for as long as it takes
//     peer vanishes before its FIN       broken, however much was received before
//
//  -- breaking --
//
// A pipe breaks when a call below it failed, when the peer broke the rules, or by reset(). `broken`
// is sticky and belongs to the layer that broke; a layer above it breaks for the same reason. What
// was received complete and in order before stays readable where the layer still has it; after that
// recv returns broken (where it has returned fin: fin). send and send_fin do nothing then: send
// returns broken, also after send_fin, and leaves `from` as it was.
//
// reset() makes the peer see an error, never a clean end, and breaks this end with local_abort.
// Destroying a pipe that has not both sent and received a FIN does the same. A cut stream never
// looks finished, through any stack, as far as the transport below can tell the two apart (a raw
// UNIX socket cannot, see pipe_socket.h; framing over it can).
//
//  -- ownership and threads --
//
// A pipe lives on one event loop and is used from its thread. An overlay owns the pipe below it:
// attaching consumes it. A pipe outlives no loop.

#include <libp/chain.h>
#include <libp/delegate.h>
#include <libp/error.h>
#include <libp/flags.h>
#include <libp/io_result.h>

#include <string>

namespace libp {

class splice_pipe;
struct tcp_state;

enum class io_flag : std::uint8_t {
    ready = 1,
    readable = 2,
    writable = 4,
    fin_wanted = 8,
    fin_sent = 16,
    fin_rcvd = 32,
    broken = 64,
};
using io_flags = flags<io_flag>;

// What the consumer gets called with: the flags that rose since it was last called.
using io_handler = delegate<void(io_flags risen)>;

enum class io_kind : std::uint8_t { stream, datagram };

class io_pipe {
  public:
    virtual ~io_pipe() = default;

    virtual io_kind kind() const noexcept = 0;
    // The largest datagram send() takes; for a stream, npos: no such bound.
    virtual std::size_t max_datagram() const noexcept { return static_cast<std::size_t>(-1); }

    // Sets the handler, replacing an earlier one. See "edges".
    virtual void attach(io_handler handler) = 0;
    virtual io_flags state() const noexcept = 0;

    virtual io_result recv(chain& to, std::size_t max) = 0;
    virtual io_result send(chain& from) = 0;
    virtual void send_fin() = 0;
    virtual void reset() = 0;

    // A hint: how many bytes that send() took may wait below without having left the machine; with
    // more the pipe is not writable. What waits there can no longer go another way. A layer passes
    // it down; whatever cannot do it does nothing.
    virtual void keep_unsent(std::size_t) {}
    // What the system knows of the connection at the bottom (get_tcp_state); false where it is not
    // TCP or nothing is known. A layer passes the question down.
    virtual bool get_tcp_state(tcp_state&) const noexcept { return false; }

    // Why the pipe broke; no reason while it has not.
    virtual error why() const noexcept = 0;
    // Who this is, application side first: "dgm < tcp 127.0.0.1:22". Appends to `out`.
    virtual void describe(std::string& out) const = 0;
    // Who the other end has proved to be, once ready: "key laptop", "certificate /CN=laptop".
    // Empty: nothing below asked. An overlay passes on what the pipe below says.
    virtual std::string peer_identity() const { return {}; }

    // A pipe that is nothing but a socket lets a bridge move bytes inside the kernel: these are
    // recv and send with a kernel pipe in the place of the chain, and the same effect on the flags.
    // Only legal where can_splice() is true. One difference: a kernel pipe that holds something may
    // be what is full; then recv_spliced says again and leaves readable up. Drain it first.
    virtual bool can_splice() const noexcept { return false; }
    virtual io_result recv_spliced(splice_pipe& to, std::size_t max);
    virtual io_result send_spliced(splice_pipe& from);

    bool has(io_flag f) const noexcept { return state().has(f); }
    // Both directions ended cleanly.
    bool finished() const noexcept { return has(io_flag::fin_sent) && has(io_flag::fin_rcvd); }
};

// describe() as a value.
std::string describe(const io_pipe& pipe);

}  // namespace libp
