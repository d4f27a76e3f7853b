#pragma once

// A node: this process's end of striped sessions. It shakes hands on subflows, sorts them into
// sessions, drives a session's engine, and offers each stream as an io_pipe.
//
//     client                                        server
//     dialer -> adopt(pipe) -> session              listener -> adopt(pipe) -> session
//     open_stream() -> io_pipe  ------------------> streams(pipe, request): accept() or refuse()
//
//  -- streams as pipes --
//
// A stream_pipe is a stream pipe (io_pipe.h) with these meanings: ready when the far end accepted
// it; writable once it is in a session, so that what is sent at once, up to the peer's initial
// credit, saves a round trip; fin_sent when the far end has acknowledged everything; broken when it
// was reset, refused, or its session was lost. Destroying it unfinished resets it at the far end.
// An accepted stream is ready at once for the server; accept() only after that.
//
// A flow of datagrams (open_request::datagrams) is a datagram pipe (io_pipe.h) with the same life.
// It is no reliable one: datagrams are lost, and change places, as UDP's do. It is writable as long
// as it lives, because new ones make the oldest go; each is worth sending for the request's `ttl`.
// When it breaks, what was not received is gone. Both nodes must take flows
// (engine_options::datagrams), else it breaks (unsupported).
//
//  -- sessions --
//
// A session begins with its first subflow. It ends at once when either node is closed (close()),
// and else when its last subflow has been gone for `resume` (a session without streams, or with
// such only that were never opened, has nothing to resume and waits 5 s at most, and makes way for
// another where there are max_sessions); its streams then break with session_lost. When a peer's
// node_id comes back with another instance its old session breaks at once (peer_restarted).
// Whoever joins a session must have proved to be the same peer as its first subflow's
// (io_pipe::peer_identity): knowing a session's identities, which plain subflows show to everybody
// on the way, opens nothing. So plain and authenticated subflows never share a session, nor does a
// restarted peer end the session of another.
// At most max_handshakes accepted subflows (those without an owner) may be in their handshake. One
// more evicts the oldest if that has had 200 ms; otherwise the newcomer is closed. Whoever has said
// who he is and is not let in is told why (handshake.h). After a GOAWAY or a refusal a pipe is kept
// for up to 5 s so that the peer can read it. At most 256 are kept, unless the node itself closes:
// one more drops the oldest refused one; if there is none, a GOAWAY drops the oldest GOAWAY, and a
// refusal becomes a plain reset.
//
// The two ends do not give a session up at the same instant, and one that did must not take part in
// it again: a node remembers the last sessions it ended and refuses their subflows, and takes a new
// instance when it has lost its last one, so that a peer that still waits learns at once. What is
// refused for that reason by the session's peer is the end of the session here, too; and a node
// without sessions whose own dialling ends that way takes a new instance, whichever end refused.
//
//  -- memory --
//
// memory_budget is divided over sessions by construction: a quarter is kept as an equal floor for
// max_sessions, and of the rest a new session gets 1 / (live sessions + 2) of what is left; a
// session's share is fixed while it lives. Half of a share bounds what the peer is granted; what
// streams may give to be sent is bounded by what is left of the share, and by an equal floor for
// each. A client sets max_sessions to the few it needs. Bytes that complete streams had unread when
// their session ended are an eighth of it at most, all together; what would be more breaks its
// stream (limit). What all subflows have received of frames that have not come whole is a sixteenth
// of it at most, or eight frames; it may hold five times that in memory (frame_reader.h). Where it
// would be more, the session that has most of it loses the subflow that has most.

#include <libp/compact_address.h>
#include <libp/event_loop.h>
#include <libp/io_pipe.h>
#include <libp/log.h>
#include <libp/stripe/engine.h>
#include <libp/stripe/handshake.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

