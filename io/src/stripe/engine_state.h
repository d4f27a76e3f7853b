#pragma once

// The engine's state, shared by the files that implement it:
//
//     engine.cc             the public calls
//     engine_streams.cc     the life of streams, events
//     engine_advance.cc     credit for streams that have yet to be opened
//     engine_receive.cc     frames that come in
//     engine_schedule.cc    which frame goes next on a subflow, if any
//     engine_transmit.cc    frames that go out
//     engine_recover.cc     what is sent again, and when
//     engine_datagrams.cc   flows of datagrams: out, in, and what is dropped
//     engine_invariants.cc  what must hold between any two calls, for tests
//
// A stream is on the lists that its state says it belongs to; schedule() works that out anew after
// every change, nothing else links or unlinks. So what is to be sent is found without looking at
// streams that have nothing to say.
//
// Byte counts: unsent_ (written, never framed), retained_ (framed, unconfirmed, each once however
// many copies are under way), waiting_bytes_ (of those: to be sent again), held_ (received,
// unread).

#include <libp/stripe/engine.h>

#include "stripe/credit.h"
#include "stripe/frame_writer.h"
#include "stripe/stream.h"
#include "stripe/subflow.h"

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <vector>

namespace libp::stripe {

struct engine::state {
    state(block_pool& blocks, const engine_options& options, instant now);

    // What a frame did to the session as a whole, if anything.
    struct fault {
        wire::code code = wire::code::none;
        reason why = reason::protocol_error;
    };

    // What a subflow is to send next.
    struct choice {
        enum class kind : std::uint8_t {
            nothing,
            own,
            reset,
            control,
            advance,
            datagram,
            waiting,
            fresh,
            copy
        };
        kind what = kind::nothing;
        stream* of = nullptr;
        std::uint64_t offset = 0;  // copy: of the fragment; datagram: its place in the queue
    };

    // -- finding things
    subflow* find_subflow(subflow_id id) const noexcept;
    stream* find(stream_id id) const noexcept;
    bool is_ours(stream_id id) const noexcept { return (id % 2 == 0) == opt_.even; }
    bool peer_used(stream_id id) const noexcept;

    // -- the life of streams (engine_streams.cc)
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
    // What has come in order; the stream is about to be forgotten.
    chain take_unread(stream& s);
    void queue_reset(const reset_notice& r);
    void tell_readable(stream& s);
    // What a read says where nothing is at hand: again, or fin.
    io_result read_nothing(stream& s);
    void tell_writable(stream& s);
    // The application read so much of it.
    void consumed(stream& s, std::size_t n, instant now);
    event& emit(event::kind what, stream_id id);

    // -- credit in advance (engine_advance.cc)
    struct advance {
        stream_id id;
        window granted;
        bool said = false;
    };
    void grant_ahead();
    // What the peer's stream, seen for the first time, was granted: a window that is not open if
    // nothing.
    window take_advance(stream_id id);
    const advance* unsaid_advance() const noexcept;
    void transmit_advance(subflow& on, chain& out, instant now);
    void on_credit_ahead(const wire::header& h);

    // -- frames in (engine_receive.cc): an error is the subflow's; break_session ends the session
    error process(subflow& from, frame& f, instant now);
    stream* peer_stream(stream_id id);
    bool mark_used(stream_id id);
    stream* addressed(const wire::header& h);
    void on_open(frame& f);
    void on_open_ok(const wire::header& h);
    void answered(stream& s);
    void on_data(subflow& from, frame& f);
    std::size_t most_ranges() const noexcept;
    void on_rst(const wire::header& h);
    void on_ack(frame& f);
    void on_credit(const wire::header& h);
    void on_path_ack(frame& f, instant now);
    void on_limit(subflow& from, const wire::header& h);
    void on_goaway(subflow& from, const wire::header& h, instant now);
    // Whether the peer, which leaves, has nothing more under way.
    void look_for_end();
    void freed(subflow& on, const sent_record& r);

    // -- what goes where (engine_schedule.cc)
    choice choose(const subflow& on, instant now) const;
    bool usable(const subflow& s) const noexcept;
    // `doubt`: overdue confirmations count.
    bool is_soonest(const subflow& on, bool doubt = false) const noexcept;
    bool is_in_turn(const subflow& on) const noexcept;
    double arrival(const subflow& s, std::size_t size) const noexcept;
    bool is_worth_it(const subflow& on, std::size_t size, double backlog) const noexcept;
    bool may_take(const subflow& on, std::size_t size, double backlog) const noexcept;
    double backlog(const stream& s) const noexcept;
    // nullptr: there is none, or bulk has waited for long enough.
    stream* next_interactive() const;
    bool is_little(const stream& s) const noexcept;
    choice choose_little(const subflow& on) const;
    choice choose_fresh(const subflow& on) const;
    // Of chatty streams only, or of all.
    choice choose_copy(const subflow& on, bool chatty, instant now) const;
    // Somebody types, or asks and waits: queues are kept short.
    bool in_a_hurry() const noexcept { return now_ < hurry_until_; }
    std::size_t frame_on(const subflow& s) const noexcept {
        return s.estimate.frame(opt_.max_frame);
    }
    void drain(subflow& s);
    // Which subflows may be used at all; anew after any of them came, went, or changed its state.
    void survey();

