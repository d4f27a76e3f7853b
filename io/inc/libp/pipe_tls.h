#pragma once

// TLS over any pipe: what is sent into it is encrypted and authenticated below it. Offers a stream
// above. Datagrams below carry a stream too: each is sent as full as it may be, and those that come
// are strung together; where one ends says nothing.
//
//  -- ready --
//
// The handshake begins once the pipe below is ready; `ready` rises when it is done and the server
// has proved to be whom the credentials ask for. A handshake that takes longer than its limit
// breaks the pipe (handshake_timeout).
//
// A client does not hear at once that a server refuses it: its own part of a TLS 1.3 handshake is
// over before the server has looked at its certificate. The refusal comes as a break (auth_failed)
// behind `ready`.
//
//  -- FIN --
//
// FIN is close_notify, either way alone, and the FIN of the pipe below behind it. A stream below
// that ends without close_notify was cut, or may have been: the pipe breaks (missing_close).
//
// When both ends have said close_notify, the second of fin_sent and fin_rcvd waits for the pipe
// below to end too, for a second at most: so that destroying a finished pipe cuts nothing that is
// still under way.
//
//  -- breaking --
//
// auth_failed       the peer does not accept us, or shows no certificate where one is demanded
// bad_certificate   the peer's certificate does not verify
// wrong_key         the two ends have no shared key in common, or different ones of one name
// no_tls            the first that came is no TLS. A server says so by an alert all the same, which
//                   an end of ours reads as tls_wanted
// protocol_error    what came was tampered with, or is no TLS that this end knows
// missing_close     see above; and whatever the pipe below breaks with
//
// What was received in whole records before the break stays readable.
//
//  -- memory, and what it costs --
//
// Sending: at most a batch (128 KiB; what keep_unsent() asks for, within 16 and 256 KiB) waits
// encrypted for the pipe below, which gets as many records as there are with one send(). Receiving:
// one read of 128 KiB, and what was decrypted of it. Nothing is held by an idle pipe but OpenSSL's
// own state. One copy into the cipher and one out of it, each way.
//
// At most 128 KiB from below are worked through in one go, and 16 KiB where the last time nothing
// came of it for the consumer: a peer may send key updates as fast as it can, which cost more to
// follow than to send.
//
// OpenSSL's memory is in no pool of ours, so whoever bounds memory counts it by the pipe. Measured,
// with OpenSSL 3.0: an idle connection is 7 (client) and 15 KiB (server) with a shared key, 21 and
// 25 KiB with certificates at both ends; without SSL_MODE_RELEASE_BUFFERS, which is set here, each
// would be 33 KiB more. A record that has come in part takes another 17 KiB until the rest is here.
// A stranger who says nothing costs 6 KiB, one who shakes hands 57 KiB, one who announces the
// longest greeting OpenSSL takes (128 KiB) 230 KiB.

#include <libp/event_loop.h>
#include <libp/io_pipe.h>
#include <libp/tls_credentials.h>

#include <memory>
#include <string>

namespace libp {

// What OpenSSL holds at most for one connection: while it is open, and while it shakes hands.
constexpr std::size_t tls_open_memory = 48 * kib;
constexpr std::size_t tls_handshake_memory = 256 * kib;

struct tls_pipe_options {
    // Client: who the server has to be, a DNS name or an IP address. A name is sent, too (SNI).
    std::string name{};
    duration handshake_timeout{5s};
};

// The credentials say which end this is, and outlive the pipe.
std::unique_ptr<io_pipe> make_tls_pipe(event_loop& loop, std::unique_ptr<io_pipe> lower,
                                       const tls_credentials& credentials,
                                       const tls_pipe_options& options = {});

}  // namespace libp
