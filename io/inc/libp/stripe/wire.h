#pragma once

// The protocol stripe/1, byte for byte. This page is what another implementation is written from.
//
// All numbers are unsigned and big-endian. CRC is CRC-32C (crc32c.h).
//
//  -- 1. the carrier --
//
// A session runs over any number of subflows. A subflow is any reliable, ordered, two-way byte
// pipe: TCP, TLS, a UNIX socket, a chain of relays. Both ends speak first, there is no client and
// no server. A subflow is never half-closed: end of file is the death of a subflow and nothing
// else; the end of a stream is a frame.
//
//  -- 2. frames --
//
// A subflow carries frames and nothing between them:
//
//    0      1       2       4          8          12       16               24
//   +------+-------+-------+----------+----------+--------+----------------+-- - - --+----------+
//   | type | flags |  aux  |  length  |  stream  |  hcrc  |     offset     | payload | pcrc (4) |
//   +------+-------+-------+----------+----------+--------+----------------+-- - - --+----------+
//
//     length   bytes of payload; header and pcrc not counted
//     hcrc     CRC of bytes 0..11 followed by bytes 16..23; always there
//     pcrc     CRC of the payload; there if and only if the flag CRC is set, and then length > 0
//
// Flags: 0x01 FIN, 0x02 RESENT (what was sent before, elsewhere: set by the sender, ignored on
// receipt), 0x04 CRC. Whether payloads carry a CRC is the sender's choice, frame by frame; over a
// carrier that checks integrity itself (TLS) they need none.
//
//   type  name      stream  aux     offset             payload                   flags      elicits
//   0x01  HELLO     0       0       0                  section 3                 CRC        -
//   0x03  READY     0       0, 1    0                  none                      none       -
//   0x10  OPEN      id      class   opener's credit    TLVs, <= 1024             CRC        yes
//   0x11  OPEN_OK   id      0       acceptor's credit  none                      none       yes
//   0x12  DATA      id      0       of the first byte  <= max_frame              all        yes
//   0x13  RST       id      code    bytes sent         text, <= 256              CRC        yes
//   0x20  ACK       id      n <= 64 received up to     n ranges {u64, u64}       FIN, CRC   yes
//   0x21  CREDIT    id      0       limit              none                      none       yes
//   0x22  PATH_ACK  0       0       bytes received     u32 subflow, u32 delay_us CRC        no
//   0x23  PING      0       0       any number         padding, <= max_frame     CRC        yes
//   0x24  PONG      0       0       that number        none                      none       no
//   0x25  LIMIT     0       what    0                  none                      none       no
//   0x30  DGRAM     id      ttl_ms  number             <= 65507, max_frame       RESENT,CRC yes
//   0x38  DRAIN     0       0       0                  none                      none       yes
//   0x3f  GOAWAY    0       code    0                  text, <= 256              CRC        no
//   0x40-7f  extensions: skipped by length (<= max_frame) where not known; any flags; they elicit
//   0x80-ff  extensions that must be understood: where not known the session ends (GOAWAY
//            unsupported)
//
// The text of RST and GOAWAY is for people who read a trace: it may be left out (this end sends
// none), and is ignored on receipt.
//
// 0x02 (AUTH) and 0x14 (STOP) are reserved. A receiver has no use for STOP: its application gives
// up both directions of a stream or none, and for that there is RST. A type below 0x40 that is not
// in the table, a flag it does not list, a field that the table says is 0 and is not, a length out
// of bounds, a DATA without payload and FIN, or a wrong CRC: the *subflow* is closed at once
// without another word. What was sent on it and not confirmed is sent again elsewhere, so nothing
// is lost.
//
//  -- 3. how a subflow begins --
//
// Both ends send HELLO at once (flag CRC set). Its payload is 96 bytes and then TLVs, at most 4096
// in all:
//
//     magic "STR1" | ver_min u8 | ver_max u8 | features u16 | node_id [16] | instance [8] |
//     tag [16] | nonce [16] | max_frame u32 | max_streams u32 | initial_credit u64 |
//     heartbeat_ms u32 | reserved u32 | send_time_us u64
//
// The first eight bytes mean the same in every version, as do the frame that they are in and its
// bounds. This is version 1.
//
//     ver_min, ver_max  the versions that the sender speaks: 1 and 1
//     features          0x0001 it checks payload CRCs: set, ignored on receipt (all do);
//                       0x0002 it takes flows of datagrams: used if both ends have the bit.
//                       All other bits: 0, and ignored on receipt
//     node_id           whose end this is: random, or the same after every start of a server
//     instance          random, anew with every start and where this section says so
//     tag               16 zero bytes; the greater of both tags is a part of the session's name
//     nonce             random, anew for every subflow; its first four bytes number it, the others
//                       are ignored on receipt
//     max_frame         the largest payload that it takes; the smaller of both ends' counts
//     max_streams       how many streams may be open at once; the smaller of both ends' counts
//     initial_credit    what each stream that the peer opens begins with (section 6)
//     heartbeat_ms      after so long a silence it sends PING; ignored on receipt
//     reserved          0; ignored on receipt
//     send_time_us      0, or the sender's clock; ignored on receipt
//
// A TLV is u16 type, u16 length, value; an unknown one is skipped unless the top bit of its type is
// set, which refuses the subflow. Known, and all optional:
//
//     1  path   rank u8, then a name, text, at most 64 bytes: how an end ranks and calls the path
//               that it dialled over. For what an end sends a subflow's rank is the greater of both
//               ends' (0 where none is said): those of a greater rank are spared while one of a
//               lower rank lives. The name is for logs and tables.
//
// 16 KiB <= max_frame <= 1 MiB, max_streams >= 1, initial_credit < 2^62.
//
// Having accepted the peer's HELLO an end sends READY. Having received the peer's READY it may send
// frames. What both must agree on follows from the HELLOs alone: max_frame and max_streams are the
// smaller of both; the session is the unordered pair of (node_id, instance) and the greater of both
// tags; the end whose node_id || instance is lower is the even side (equal: both ends are one
// process, the subflow is closed); the subflow's number is the XOR of the first four bytes of the
// nonces. Anything wrong before READY closes the subflow without a reply.
//
// READY's aux is 1 if the session goes on: the sender has it, and knows that its peer had it before
// the sender's HELLO, because something of it had come by then, or it had lasted longer than a
// handshake may. Whoever has no such session then has ended it, and forgotten: it is not begun
// again, or what was done for it once would be done twice. That is answered by GOAWAY with
// session_lost behind READY.
//
// A HELLO that is right, and yet not wanted, is answered: by GOAWAY in place of READY, the same
// frame in every version, and the subflow is closed so that it arrives. (Behind READY a GOAWAY is
// the session's, section 8.) The code is one of
//
//     0x08 limit           there are as many sessions as there may be, or subflows of this one
//     0x2b session_lost    this session has ended, or one of the two instances has: another may
//                          begin
//     0x34 auth_failed     this session is with another peer
//     0x3b other_version   the versions do not overlap, or a TLV must be understood and is not
//                          known
//
// and any other says no more than that the subflow is closed. Another try would be refused for
// auth_failed and other_version again, and may end better after the rest. An end that is told
// session_lost, by a peer that it would have let join the session, ends what it has of it. Whoever
// dialled, has no session and meets session_lost, its own or the peer's, takes a new instance
// before it dials again.
//
//  -- 4. streams --
//
// A stream is opened by OPEN with an id never used before: even ids (from 2) by the even side, odd
// ids (from 1) by the odd, upwards by two. Class: 0 bulk, 1 interactive, 2 a flow of datagrams
// (section 5), which is refused (unsupported) where the feature is not used; there DGRAM is not in
// the table either. OPEN's TLVs (as in HELLO):
//
//     1  target  where the opener wants the stream to lead, at most once: "HOST:PORT", text. HOST
//                is an IPv4 address, an IPv6 address in brackets, or a name of at most 253 letters,
//                digits, '-', '_' and '.'; PORT is 1 to 65535, in digits. Without it the stream
//                leads where the acceptor says.
//     2  flow    of a flow: ttl_ms u16, copies u8
//
// The peer answers OPEN_OK or RST: unsupported or protocol for TLVs that it cannot read or a target
// that is none, not_allowed (0x38) for one that it will not connect to, and otherwise why it could
// not. Only the stream ends by that. The opener may send up to the peer's initial_credit before.
// What the peer sends behind OPEN_OK only, DATA and DGRAM, may overtake it and is as good an
// answer.
//
// Subflows do not keep step, so any frame of a stream may overtake its OPEN: the stream then begins
// with that frame, and with the initial credit. RST that overtakes OPEN uses up the id. Ids once
// used and now closed are remembered for ever (as ranges: ids are dense); whatever comes for them
// is confirmed and dropped. A frame other than OPEN, DATA, DGRAM, RST and CREDIT for an id that its
// owner never opened is an error, and so is each from its owner's peer but CREDIT in advance
// (section 6).
//
// DATA carries payload at its offset in the stream; FIN marks that the stream ends behind it. Data
// may come in any order, twice, and cut differently the second time. RST ends a stream at once in
// both directions; it is not answered.
//
// An end closes a stream for good when it has read the peer's bytes and FIN, an ACK with FIN for
// its own FIN has come, and its own ACK with FIN has been confirmed.
//
//  -- 5. flows of datagrams --
//
// A flow is a stream that carries datagrams instead of bytes. It is opened, answered, ended and
// confirmed as any stream; but its DATA has neither payload nor an offset, only FIN, credit does
// not apply to it, and DGRAM is for flows alone: all else is an error (protocol).
//
// A DGRAM is one datagram, of 0 bytes or more. Its number counts the flow's datagrams from 0, each
// way; ttl_ms is how much longer it is worth anything, 0: for ever. It may be sent as soon as the
// flow's OPEN, or OPEN_OK, has been. A DGRAM is sent once, or, the second time with RESENT, on two
// subflows; what was on a subflow that died is not sent again. The receiver hands datagrams on in
// the order in which they come, each number once: it remembers which of at least the last 1024 it
// has seen and drops what is below them. Nobody holds a sender back, so a receiver drops what its
// application does not read in time: the oldest, and what has lain there for longer than ttl_ms.
// The FIN does not wait for datagrams that are under way; what comes after the application has read
// it is dropped.
//
// What an end lets go of before it sends it is its own business. OPEN's TLV is what the opener asks
// for, and both ends may go by it: datagrams are worth sending for ttl_ms (0: always), and each is
// sent twice (copies 2), by two paths, while the flow has at most 64 kbit/s.
//
//  -- 6. credit --
//
// Credit is an absolute limit on the offsets of a stream: offset + length <= limit. It comes with
// OPEN, OPEN_OK and CREDIT; the greatest counts, so that frames that come late or twice change
// nothing. It begins at the initial_credit of the receiver's HELLO for streams the peer opens. How
// much is granted, and when, is the receiver's choice; nobody asks for more.
//
// It may be granted in advance, so that the first bytes of a stream need not wait for OPEN_OK:
// CREDIT for one of the next 64 ids that its receiver may open a stream with. A stream that then
// begins with that id has this credit, if it is more than the initial_credit.
//
//  -- 7. confirmation --
//
// Each end counts the bytes of the frames it sent and received on each subflow from the first frame
// behind READY on. PATH_ACK says, for one subflow, how many have been received, checked and
// processed; it may travel on any subflow, and only the highest counts. A receiver never drops a
// frame whose CRCs were right, so what PATH_ACK covers is delivered: the sender lets go of it.
// `delay_us` is how long the receiver held the last eliciting frame before it confirmed it. A frame
// that elicits is confirmed within 10 ms, or when 64 KiB are unconfirmed (256 while there is more
// that only has to be read; 16 for the first 256 KiB of a subflow, of which its sender knows
// nothing yet), or at once if it is PING or DRAIN. These are what senders count on, not limits that
// anything checks.
//
// When a subflow dies, what was sent on it and is not covered is sent again: DATA (but not frames
// that ACKs cover), OPEN, OPEN_OK, RST, and the current values of CREDIT and ACK. ACK says what has
// been received of a stream: everything below its offset, and the ranges (ascending, disjoint, not
// touching, above the offset); FIN set: the FIN too, and all before it. It is sent when a stream is
// complete, for all incomplete streams after a subflow died, and for a stream of which something
// came twice.
//
// An end that wants to be rid of a subflow, or has received DRAIN on it, says DRAIN there once, and
// puts nothing on it behind that but confirmations, PONG and PING. When both have said it, and each
// has confirmed what it received and seen its own confirmed, either closes it: nothing is to be
// sent again. Until then a subflow may die as ever.
//
// LIMIT says what keeps its sender from sending more on this subflow: 1 its connection's congestion
// window, while the path is not full, 2 the path, 0 neither for certain. Whoever dialled may want
// to know: more connections help in the first case and none in the second. Any other value reads as
// 0.
//
//  -- 8. goodbyes and errors --
//
// An end that is done with the session says GOAWAY with code 0 on every subflow, behind all else
// that it had for that one, and closes it. Before it does, what it confirmed of streams should
// itself have been confirmed (section 4): the peer cannot ask again. Subflows do not keep step, so
// the peer takes in what is still under way on the others. When each has brought GOAWAY or is gone,
// or 5 s after the first, the session is over at once: there is nothing to resume. A stream that
// was complete both ways has ended, read or not; all others break (aborted). No stream begins in a
// session whose other end has said GOAWAY.
//
// Frames that are well formed but impossible end the *session*, too: GOAWAY with a code on every
// subflow, which is then closed. The peer waits for nothing else.
//
//     0 none           no error: see above
//     1 protocol       OPEN_OK or OPEN from the wrong side, frames for streams never opened
//     3 flow_control   DATA or RST beyond the limit; credit of 2^62 or more
//     4 final_size     a FIN elsewhere than before, DATA beyond it, RST below what was sent
//     5 stream_id      stream 0, OPEN with the wrong parity
//     6 ack_range      ACK or PATH_ACK of what was not sent, ranges out of order
//     7 unsupported    an extension that must be understood
//     8 limit          more unfinished business than any sane peer has (gaps in ids, resets)
//
// RST says why a stream ended, and GOAWAY why one does not begin a subflow, by the codes above or
// by these. An unknown code reads as aborted.
//
//     0x20 aborted             0x27 resolve_failed    0x2e refused_by_peer   0x35 bad_certificate
//     0x21 refused             0x28 truncated         0x2f address_in_use    0x36 wrong_key
//     0x22 unreachable         0x29 checksum_error    0x30 permission        0x37 missing_close
//     0x23 timed_out           0x2a oversize          0x31 invalid           0x38 not_allowed
//     0x24 handshake_timeout   0x2b session_lost      0x32 drain_cut         0x39 tls_wanted
//     0x25 idle_timeout        0x2c peer_restarted    0x33 system            0x3a no_tls
//     0x26 linger_timeout      0x2d self_connect      0x34 auth_failed       0x3b other_version

