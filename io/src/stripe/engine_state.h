#pragma once

// The engine's state, shared by the files that implement it:
//
//     engine.cc           the public calls, events, the life of streams
//     engine_receive.cc   frames that come in
//     engine_transmit.cc  frames that go out
//
// A stream is on the lists that its state says it belongs to; schedule() works that out anew after every change, nothing
// else links or unlinks. So what is to be sent is found without looking at streams that have nothing to say.
//
// Byte counts: unsent_ (written, never framed), retained_ (framed, unconfirmed: in flight or lost), held_ (received, unread).

#include <libp/stripe/engine.h>

#include "stripe/credit.h"
#include "stripe/frame_writer.h"
#include "stripe/stream.h"
#include "stripe/subflow.h"

#include <deque>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace libp::stripe {

struct engine::state {
    state(block_pool& blocks, const engine_options& options);

    // What a frame did to the session as a whole, if anything.
    struct fault {
        wire::code code = wire::code::none;
        reason why = reason::protocol_error;
    };

    // -- finding things
    subflow* find_subflow(subflow_id id) const noexcept;
    stream* find(stream_id id) const noexcept;
    bool is_ours(stream_id id) const noexcept { return (id % 2 == 0) == opt_.even; }
    bool peer_used(stream_id id) const noexcept;

    // -- the life of streams (engine.cc)
    stream& add_stream(stream_id id, bool ours, std::uint64_t limit);
    // Puts it on the lists where it belongs now.
    void schedule(stream& s);
    // Lets go of everything it holds here; what is in flight stays with its subflow.
    void forget(stream& s);
    void end_if_finished(stream& s);
    // Forgets it and tells the peer why.
    void reset(stream& s, std::uint16_t code);
    // ... and the application.
    void break_stream(stream& s, error why, bool tell_peer);
    void break_session(error why, wire::code code, bool tell_peer);
    void queue_reset(const reset_notice& r);
    void tell_readable(stream& s);
    void tell_writable(stream& s);
    void grow_if_starved(stream& s, instant now);
    event& emit(event::kind what, stream_id id);
    void requeue(sent_record&& r);

    // -- frames in (engine_receive.cc): an error is the subflow's, the session's goes through break_session
    error process(subflow& from, frame& f, instant now);
    stream* peer_stream(stream_id id);
    bool mark_used(stream_id id);
    stream* addressed(const wire::header& h);
    void on_open(frame& f);
    void on_open_ok(const wire::header& h);
    void on_data(subflow& from, frame& f);
    void on_rst(const wire::header& h);
    void on_ack(frame& f);
    void on_credit(const wire::header& h);
    void on_blocked(const wire::header& h, instant now);
    void on_path_ack(frame& f, instant now);
    void freed(const sent_record& r);

    // -- frames out (engine_transmit.cc)
    bool anything_for(const subflow& s) const noexcept;
    bool fresh_for(const subflow& s) const noexcept;
    // One frame; false if there was none.
    bool transmit_one(subflow& on, chain& out, instant now);
    bool transmit_own(subflow& on, chain& out, instant now);
    void transmit_control(subflow& on, chain& out, stream& s, instant now);
    std::size_t transmit_ack(subflow& on, chain& out, stream& s, sent_record& r);
    void transmit_lost(subflow& on, chain& out, instant now);
    void transmit_fresh(subflow& on, chain& out, instant now);
    void transmit_data(subflow& on, chain& out, stream& s, fragment&& f, bool again, instant now);
    void record(subflow& on, sent_record&& r, std::size_t size, instant now);
    std::size_t put_small(subflow& on, chain& out, const wire::header& h, bytes payload = {});

    block_pool& blocks_;
    const engine_options opt_;
    frame_writer writer_;
    credit credit_;
    error broken_{};
    wire::code goaway_ = wire::code::none;

    std::vector<std::unique_ptr<subflow>> subflows_;
    std::unordered_map<stream_id, std::unique_ptr<stream>> streams_;
    stream_id next_own_;
    interval_set used_;  // ids of the peer's side that were ever used, by (id - 1) / 2

    intrusive_list<stream, &stream::in_all> all_;
    intrusive_list<stream, &stream::in_control> control_;
    intrusive_list<stream, &stream::in_lost> lost_;
    intrusive_list<stream, &stream::in_fresh> interactive_, bulk_;
    std::size_t interactive_run_ =
        0;  // bytes sent of interactive streams since a bulk one had its turn

    std::deque<reset_notice> resets_;
    std::size_t unconfirmed_resets_ = 0;  // queued or in flight

    std::deque<event> events_;
    std::unordered_set<stream_id> muted_;  // aborted while events_ may still speak of them

    std::size_t unsent_ = 0, retained_ = 0, held_ = 0;
};

}  // namespace libp::stripe
