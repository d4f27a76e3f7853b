#pragma once

// One subflow of a session: its place in the bytes each way, what is in flight on it, and when it
// must be heard of.
//
// Everything sent on it that has to arrive has a `sent_record`, in the order of sending, with the
// subflow's byte count behind its frame. A PATH_ACK lets go of the records up to its count; the
// death of the subflow hands the rest back.
//
//  -- silence --
//
// A subflow with something in flight that confirms nothing for longer than it ever should (the
// estimator's patience) is suspect, and after twice that it is stale; after ten seconds or eight
// times its patience, whichever is longer, it is given up. All of this only while another subflow
// shows that the silence is this one's: where all are silent together it is the network, the peer
// or this machine that stands still, and nothing is gained by sending it all again. One that is
// only idle is asked by a PING every heartbeat.

#include <libp/stripe/engine.h>
#include <libp/stripe/wire.h>
#include <libp/time.h>

#include "stripe/delivery_estimator.h"
#include "stripe/frame_reader.h"
#include "stripe/limit_judge.h"

#include <cstdint>
#include <deque>

namespace libp::stripe {

// A RST outlives its stream: it is kept by itself until confirmed.
struct reset_notice {
    stream_id id = 0;
    std::uint16_t code = 0;
    std::uint64_t final_size = 0;
};

// One control frame that a stream owes its peer; also what a record says has to be said again.
enum class duty : std::uint8_t { open = 1, open_ok = 2, credit = 4, ack = 8 };

struct sent_record {
    enum class kind : std::uint8_t { data, control, reset, datagram };

    kind what = kind::control;
    duty say{};              // control
    bool final_ack = false;  // control: an ACK with FIN
    bool again = false;      // it was queued to be sent elsewhere too
    std::uint16_t code = 0;  // reset
    stream_id id = 0;
    std::uint64_t offset = 0;  // data: of its fragment; reset: the final size; datagram: its size
    std::uint64_t end = 0;     // bytes sent on the subflow, this frame included
    delivery_estimator::mark mark{};

    bool is_control() const noexcept { return what == kind::control || what == kind::reset; }
};

class subflow {
  public:
    // Unconfirmed frames: with so many no new ones begin.
    static constexpr std::size_t many_records = 16 * 1024;

    // `place`: below 64, and nobody else's in the session while it lives.
    subflow(block_pool& blocks, subflow_id number, unsigned place, std::uint32_t max_frame,
            const subflow_options& options, instant now) noexcept;

    // -- sending
    // A frame of `size` bytes is put on it.
    delivery_estimator::mark sent(std::size_t size, bool eliciting, instant now) noexcept;
    // PATH_ACK for it. `freed` is called for every record it covers. False: that many bytes were
    // never sent.
    template <class Freed>
    bool confirm(std::uint64_t up_to, duration held, instant now, Freed freed);
    std::size_t in_flight() const noexcept {
        return last_eliciting > confirmed ? static_cast<std::size_t>(last_eliciting - confirmed)
                                          : 0;
    }
    bool has_room(std::size_t size, bool tight) const noexcept {
        return in_flight() == 0 || in_flight() + size <= estimate.allowance(tight);
    }
    bool is_good() const noexcept { return state == subflow_state::good; }
    bool is_over() const noexcept { return dead || broken; }
    // Both ends have said that they are done with it, and have everything, and know it.
    bool is_drained() const noexcept {
        return draining && peer_drains && !drain_due && !path_ack_due && unconfirmed == 0 &&
               in_flight() == 0;
    }

    // -- receiving
    // A frame was processed: what it counts, and when its confirmation is due.
    void processed(std::size_t size, std::uint8_t type, instant now) noexcept;
    void path_ack_sent() noexcept;
    // Whether there is more to be received right now: then a confirmation waits for that, within
    // bounds.
    void tell_more_waits(bool more) noexcept;

    // -- time
    // `alone`: there is no other subflow that could carry anything instead.
    instant next_timer(duration heartbeat, duration dead_after, bool alone) const noexcept;
    void on_timer(instant now, duration heartbeat, duration dead_after) noexcept;
    void heard(instant now) noexcept;
    // Nobody looked at the clock for `d`: it was not the subflow that was silent.
    void forgive(duration d) noexcept;
    duration quiet(instant now) const noexcept {
        return in_flight() == 0 ? duration{0} : now - last_progress;
    }
    // For how long a confirmation has been due, in seconds; for all that is known it takes as long
    // again.
    double overdue(instant now) const noexcept;
    // Its next worse state, and when it has been silent for long enough for that.
    instant verdict_at() const noexcept;

    const subflow_id id;
    const unsigned place;
    const bool payload_crc;
    const std::uint8_t rank;
    const std::uint32_t path;
    frame_reader reader;
    error broken{};  // what received() said; nothing is sent or received any more

    std::deque<sent_record> records;
    std::uint64_t position = 0;           // bytes sent
    std::uint64_t last_eliciting = 0;     // position behind the last frame that has to be confirmed
    std::uint64_t confirmed = 0;          // position the peer confirmed
    std::size_t control_records = 0;      // those of control frames, and of resets
    std::size_t datagrams_in_flight = 0;  // bytes of frames, by their records
    delivery_estimator estimate;
    subflow_state state = subflow_state::good;
    instant last_progress;       // the last confirmation, or when something was in flight again
    instant look_again = never;  // for verdict_at(), where the last look found all silent
    std::uint64_t turn = 0;      // when it was last given data, in round robin
    bool congested = false;      // as the driver said
    limit_judge limit;
    bool limit_due = false;  // the peer is to be told its verdict

    std::uint64_t received = 0;     // bytes of frames processed
    std::uint64_t unconfirmed = 0;  // of them eliciting, since the last PATH_ACK
    instant last_eliciting_at{};    // when the last of those came
    instant path_ack_at = never;    // the latest that PATH_ACK may go
    bool path_ack_due = false;
    bool more_waits = false;  // as the driver said
    bool ping_due = false, pong_due = false, goaway_due = false;
    std::uint64_t pong_value = 0;

    instant last_heard;
    instant silent_since = never;              // when a PING became due that nothing has answered
    bool draining = false, drain_due = false;  // we send nothing new; and have to say so
    bool peer_drains = false;
    bool goaway_came = false;  // without an error: the peer leaves
    instant drain_since{};

    bool dead = false, dead_told = false;
    subflow_stats stats;

  private:
    // So much is confirmed at once.
    std::uint64_t confirm_at() const noexcept;
};

template <class Freed>
bool subflow::confirm(std::uint64_t up_to, duration held, instant now, Freed freed) {
    if (up_to > position) return false;
    if (up_to <= confirmed) return true;
    confirmed = up_to;
    last_progress = now;
    look_again = never;
    bool any = false;
    delivery_estimator::mark newest;
    while (!records.empty() && records.front().end <= up_to) {
        newest = records.front().mark;
        any = true;
        freed(records.front());
        records.pop_front();
    }
    if (any) estimate.on_confirmed(up_to, newest, held, now);
    return true;
}

}  // namespace libp::stripe