#include <libp/error.h>
#include <libp/time.h>
#include <libp/types.h>

#include <cstdint>

namespace libp::stripe::wire {

inline constexpr std::size_t header_size = 24;
inline constexpr std::size_t trailer_size = 4;
inline constexpr std::size_t hello_size = 96;
inline constexpr std::size_t hello_max = 4096;
inline constexpr std::size_t path_name_max = 64;
inline constexpr std::size_t open_max = 1024;
inline constexpr std::size_t target_max = open_max - 11;
inline constexpr std::uint32_t datagram_max = 65507;
inline constexpr std::size_t text_max = 256;
inline constexpr std::size_t ranges_max = 64;
// How far ahead credit may be granted, in streams.
inline constexpr std::uint32_t streams_ahead_max = 64;
inline constexpr std::uint32_t smallest_max_frame = 16 * 1024;
inline constexpr std::uint32_t largest_max_frame = 1024 * 1024;
inline constexpr std::uint64_t credit_max = (std::uint64_t{1} << 62) - 1;

namespace type {
inline constexpr std::uint8_t hello = 0x01, ready = 0x03, open = 0x10, open_ok = 0x11, data = 0x12,
                              rst = 0x13, ack = 0x20, credit = 0x21, path_ack = 0x22, ping = 0x23,
                              pong = 0x24, limit = 0x25, dgram = 0x30, drain = 0x38, goaway = 0x3f,
                              first_ignorable = 0x40, first_critical = 0x80;
}

// TLVs of a HELLO, and of an OPEN. Those above `critical` refuse where they are not known.
namespace tlv {
inline constexpr std::uint16_t path = 1;
inline constexpr std::uint16_t target = 1, flow = 2;
inline constexpr std::uint16_t critical = 0x8000;
}  // namespace tlv

namespace feature {
inline constexpr std::uint16_t crc = 1, datagrams = 2;
}

// Classes of an OPEN; 0: bulk.
inline constexpr std::uint16_t class_interactive = 1, class_datagrams = 2;

namespace flag {
inline constexpr std::uint8_t fin = 0x01, resent = 0x02, crc = 0x04;
}

enum class code : std::uint16_t {
    none = 0,
    protocol = 1,
    flow_control = 3,
    final_size = 4,
    stream_id = 5,
    ack_range = 6,
    unsupported = 7,
    limit = 8,
    aborted = 0x20,  // and the rest of `reason`, see wire.cc
};

// What a stream's RST says for `why`, and what the receiver makes of it. local_abort here is
// peer_reset there.
std::uint16_t code_of(reason why) noexcept;
reason reason_of(std::uint16_t code) noexcept;

struct header {
    std::uint8_t type = 0;
    std::uint8_t flags = 0;
    std::uint16_t aux = 0;
    std::uint32_t length = 0;
    std::uint32_t stream = 0;
    std::uint64_t offset = 0;
    friend bool operator==(const header&, const header&) = default;

    bool has(std::uint8_t f) const noexcept { return (flags & f) != 0; }
    std::size_t frame_size() const noexcept {
        return header_size + length + (has(flag::crc) ? trailer_size : 0);
    }
};

// Writes header_size bytes, hcrc included.
void encode(const header& h, std::uint8_t* to) noexcept;
// Reads header_size bytes; false if hcrc does not match (`out` is then not to be used).
bool decode(const std::uint8_t* from, header& out) noexcept;

// Whether a frame may look like this at all: section 2's table. `max_frame` is the negotiated one.
bool well_formed(const header& h, std::uint32_t max_frame) noexcept;
// As TLVs and DGRAM have it: rounded up, at most 65.5 s; 0: none.
std::uint16_t ttl_ms(duration ttl) noexcept;
// Whether the receiver owes a PATH_ACK for it.
bool elicits(std::uint8_t type) noexcept;

}  // namespace libp::stripe::wire
