#pragma once

// The striping engine: one session between two ends, as a pure state machine.
//
//  -- what it is --
//
// A session carries any number of streams (each a duplex byte stream with a FIN each way) over any
// number of subflows (each a reliable, ordered byte pipe that may die). The engine cuts what
// streams send into frames, gives frames to whichever subflow asks for some, puts what arrives back
// in order, and when a subflow dies sends again what the peer had not confirmed. The bytes of a
// stream come out exact and in order, or the stream breaks.
//
// It does no I/O, reads no clock, and calls nobody: bytes and time go in, bytes, events and the
// next timer come out. The same engine runs in the product, in the simulator and under the fuzzer;
// a run is a function of its inputs.
//
//  -- driving it --
//
//     received(subflow, bytes)   bytes that arrived, in order, any split
//     transmit(subflow, out)     asks for frames, for a subflow that is not congested, until there
//                                are none
//     on_timer()                 when next_timer() is due
//     subflow_up / subflow_down  a subflow finished its handshake / is gone
//
// Any call may queue events (transmit() makes room, so streams become writable), make any subflow
// want to transmit, and move next_timer(). After a batch of calls: drain next_event(), ask every
// uncongested subflow to transmit(), the one of the soonest arrival() first, take_dead(), re-arm.
//
// The wire format is wire.h's; a subflow joins after its HELLOs were exchanged (handshake.h).
//
// Driver rule: frames appended to `out` by transmit() are the subflow's, in that order; the driver
// writes all of them or closes the subflow. Until the peer confirms them (PATH_ACK) the engine
// keeps them.
//
//  -- what goes where --
//
// A subflow that asks for frames may be given none although there is something to send: what is put
// on it now would arrive after other subflows have delivered it all, or fills a queue that is long
// enough already. The engine measures what each delivers and keeps in flight what that takes, and
// little more; it will have frames for that subflow when anything of this changes. A subflow that
// falls silent while others speak is suspect: what it carries goes elsewhere too, long before its
// carrier gives it up.
//
//  -- memory, by construction --
//
//  * receiving: a peer may only send a stream what it was granted (absolute CREDIT; the first bytes
//    of a stream, before OPEN_OK, up to the initial credit of our HELLO). The sum over all streams
//    of granted-and-not-yet-consumed never exceeds memory_budget: windows grow only out of what is
//    left of it, and every stream keeps a small floor.
//  * what is parked out of order is copied into a block of its own size where it would pin a much
//    larger one, so that memory is at most a small factor of the bytes granted. How many ranges are
//    parked is bounded too, for each stream and for all: by memory_budget.
//  * sending: a stream takes at most send_buffer bytes it has not framed yet, and frames at most
//    the peer's credit, itself bounded here by max_window.
//
//  * datagrams: each flow's queues, at both ends, are bounded, and all of them together by an
//    eighth of memory_budget each way. What came is charged to the same budget as grants are.
//
//  -- errors, by blast radius --
//
// A bad CRC or malformed frame costs that one subflow (received() returns the error; the driver
// closes it). Only a peer that breaks the protocol's logic (credit overrun, changed final size,
// impossible acknowledgement) loses the session. A stream that is reset breaks alone.
//
// A session that broke, or that we leave, has one frame left for each subflow, the GOAWAY that
// tells the peer: transmit it, then close. When the peer leaves, what it has sent on all subflows
// is taken in first, 5 s at most. Streams that are complete both ways by then are completed, the
// others break.

#include <libp/block.h>
#include <libp/chain.h>
#include <libp/error.h>
#include <libp/io_result.h>
#include <libp/socket.h>
#include <libp/time.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace libp::stripe {

using subflow_id = std::uint32_t;
using stream_id = std::uint32_t;

// Which subflow carries what.
enum class scheduler : std::uint8_t {
    automatic,    // by when a frame would arrive: a subflow is used where that helps the whole
    round_robin,  // in turn, frame by frame
    congestion,   // whichever is not congested
    redundant,    // every frame on every subflow
    backup,       // the lowest rank that lives
};

struct subflow_options {
    bool payload_crc = true;  // DATA sent on it carries a CRC-32C of its payload
    // Those of a greater rank are spared while one of a lower rank lives: 0 for all but backups.
    std::uint8_t rank = 0;
    duration rtt{0};  // measured by the handshake; 0: not known
    // Those of the same number take the same way, and are likely to fail together; 0: nobody knows.
    std::uint32_t path = 0;
};

