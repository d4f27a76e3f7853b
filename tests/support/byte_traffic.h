#pragma once

// Bytes that know their place: the byte at every position of a traffic follows from its seed, so a
// receiver that knows the seed finds the first byte that is lost, doubled, swapped or changed, and
// says where.
//
// On a datagram pipe the traffic is cut into messages whose sizes follow from the seed too, from
// none to `most` bytes, so that lost borders are found as well as lost bytes. On a stream `most` is
// only how much is offered at once.

#include <libp/chain.h>
#include <libp/event_loop.h>
#include <libp/io_pipe.h>

#include <string>

#include "support/seed.h"

namespace libp {

struct traffic {
    std::uint64_t seed = 1;
    std::size_t total = 0;
    std::size_t most = 8 * kib;
};

std::uint8_t traffic_byte(std::uint64_t seed, std::uint64_t position) noexcept;

// The sizes of a traffic's messages, one after the other; they add up to its total.
class message_sizes {
  public:
    explicit message_sizes(const traffic& t) noexcept : t_(t), random_(t.seed) {}
    bool done() const noexcept { return given_ == t_.total; }
    std::size_t next();

  private:
    traffic t_;
    test_random random_;
    std::size_t given_ = 0;
};

// Makes a traffic, piece by piece.
class byte_source {
  public:
    explicit byte_source(const traffic& t) noexcept : t_(t), sizes_(t) {}
    bool done() const noexcept { return sizes_.done(); }
    // The next message. Not when done().
    chain next(block_pool& pool);
    std::size_t made() const noexcept { return made_; }

  private:
    traffic t_;
    message_sizes sizes_;
    std::size_t made_ = 0;
};

// Checks a traffic as it arrives.
class byte_sink {
  public:
    explicit byte_sink(const traffic& t) noexcept : t_(t), sizes_(t) {}
    // Any part of a stream.
    void take(const chain& data);
    // One whole message.
    void take_message(const chain& data);

    std::size_t received() const noexcept { return received_; }
    bool complete() const noexcept { return fault_.empty() && received_ == t_.total; }
    // The first thing that was wrong: "byte 17 is 3, not 5". Empty: nothing.
    const std::string& fault() const noexcept { return fault_; }

  private:
    traffic t_;
    message_sizes sizes_;
    std::size_t received_ = 0;
    std::string fault_;
};

// Drives one end of a connection: sends one traffic, then a FIN, and checks the other as it comes
// in. Attaches to the pipe.
//
// It behaves as the contract asks of a consumer: it moves at most `budget` bytes at a time and then
// comes back by a deferred call, and otherwise acts on edges alone, so an edge that is not
// delivered hangs it (and its test says so).
class traffic_end {
  public:
    struct options {
        traffic out{};
        traffic in{};
        std::size_t recv_most = 64 * kib;
        std::size_t budget = 256 * kib;
        bool fin = true;      // send_fin behind the last byte
        bool receive = true;  // or not until start_receiving()
    };

    traffic_end(event_loop& loop, io_pipe& pipe, const options& o);
    ~traffic_end() { again_.cancel(); }

    void start_receiving();
    void stop_receiving() noexcept { options_.receive = false; }
    // Sends the FIN that was withheld.
    void finish();

    io_pipe& pipe() noexcept { return pipe_; }
    const byte_sink& sink() const noexcept { return sink_; }
    std::size_t sent() const noexcept { return sent_; }
    std::size_t received() const noexcept { return sink_.received(); }
    bool fin_received() const noexcept { return end_ == io_status::fin; }
    bool break_received() const noexcept { return end_ == io_status::broken; }
    // Everything came, and the FIN, and our own FIN went.
    bool done() const noexcept { return sink_.complete() && fin_received() && pipe_.finished(); }
    io_flags seen() const noexcept { return seen_; }
    // For a test that waited in vain.
    std::string story() const;

  private:
    void on_pipe(io_flags risen);
    void pump();
    void pump_out(std::size_t& budget);
    void pump_in(std::size_t& budget);

    event_loop& loop_;
    io_pipe& pipe_;
    options options_;
    deferred again_;
    byte_source source_;
    byte_sink sink_;
    chain out_;
    bool out_waits_ = false;  // out_ holds a message, maybe an empty one
    std::size_t sent_ = 0;
    io_flags seen_{};
    io_status end_ = io_status::ok;  // how receiving ended
};

}  // namespace libp
