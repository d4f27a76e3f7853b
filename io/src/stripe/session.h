#pragma once

// One session: an engine, the subflows that carry its frames, and the streams that use it.
//
//     session.cc           streams, driving the engine, and the end
//     session_subflows.cc  subflows
//
//  -- when things happen --
//
// A subflow's input is given to the engine at once, and the events it causes raise the streams'
// flags, whose handlers run in the deferred calls of the same turn. What streams ask for only marks
// the session: pump() runs once, behind them, and gives every writable subflow frames in turn. So
// small writes of one turn share frames and system calls, and nobody is called from inside a call
// of his.
//
//  -- invariants --
//
// 1. A subflow is in subflows_ from join() to the end of the event in which it died; the engine
//    knows exactly the living.
// 2. A stream is in streams_ as long as it points to this session.
// 3. Owners of subflows and the stream handler are called only while nothing here is being walked.
// 4. memory() <= share: a stream may have no more unsent bytes than three quarters of the share
//    have left, and the last quarter is an equal floor for each of max_streams. So streams that
//    nobody reads at the far end slow the others down but cannot stop them.
// 5. The timer is armed for the engine's next_timer() and for nothing else, silence_ only while the
//    peer owes an answer: an idle session makes no system call but its heartbeats'.

#include <libp/event_loop.h>
#include <libp/log.h>
#include <libp/stripe/engine.h>
#include <libp/stripe/node.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "stripe/path_watch.h"
#include "stripe/striped_stream.h"
#include "stripe/subflow_driver.h"

namespace libp::stripe {

// What a log line says of a subflow's end: the side that a connection was lost at is the client's,
// unless this end has dialled it.
const char* end_of_subflow(error why, bool dialled) noexcept;
// ... and in words too, where it was not this end's own doing.
void write_end(error why, auto&& write) {
    if (!why || why.why == reason::local_abort)
        write();
    else
        write(log_field("why", to_string(why)));
}

struct session_options {
    engine_options engine;
    std::size_t share = 0;  // of the node's memory; engine.memory_budget is a part of it
    duration resume{60s};
    std::string peer_identity{};  // as its first subflow's peer proved it (io_pipe::peer_identity)
};

class session {
  public:
    // Its node. Calls come from the loop.
    class keeper {
      public:
        virtual ~keeper() = default;
        // The pipe of a subflow that is no longer, and what is still to be sent on it before it is
        // closed.
        virtual void part(std::unique_ptr<io_pipe> pipe, chain rest) = 0;
        // A stream that was complete both ways when its session ended; what its application has not
        // read.
        virtual void completed(striped_stream& s, chain unread) = 0;
        // What a subflow has of a frame that has not come whole was `was` bytes and is `is` bytes.
        // Subflows may be lost for it, of any session.
        virtual void unfinished_changed(std::size_t was, std::size_t is) = 0;
        // Whether there is room in the log for one more line of what strangers do: of a session, or
        // of a subflow that they dialled.
        virtual bool may_log_session() = 0;
        virtual bool may_log_subflow() = 0;
        // See node::on_silence.
        virtual void session_silent() = 0;
        // No more calls follow; to be retired.
        virtual void session_over(session& which) = 0;
    };

    session(event_loop& loop, const log& out, keeper& by, node::stream_handler handler,
            const session_key& key, const identity& peer, const session_options& options);
    ~session();
    session(const session&) = delete;
    session& operator=(const session&) = delete;

    // -- for the node ------------------------------------------------------------------------

    const session_key& key() const noexcept { return key_; }
    // The peer had it by then: something of it had come, or it was older than a handshake may be.
    bool was_shared(instant by, duration handshake) const noexcept {
        return by > first_heard_ || by - since_ > handshake;
    }
    // Of that peer, before it was restarted.
    bool is_before(const identity& peer, const std::string& peer_identity) const noexcept {
        return peer_.node_id == peer.node_id && peer_.instance != peer.instance &&
               options_.peer_identity == peer_identity;
    }
    std::size_t share() const noexcept { return options_.share; }
    const std::string& peer_identity() const noexcept { return options_.peer_identity; }
    // The same at both ends.
    std::uint32_t number() const noexcept { return number_; }
    bool over() const noexcept { return over_; }
    bool has_subflow(subflow_id id) const noexcept;
    std::size_t subflows() const noexcept { return subflows_.size(); }
    std::size_t streams() const noexcept { return streams_.size(); }

