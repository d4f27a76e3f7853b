#pragma once

// A stream of a session: its two halves, how far its opening has come, and which of the engine's
// lists it is on.

#include <libp/list.h>
#include <libp/stripe/engine.h>

#include "stripe/datagram_flow.h"
#include "stripe/leaky_bucket.h"
#include "stripe/receive_stream.h"
#include "stripe/send_stream.h"
#include "stripe/subflow.h"

#include <memory>
#include <string>

namespace libp::stripe {

struct stream {
    stream(stream_id number, bool is_ours, std::uint64_t limit) noexcept
        : id(number), ours(is_ours), send(limit) {}

    const stream_id id;
    const bool ours;
    std::string target;                // ours: OPEN may have to be sent again
    bool interactive = false;          // as OPEN said
    bool opened = false;               // ours, or its OPEN has come
    bool accepted = false;             // by accept(), or by the peer's OPEN_OK
    bool may_send = false;             // OPEN or OPEN_OK has gone out once: DATA may follow
    bool final_ack_confirmed = false;  // the peer knows that we have everything
    std::uint64_t came_on = 0;         // the places of the subflows that brought some of it
    instant measured_at{};             // how fast it is read is measured since then,
    std::uint64_t measured_from = 0;   // and from here
    std::size_t turn = 0;              // bytes sent since it came to the front of its list

    // Of the streams' halves a flow of datagrams uses the FIN alone.
    send_stream send;
    receive_stream recv;
    std::unique_ptr<datagram_flow> flow;

    list_hook in_all;                 // every stream, oldest first
    list_hook in_control;             // has duties
    list_hook in_waiting;             // has fragments to be sent again
    list_hook in_outstanding;         // has fragments that are not confirmed
    list_hook in_fresh;               // has new bytes that may go
    list_hook in_datagrams;           // has datagrams that may go
    bool fresh_first = false;         // ... and is on the list of the interactive ones
    std::size_t waiting_counted = 0;  // of its bytes in the engine's count

    bool owes(duty d) const noexcept { return (duties_ & static_cast<std::uint8_t>(d)) != 0; }
    bool owes_any() const noexcept { return duties_ != 0; }
    void owe(duty d) noexcept { duties_ |= static_cast<std::uint8_t>(d); }
    void paid(duty d) noexcept { duties_ &= static_cast<std::uint8_t>(~static_cast<unsigned>(d)); }
    // Both ends have everything, know it, and the application has heard of it.
    bool finished() const noexcept {
        return recv.fin_read && send.fin_acked() && final_ack_confirmed;
    }

    // Nothing can happen to it any more, but that the application reads it.
    bool completed() const noexcept { return recv.complete() && send.fin_acked(); }

    // Sends so little, and has so little waiting, that it is served like an interactive one,
    // whatever OPEN said: somebody types, or asks (the sparse flows of fq_codel, RFC 8290).
    bool is_sparse(instant now) const noexcept;
    void spent(std::size_t bytes, instant now) noexcept;
    // ... and has done so for a while.
    bool is_chatty() const noexcept { return interactive || small_sends_ >= chatty; }

  private:
    std::uint8_t duties_ = 0;
    leaky_bucket recent_{64 * kib, 64 * kib};
    std::uint8_t small_sends_ = 0;  // in a row, each of all there was
    static constexpr std::uint8_t chatty = 4;
};

}  // namespace libp::stripe