    // -- frames out (engine_transmit.cc)
    // One frame; false if there was none.
    bool transmit_one(subflow& on, chain& out, instant now);
    void transmit_own(subflow& on, chain& out, instant now);
    void transmit_reset(subflow& on, chain& out, instant now);
    void transmit_control(subflow& on, chain& out, stream& s, instant now);
    std::size_t transmit_ack(subflow& on, chain& out, stream& s, sent_record& r);
    void transmit_fresh(subflow& on, chain& out, stream& s, instant now);
    void transmit_again(subflow& on, chain& out, stream& s, fragment& f, instant now);
    void transmit_data(subflow& on, chain& out, stream& s, fragment& f, bool again, instant now);
    void record(subflow& on, sent_record&& r, std::size_t size, instant now);
    void bound_control_records();
    std::size_t put_small(subflow& on, chain& out, const wire::header& h, bytes payload = {});

    // -- what is sent again (engine_recover.cc)
    // Its subflow is gone, or has been silent for so long that it is to be said elsewhere too.
    void say_again(const subflow& from, sent_record& r, bool gone);
    void distrust(subflow& s, std::size_t most);
    void distrust_silent();
    void look_at_silence(subflow& s, instant now);
    void look_at_others(const subflow& heard, instant now);
    // When the subflow is expected to have delivered the fragment, from now on; in seconds.
    double remaining(const subflow& owner, const fragment& f, instant now) const noexcept;
    instant next_timer() const noexcept;
    // The time between calls says whether this process, or the whole machine, stood still.
    void notice_standstill(instant now);

    // -- datagrams (engine_datagrams.cc)
    void begin_flow(stream& s);
    void end_flow(stream& s);
    choice choose_datagram(const subflow& on, instant now) const;
    bool may_carry(const subflow& s, const datagram& d) const;
    const subflow* best_for(const datagram& d, std::uint64_t doubtful, instant now) const;
    std::uint64_t doubtful_paths(instant now) const;
    void transmit_datagram(subflow& on, chain& out, stream& s, std::size_t index, instant now);
    void on_datagram(frame& f, instant now);
    bool is_like_flow(const stream& s) const noexcept;
    // Takes one out of a flow's queue.
    datagram take_out(stream& s, std::size_t index);
    void take_in(stream& s, chain& to);
    void drop_unread(stream& s);
    void finish_flow(stream& s);
    void drop_late(stream& s, instant now);
    void drop_late(instant now);
    void count(stream& s, std::uint64_t datagram_stats::*what);
    instant datagram_timer() const noexcept;

    block_pool& blocks_;
    const engine_options opt_;
    frame_writer writer_;
    credit credit_;
    error broken_{};
    wire::code goaway_ = wire::code::none;
    instant peer_gone_at_ = never;  // it leaves: by then at the latest

    stripe::scheduler scheduler_;
    std::vector<std::unique_ptr<subflow>> subflows_;
    std::uint64_t places_ = 0;  // taken, a bit each
    std::uint64_t good_ = 0;    // the places of those that are not silent
    bool any_good_ = false;     // ... of those that take something new
    std::uint8_t rank_ = 0;     // of the subflows that are used now
    std::uint64_t turns_ = 0;   // round robin
    instant hurry_until_{};
    instant now_;                                           // of the call that is being served
    std::map<stream_id, std::unique_ptr<stream>> streams_;  // not hashed: the peer chooses ids
    stream_id next_own_;
    std::deque<advance> advances_;                     // to the peer's next streams, by id
    stream_id next_advanced_;                          // ids below it are used or among them
    std::map<stream_id, std::uint64_t> next_credits_;  // by the peer, to ours
    interval_set used_;  // ids of the peer's side that were ever used, by (id - 1) / 2

    intrusive_list<stream, &stream::in_all> all_;
    intrusive_list<stream, &stream::in_control> control_;
    intrusive_list<stream, &stream::in_waiting> waiting_;
    intrusive_list<stream, &stream::in_outstanding> outstanding_;
    intrusive_list<stream, &stream::in_fresh> interactive_, bulk_;
    intrusive_list<stream, &stream::in_datagrams> datagrams_;
    instant datagrams_due_ = never;  // when some of those may be late, or sooner
    std::size_t datagrams_out_ = 0;  // what all that wait to be sent cost
    std::size_t datagram_lead_ = 0;  // bytes of datagrams sent in excess of data
    datagram_stats datagram_stats_;
    std::size_t interactive_run_ =
        0;  // bytes sent of interactive streams since a bulk one had its turn

    std::deque<reset_notice> resets_;
    std::size_t unconfirmed_resets_ = 0;  // queued or in flight

    std::deque<event> events_;
    std::set<stream_id> muted_;  // aborted while events_ may still speak of them

    std::size_t unsent_ = 0, retained_ = 0, waiting_bytes_ = 0, held_ = 0;
    std::size_t ranges_ = 0;         // parked, of all streams
    std::size_t fresh_streams_ = 0;  // on interactive_ or bulk_
    std::size_t opened_ = 0;         // of streams_, see stream
    std::uint64_t confirmed_bytes_ = 0, copied_bytes_ = 0;
};

}  // namespace libp::stripe