    void join(subflow_id id, joining_pipe::parts parts, subflow_origin origin);
    // Opens it, or breaks it (limit).
    void open(striped_stream& s, const open_request& request);
    // Breaks every stream, tells the peer, closes every subflow.
    void end(error why);
    // The same, once the peer is known to have heard how its streams ended; that takes what the
    // peer takes.
    void close();
    // Nothing new is to begin here: either end is about to leave.
    bool leaving() const noexcept { return closing_ || engine_.peer_leaves(); }
    // Nobody would miss it.
    bool vacant() const noexcept { return subflows_.empty() && engine_.opened_streams() == 0; }
    void forget_owner(subflow_owner& owner) noexcept;
    void list_subflows(std::vector<subflow_info>& to) const;
    bool flushed() const;
    // Closes the subflow, if it is one of this session's.
    void drop(const subflow_owner& owner, std::uint64_t token);
    void set_scheduler(scheduler by);
    // Where its oldest subflow that lives came from.
    compact_address peer_address() const noexcept;
    // What its subflows have of frames that have not come whole.
    std::size_t unfinished() const noexcept;
    // Loses the subflow that has most of one.
    void lose_most_unfinished();
    // Bytes both ways, of all subflows there ever were.
    std::uint64_t carried() const;

    // -- for its streams ---------------------------------------------------------------------

    stripe::engine& engine() noexcept { return engine_; }
    instant now() const noexcept { return loop_.now(); }
    // Something may have become sendable.
    void later() noexcept;
    // How many bytes a stream may have given the engine that no frame has taken yet.
    std::size_t send_bound() const noexcept;
    void forget(stream_id id) noexcept;

    // -- for its subflows --------------------------------------------------------------------

    void lose(subflow_driver& s, error why);
    void heard() noexcept { first_heard_ = std::min(first_heard_, loop_.now()); }
    void unfinished_changed(std::size_t was, std::size_t is) {
        keeper_.unfinished_changed(was, is);
    }
    void after_input();

  private:
    void on_pump();
    void on_timer();
    void on_resume_over();
    void transmit();
    void settle();
    void dispatch(event& e);
    void log_stream(stream_id id, const char* state, const open_request& request) const;
    void log_datagrams() const;
    void log_end(error told) const;
    // Of that subflow's coming and going.
    bool may_log(subflow_driver& s);
    void on_stream_opened(event& e);
    void on_subflow_limited(const event& e);
    void sweep();
    void update_resume();
    // How many that were not complete.
    std::size_t break_streams(error why);
    // Logs what has become of the paths, and begins to wait for an answer where one is owed.
    void look_at_paths();
    void on_silence();
    // Remembers what a dying subflow carried, and logs it.
    void bury_stats(subflow_driver& s, error why);
    // Gives up its pipe, which is closed when all that was given to it is sent. `told`: what the
    // log is told.
    void part_with(subflow_driver& s, error why, error told);
    // The same for one that has drained.
    void leave(subflow_driver& s);

    event_loop& loop_;
    const log& log_;
    keeper& keeper_;
    const node::stream_handler handler_;
    const session_key key_;
    const identity peer_;
    const std::uint32_t number_;
    const session_options options_;
    const instant since_;
    instant first_heard_ = never;
    stripe::engine engine_;

    std::vector<std::unique_ptr<subflow_driver>> subflows_;
    std::vector<subflow_info> dead_;  // the last few, for tables
    path_watch paths_;
    instant look_again_at_{};
    std::vector<std::pair<double, subflow_driver*>> order_;  // of transmit(), while it runs
    std::map<stream_id, striped_stream*> streams_;

    deferred pump_;
    std::uint64_t pump_turn_ = 0;  // when pump_ was scheduled
    timer timer_;
    timer resume_;
    timer silence_;                          // armed only while an answer is owed
    std::uint64_t sent_ = 0, received_ = 0;  // by subflows that are gone
    std::size_t cut_ = 0;                    // streams that broke because the session did
    bool settling_ = false;
    bool closing_ = false;
    bool over_ = false;
};

}  // namespace libp::stripe