namespace libp::stripe {

class stream_pipe : public io_pipe {
  public:
    // Only for streams the peer opened, once: take it, or say why not (the pipe is then broken and
    // to be retired).
    virtual void accept() = 0;
    virtual void refuse(error why) = 0;
    // The number of the session it is in, or was; 0: there was none yet.
    virtual std::uint32_t session_number() const noexcept = 0;
    // Where the session's other end dialled from, for one that lives: as subflow_path has it.
    virtual compact_address peer() const noexcept = 0;
};

// What is known of one subflow, for logs and tables.
struct subflow_info {
    subflow_id id = 0;
    std::string path;  // "tcp 127.0.0.1:43211", or the name its owner gave it
    subflow_stats stats;
    std::uint32_t session = 0;  // whose it is: its number
    bool up = false;            // its handshake is done and it is not closed
};

// How logs write numbers of sessions and subflows: eight hexadecimal digits.
std::string hex8(std::uint32_t n);

// As logs have it: "up", "suspect", "stale".
const char* name_of(subflow_state state) noexcept;

// Whoever made a subflow's pipe hears what became of it. Calls come from the loop and may call the
// node, but not destroy it; the object outlives the node (whose own end is not reported) or takes
// itself out by forget_owner().
class subflow_owner {
  public:
    virtual ~subflow_owner() = default;
    virtual void subflow_ready(std::uint64_t token) = 0;
    // What keeps it from carrying more has changed.
    virtual void subflow_limited(std::uint64_t, subflow_limit) {}
    // Last call for this token: the handshake failed, or the subflow died.
    virtual void subflow_gone(std::uint64_t token, error why) = 0;
};

// What a subflow's maker says of the way it takes.
struct subflow_path {
    std::string name{};      // for logs; empty: what the pipe says of itself
    std::uint8_t rank = 0;   // see subflow_options; where the ends differ the greater one counts
    bool announced = false;  // the peer is told the name, too, and calls the subflow NAME@ADDRESS
    bool payload_crc = true;
    compact_address peer{};  // who dialled, where it came in
};

struct node_options {
    // The same after every start tells peers that a new process took the old one's place
    // (peer_restarted): what a server should have, and no two nodes that run at the same time may.
    // All zero: random, and peers of a restarted node wait for `resume` before they know.
    std::array<std::uint8_t, 16> node_id{};
    engine_options engine{};  // `even` and what the HELLOs decide is filled in per session
    std::size_t memory_budget = 256 * mib;  // all sessions together
    duration handshake_timeout{5s};
    duration resume{60s};
    std::size_t max_handshakes = 64;
    std::size_t max_subflows = 64;  // of a session; 64 is the most there may be
    std::size_t max_sessions = 256;
};

class node {
  public:
    using stream_handler = delegate<void(std::unique_ptr<stream_pipe>, const open_request&)>;

    // `streams` is given what peers open, from the loop; without one every OPEN is refused. It may
    // call the node but not destroy it.
    // `out` is told of sessions and subflows: of what others began 50 lines a second of each, and
    // 10 of those that were refused; the next one says how many were left out. Sessions that were
    // lost with their streams, and subflows with an owner, are always told.
    node(event_loop& loop, const log& out, const node_options& options,
         stream_handler streams = {});
    ~node();
    node(const node&) = delete;
    node& operator=(const node&) = delete;

    // Takes a connected, reliable, ordered pipe as a subflow. `owner` (may be null) is told about
    // `token`.
    void adopt(std::unique_ptr<io_pipe> pipe, std::string path, subflow_owner* owner = nullptr,
               std::uint64_t token = 0);
    void adopt(std::unique_ptr<io_pipe> pipe, subflow_path path, subflow_owner* owner,
               std::uint64_t token);
    // An owner that dies before the node takes itself out.
    void forget_owner(subflow_owner& owner);
    // Closes a subflow that is up, once what it carries has arrived; its owner is told, later.
    void drop(const subflow_owner& owner, std::uint64_t token);
    // Bytes that the living sessions have carried, both ways, headers and all.
    std::uint64_t carried() const;

    // A stream over the newest living session; where there is none yet it waits for one. It is
    // ready within `wait` or breaks: session_lost, or why there is no session, or timed_out if the
    // far end has not answered.
    std::unique_ptr<stream_pipe> open_stream(const open_request& request, duration wait);

    // Streams are open, or wait for a session.
    bool in_use() const;
    // Neither of these two may destroy the node; anything else is legal there.
    // Called, from the loop or from within open_stream(), when a stream begins to wait for a
    // session: whoever waits to dial had better do it now.
    void on_want(delegate<void()> call);
    // Called when all subflows of a session have been silent for 3 s though they owe an answer, and
    // every 2 s while that lasts: a new subflow may get through where the old ones' connections no
    // longer can (an address that changed).
    void on_silence(delegate<void()> call);

    // Why the connections that would carry subflows cannot be made: what a stream that waits in
    // vain breaks with instead of session_lost. Forgotten when a subflow comes up. `for_good`:
    // those that wait now break at once.
    void connect_failed(error why, bool for_good = false);

    // The clean end: breaks what streams are left (local_abort), waits until the peers know of
    // those that ended how they did, says goodbye on every subflow behind what was queued there,
    // and calls `done`, from the loop, when all are gone; after `limit` whatever is left is cut.
    // `done` may destroy the node. Adopts nothing from here on. Once more with a shorter limit:
    // hurries. Destroying a node without it resets its subflows: its peers wait for it to come
    // back.
    void close(delegate<void()> done, duration limit = 2s);

    // Which subflow carries what, from now on: in all sessions, and those to come; or in the one of
    // that number, if there is one.
    void set_scheduler(scheduler by);
    bool set_scheduler(std::uint32_t session, scheduler by);

    // For tables: all subflows of all sessions, the dead ones (the last 64) of living sessions
    // included with what they carried.
    std::vector<subflow_info> subflows() const;
    std::size_t sessions() const;
    std::size_t open_streams() const;
    // True when no engine holds bytes that its peer has not confirmed.
    bool flushed() const;

  private:
    struct core;
    std::unique_ptr<core> core_;
};

}  // namespace libp::stripe