struct engine_options {
    bool even = true;  // our streams have even ids; the peer's odd (see handshake.h, tie-break)
    stripe::scheduler scheduler = stripe::scheduler::automatic;
    std::uint32_t max_frame = 128 * 1024;  // payload bytes of a frame; the smaller of both HELLOs
    std::uint32_t max_streams = 16384;     // open at once, both sides' together
    // From the peer's HELLO: what a stream may send before OPEN_OK.
    std::uint64_t peer_initial_credit = 0;
    // What our HELLO promised; max_streams of it fit half the budget.
    std::uint64_t own_initial_credit = 2 * kib;
    // So many of the streams that the peer opens next are granted so much in advance; less where
    // the budget is small.
    std::size_t streams_ahead = 0;
    std::size_t window_ahead = 256 * kib;
    std::size_t memory_budget = 64 * mib;
    // What a stream is granted once it is accepted, budget permitting.
    std::size_t first_window = 4 * mib;
    std::size_t max_window = 64 * mib;
    std::size_t send_buffer = 256 * kib;
    duration heartbeat{
        15s};  // a subflow on which nothing was received for that long is sent a PING
    duration dead_after{60s};  // ... and one that answers nothing for that long is given up
    bool datagrams = false;    // both HELLOs say that flows of datagrams are taken
};

// What OPEN carries.
struct open_request {
    // "HOST:PORT", at most wire::target_max bytes; empty: wherever the far end's streams go. What a
    // peer sent is any bytes: see target_name.
    std::string target;
    bool interactive = false;
    // A flow of datagrams instead of a stream.
    bool datagrams = false;
    // Of a flow, for both ends: how long a datagram is worth sending (0: always), and whether each
    // is sent twice, by two ways, as long as the flow is small.
    duration ttl{0};
    bool twice = false;
};

struct event {
    enum class kind : std::uint8_t {
        stream_opened,     // the peer opened `id`; `request`. Answer with accept() or refuse()
        stream_ready,      // our OPEN was answered by OPEN_OK
        stream_readable,   // read(), or next_datagram(), has something to say again
        stream_writable,   // write() takes bytes again
        stream_fin_acked,  // the peer has all we sent, and our FIN
        stream_broken,     // `why`; the id is dead, forget it
        // The session broke, but of this stream everything had come and was confirmed, both ways:
        // `unread`, and then the end. The id is dead.
        stream_completed,
        session_broken,   // `why`; every stream was reported broken, or completed, before
        subflow_limited,  // what limits `subflow` is another thing than before: see its stats
    };
    kind what;
    stream_id id = 0;
    subflow_id subflow = 0;
    error why{};
    open_request request{};
    // stream_broken, stream_completed: what had arrived in order and was not read. It stays
    // readable above; the engine no longer counts it.
    chain unread{};
};

enum class subflow_state : std::uint8_t {
    good,
    suspect,  // silent for longer than it ever should: nothing new is sent on it
    stale,    // ... for so long that everything on it is sent again elsewhere
};

// What keeps a subflow that has more to carry from carrying it.
enum class subflow_limit : std::uint8_t {
    unknown,
    // Its connection's congestion window, over a path that is not full: more would carry more.
    window,
    path,  // the path, which is full
};

struct subflow_stats {
    std::uint64_t sent_bytes = 0;  // everything, headers included
    std::uint64_t received_bytes = 0;
    std::uint64_t data_sent = 0;  // payload of DATA, first sending and re-sending
    std::uint64_t data_received = 0;
    // Payload sent here that was sent before elsewhere: its subflow died, is silent, or late.
    std::uint64_t resent = 0;
    // Times that it had room and got nothing of what there was to send: it would have come too late
    // to help.
    std::uint64_t declined = 0;
    std::size_t in_flight = 0;  // sent and not confirmed by PATH_ACK
    std::size_t allowance = 0;  // what may be in flight at most
    double rate = 0;            // bytes per second it delivers; 0: not measured yet
    duration srtt{0};
    duration rtt_min{0};
    subflow_state state = subflow_state::good;
    subflow_limit limit = subflow_limit::unknown;       // of what we send
    subflow_limit peer_limit = subflow_limit::unknown;  // of what the peer sends, as it says
};

// What became of datagrams, at one end. None is ever sent again.
struct datagram_stats {
    std::uint64_t sent = 0, copies = 0;  // frames: the first of each, the second
    std::uint64_t received = 0;          // and queued
    // A copy of one that had come, or nobody knows any more whether it had.
    std::uint64_t repeated = 0;
    std::uint64_t late = 0;     // dropped before it was sent: it would have come after its time
    std::uint64_t overrun = 0;  // dropped unsent: newer ones came faster than they could go
    std::uint64_t unread = 0;   // received, and dropped: not read in time, or newer ones came
    std::uint64_t unsure = 0;   // frames sent on a subflow that died before it confirmed them
};

class engine {
  public:
    engine(block_pool& blocks, const engine_options& options, instant now);
    ~engine();
    engine(const engine&) = delete;
    engine& operator=(const engine&) = delete;

    // -- subflows ------------------------------------------------------------------------------

