#pragma once

// How a subflow begins: both ends send HELLO at once, neither waits, and the session it belongs to
// follows from the two HELLOs alone.
//
//  -- identity --
//
// A node is a process's end of sessions: a random `node_id` and an `instance` that changes with
// every start. A session is the unordered pair of its two ends' (node_id, instance), and a tag. Two
// subflows whose HELLOs give the same key belong to one session, whoever dialled. A known node_id
// with a new instance is a restarted peer: its old session breaks.
//
//  -- roles without roles --
//
// Whatever needs the two ends to differ (stream id parity) compares node_id || instance bytewise:
// the lower one is the even side. Equal means that both ends are this very process: self_connect.
//
// READY is sent once the peer's HELLO was accepted; streams' frames may follow only after the
// peer's READY has come. A subflow's id is the XOR of the first four bytes of the two nonces: both
// ends work it out alike.
//
//  -- refusals --
//
// An end that has the peer's HELLO and will not have the subflow says why, by GOAWAY in place of
// READY. The peer's handshake then ends with that reason, marked as the other end's (by_peer), if
// it is one of limit, session_lost, auth_failed and other_version, and else with peer_reset.
// Whoever sends no HELLO is not answered.
//
// The handshake is a pure state machine like the engine: bytes in, bytes out.

#include <libp/chain.h>
#include <libp/error.h>
#include <libp/stripe/engine.h>
#include <libp/stripe/wire.h>

#include <array>
#include <cstdint>
#include <string>

namespace libp::stripe {

struct identity {
    std::array<std::uint8_t, 16> node_id{};
    std::array<std::uint8_t, 8> instance{};
    friend auto operator<=>(const identity&, const identity&) = default;
};

struct hello {
    identity who;
    std::array<std::uint8_t, 16> session_tag{};
    std::array<std::uint8_t, 16> nonce{};
    std::uint16_t features = 1;  // wire.h, section 3
    std::uint32_t max_frame = 64 * 1024;
    std::uint32_t max_streams = 16384;
    std::uint64_t initial_credit = 2 * kib;
    std::uint32_t heartbeat_ms = 15000;
    std::uint64_t send_time_us = 0;  // informational
    // How the sender calls and ranks the path it dialled over; nothing is sent for "" and 0. At
    // most path_name_max bytes.
    std::string path{};
    std::uint8_t rank = 0;
};

// The unordered pair of ends, and the tag: equal for all subflows of a session, at both ends.
struct session_key {
    identity low, high;
    std::array<std::uint8_t, 16> tag{};
    friend auto operator<=>(const session_key&, const session_key&) = default;
};

class handshake {
  public:
    // `own` is sent as it stands, with a nonce that is fresh for this subflow.
    handshake(block_pool& blocks, const hello& own);

    // What is to be sent now: HELLO at first, later READY, or GOAWAY.
    chain take_output();
    // Bytes from the peer, any split; consumes what belongs to the handshake and leaves the rest in
    // `data` for the engine once done(). Errors: protocol_error, tls_wanted, checksum_error,
    // self_connect, other_version, and what the peer refused us for. They end the subflow: without
    // another word, unless it is refused() by then.
    error received(chain& data);

    // The peer's HELLO is known (its session can be looked up), and accept() has not been called.
    bool undecided() const noexcept { return state_ == state::hello_received; }
    // We take this subflow: queues READY. `goes_on`: the peer must have its session already
    // (wire.h, section 3).
    void accept(bool goes_on = false);
    // Instead, or once done(), with nothing more to be sent or received: queues GOAWAY.
    void refuse(error why);
    // We have turned the peer away, and what is to be sent says so: it should arrive.
    bool refused() const noexcept { return state_ == state::refused; }
    // The peer's READY came too: the subflow may carry frames.
    bool done() const noexcept { return state_ == state::done; }
    // ... and says that we must have its session already.
    bool peer_goes_on() const noexcept { return peer_goes_on_; }

    const hello& own() const noexcept { return own_; }
    const hello& peer() const noexcept { return peer_; }
    session_key key() const;
    subflow_id id() const noexcept;
    bool even() const noexcept;  // we are the even side

  private:
    enum class state : std::uint8_t { hello_sent, hello_received, accepted, refused, done };

    error parse();
    error parse_hello(std::size_t length);
    void say_no(reason why);
    void say(const wire::header& h);

    block_pool& blocks_;
    hello own_, peer_;
    state state_ = state::hello_sent;
    bool peer_ready_ = false, peer_goes_on_ = false;
    error failed_{};  // sticky
    chain out_, in_;
};

}  // namespace libp::stripe
