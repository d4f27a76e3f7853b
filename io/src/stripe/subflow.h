#pragma once

// One subflow of a session: its place in the bytes each way, what is in flight on it, and when it must be heard of.
//
// Everything sent on it that has to arrive has a `sent_record`, in the order of sending, with the subflow's byte count behind its
// frame. A PATH_ACK lets go of the records up to its count; the death of the subflow hands the rest back.

#include <libp/stripe/engine.h>
#include <libp/stripe/wire.h>
#include <libp/time.h>

#include "stripe/frame_reader.h"
#include "stripe/send_stream.h"

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
enum class duty : std::uint8_t { open = 1, open_ok = 2, credit = 4, ack = 8, blocked = 16 };

struct sent_record {
    enum class kind : std::uint8_t { data, control, reset };

    kind what = kind::control;
    duty say{};              // control
    bool final_ack = false;  // control: an ACK with FIN
    std::uint16_t code = 0;  // reset
    stream_id id = 0;
    std::uint64_t end = 0;  // bytes sent on the subflow, this frame included
    instant sent{};
    fragment data{};  // data; its offset is a reset's final size
};

class subflow {
  public:
    subflow(block_pool& blocks, subflow_id number, std::uint32_t max_frame, bool with_crc,
            instant now) noexcept
        : id(number), payload_crc(with_crc), reader(blocks, max_frame), last_heard(now) {}

    // -- sending
    // A frame of `size` bytes was put on it.
    void sent(std::size_t size, bool eliciting) noexcept;
    // PATH_ACK for it. `freed` is called for every record it covers. False: that many bytes were never sent.
    template <class Freed>
    bool confirm(std::uint64_t up_to, duration held, instant now, Freed freed);
    std::size_t in_flight() const noexcept {
        return last_eliciting > confirmed ? static_cast<std::size_t>(last_eliciting - confirmed)
                                          : 0;
    }

    // -- receiving
    // A frame was processed: what it counts, and when its confirmation is due.
    void processed(std::size_t size, std::uint8_t type, instant now) noexcept;
    void path_ack_sent() noexcept;

    // -- time
    instant next_timer(duration heartbeat, duration dead_after) const noexcept;
    void on_timer(instant now, duration heartbeat, duration dead_after) noexcept;
    void heard(instant now) noexcept;

    const subflow_id id;
    const bool payload_crc;
    frame_reader reader;
    error broken{};  // what received() said; nothing is sent or received any more

    std::deque<sent_record> records;
    std::uint64_t position = 0;        // bytes sent
    std::uint64_t last_eliciting = 0;  // position behind the last frame that has to be confirmed
    std::uint64_t confirmed = 0;       // position the peer confirmed

    std::uint64_t received = 0;     // bytes of frames processed
    std::uint64_t unconfirmed = 0;  // of them eliciting, since the last PATH_ACK
    instant last_eliciting_at{};    // when the last of those came
    instant path_ack_at = never;    // the latest that PATH_ACK may go
    bool path_ack_due = false;
    bool ping_due = false, pong_due = false, goaway_due = false;
    std::uint64_t pong_value = 0;

    instant last_heard;
    instant silent_since = never;  // when a PING became due that nothing has answered
    bool congested = false;  // as the driver said
    bool dead = false, dead_told = false;
    subflow_stats stats;

  private:
    void measure(duration rtt) noexcept;
};

template <class Freed>
bool subflow::confirm(std::uint64_t up_to, duration held, instant now, Freed freed) {
    if (up_to > position) return false;
    if (up_to <= confirmed) return true;
    confirmed = up_to;
    instant newest = never;
    while (!records.empty() && records.front().end <= up_to) {
        newest = records.front().sent;
        freed(records.front());
        records.pop_front();
    }
    if (newest != never && now - newest > held) measure(now - newest - held);
    return true;
}

}  // namespace libp::stripe