    void subflow_up(subflow_id id, const subflow_options& options, instant now);
    // The subflow takes no more for now (true), or takes bytes again. One that is congested is not
    // asked to transmit.
    void set_congested(subflow_id id, bool congested, instant now);
    // What the system says of its connection, from time to time while it is used.
    void look_at(subflow_id id, const tcp_state& tcp, instant now);
    // Nothing new is sent on it by either end from now on. When both know that all arrived it has
    // drained: the driver writes what it has of it, closes it, and nothing is sent again. The peer
    // may begin this too.
    void drain(subflow_id id, instant now);
    bool drained(subflow_id id) const;
    // Everything unconfirmed on it is queued to be sent again.
    void subflow_down(subflow_id id, instant now);
    // Whether what received() is given next, or was given last, has more right behind it that the
    // driver is about to take. Confirmations then wait for that, up to 256 KiB of them, rather than
    // cost a write for every 64.
    void set_more_waits(subflow_id id, bool more);
    // Consumes the whole chain. An error means: close this subflow (and call subflow_down).
    error received(subflow_id id, chain&& data, instant now);
    // True while transmit() has something for this subflow.
    bool wants_transmit(subflow_id id, instant now) const;
    // Appends whole frames, at least one if wants_transmit(), until about `budget` bytes; returns
    // the bytes added.
    std::size_t transmit(subflow_id id, chain& out, std::size_t budget, instant now);
    // In how many seconds something small that is sent on it now would have arrived, for all that
    // is known. Those that are soonest are best asked first: the first bytes of a stream are then
    // on the fastest.
    double arrival(subflow_id id) const;
    // Subflows that did not answer for dead_after; the driver closes them and calls subflow_down.
    std::vector<subflow_id> take_dead();
    subflow_stats stats(subflow_id id) const;
    // For what is sent from now on.
    void set_scheduler(scheduler s);
    // Ends the session: what streams there are break, without events, and each subflow has its
    // GOAWAY to send.
    void leave(instant now);
    // The peer has said that it leaves: nothing new is to begin.
    bool peer_leaves() const;
    // Neither end goes on with it.
    bool is_over() const;

    // -- streams -------------------------------------------------------------------------------

    // An id that is dead, or never was, is legal everywhere: write() and read() say broken, the
    // others do nothing.

    // A new stream; bytes may be written at once, as many before stream_ready as the peer's initial
    // credit, or its credit in advance, allows. 0: too many streams, or the session is broken.
    stream_id open(const open_request& request, instant now);
    void accept(stream_id id, instant now);
    void refuse(stream_id id, error why, instant now);

    // Takes bytes off the front of `data`, as many as send_buffer has room for, or `bound` if that
    // is less (> 0: what the driver can spare, which may change from call to call). ok, again (then
    // stream_writable follows), broken.
    io_result write(stream_id id, chain& data, instant now,
                    std::size_t bound = static_cast<std::size_t>(-1));
    // No more writes; stream_fin_acked follows when the peer has everything.
    void finish(stream_id id, instant now);
    // In-order bytes, at most `max`; reading grants the peer new credit. ok, again, fin, broken.
    io_result read(stream_id id, chain& to, std::size_t max, instant now);
    // Breaks it: the peer's end sees `why` (local_abort as peer_reset). Also how an owner lets go
    // of a stream that has not ended both ways. No event follows. A stream whose FIN was read and
    // whose own FIN was acknowledged is not broken by this: it ends as it would have.
    void abort(stream_id id, error why, instant now);
    // True when both directions have ended and been acknowledged: the id is forgotten.
    bool ended(stream_id id) const;
    // True when all of it has come and all we sent is acknowledged: nothing can happen to it any
    // more, though it may not be read yet.
    bool completed(stream_id id) const;

    // -- flows of datagrams ----------------------------------------------------------------------

    // A flow is opened by open() like a stream, and ended by finish() and abort(); write() and
    // read() are not for it. See wire.h, section 5.

    // What a datagram may have at most.
    std::size_t max_datagram() const noexcept;
    // Takes the whole chain as one datagram, which may be empty: at most max_datagram(), not after
    // finish(). It is let go of when it would arrive later than `ttl` from now (0: never), or when
    // others behind it have filled the queue. ok, broken.
    io_result send_datagram(stream_id id, chain&& datagram, duration ttl, instant now);
    // One datagram, whole. ok (also for one of 0 bytes), again, fin, broken.
    io_result next_datagram(stream_id id, chain& to, instant now);
    // Of a flow that is open; 0: of all there were.
    datagram_stats datagrams(stream_id id = 0) const;

    // -- output --------------------------------------------------------------------------------

    // The next event in order; false when there is none.
    bool next_event(event& out);
    instant next_timer() const;
    void on_timer(instant now);

    std::size_t open_streams() const;
    // Without those of which the peer has sent something, but no OPEN has come.
    std::size_t opened_streams() const;
    // Bytes received of a frame that has not come whole; 0 for a subflow that is not up.
    std::size_t unfinished(subflow_id id) const;
    // Bytes held: to be sent, sent and unconfirmed, received and unread.
    std::size_t memory() const;
    // Sum over streams that are open of granted - consumed; with what others are granted in
    // advance, never above memory_budget.
    std::uint64_t granted() const;
    // Debug and tests: aborts if an invariant does not hold.
    void check_invariants() const;
    // Tests: some bytes are left to subflows that have been silent for very long, though another
    // speaks. Not for long, if on_timer() comes when it is due.
    bool neglects_data(instant now) const;

  private:
    struct state;
    std::unique_ptr<state> state_;
};

}  // namespace libp::stripe
