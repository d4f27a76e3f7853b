#pragma once

// One direction of a TCP connection over two bottlenecks: enough of TCP to get ratios right.
//
//  * segments of 1448 bytes in packets of 1500; the receiver acknowledges every second one and
//    every one out of order
//  * slow start from 10 segments and CUBIC (cubic.h), or BBR (bbr.h), which paces
//  * a window that is not used neither grows nor stays (window_use.h)
//  * loss: whatever was transmitted before something that arrived is lost (packets never overtake
//    each other); a tail probe after two round trips; a timeout of at least 200 ms that doubles up
//    to `rto_max`
//  * the receiver's window is unlimited, and it gets bytes in order only
//  * the socket: takes bytes while less than `lowat` is unsent, and asks for more when half of that
//    is left
//
// The lane is the state of both ends, so only numbers travel in packets.

#include <libp/chain.h>
#include <sim/bbr.h>
#include <sim/bottleneck.h>
#include <sim/cubic.h>
#include <sim/window_use.h>

#include <deque>
#include <functional>
#include <map>
#include <optional>

namespace libp::sim {

enum class congestion_control : std::uint8_t { cubic, bbr };

struct tcp_options {
    duration rto_min{200ms};
    duration rto_max{120s};
    std::size_t first_window = 10;  // segments
    bool hystart = true;
    congestion_control congestion = congestion_control::cubic;
};

class tcp_lane final : public host {
  public:
    static constexpr std::uint32_t segment = 1448;
    static constexpr std::uint32_t overhead = 52;  // of a packet
    static constexpr std::uint32_t ack_size = 64;
    static constexpr std::size_t largest_write = 64 * kib;

    // `ahead` carries data, `back` acknowledgements.
    tcp_lane(timeline& time, bottleneck& ahead, bottleneck& back, const tcp_options& o);

    std::function<void(chain&&)> on_bytes;
    std::function<void()> on_writable;
    std::function<void()> on_reset;

    // -- the sender's socket
    void send(chain& data);
    bool writable() const noexcept { return writable_; }
    void keep_unsent(std::size_t n) {
        lowat_ = n;
        wake();
    }
    std::uint64_t unsent() const noexcept { return written_ - next_; }
    // The sender's end is closed: nothing more is sent but a reset, now and whenever something
    // comes.
    void reset_by_sender() {
        sender_gone_ = true;
        send_reset();
    }
    void send_reset() { ahead_.enter({.to = id(), .what = packet::kind::reset, .size = ack_size}); }
    // The receiver's end is closed: it answers with a reset, which the other lane sends.
    std::function<void()> on_refused;
    bool receiver_gone = false;

    // For tables.
    double window() const noexcept { return window_; }
    duration srtt() const noexcept { return srtt_; }
    std::uint64_t retransmitted = 0, timeouts = 0;

  private:
    enum : int { timeout, pacing };

    struct piece {
        std::uint64_t begin, end;
        std::uint64_t number;  // of its last transmission
        bbr::mark mark{};
        bool arrived = false, lost = false;
        std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(end - begin); }
    };

    void arrived(const packet& p) override;

    // -- the receiver

    void receive(const packet& p);
    void merge(std::map<std::uint64_t, std::uint64_t>::iterator& at);

    // -- the sender

    void acknowledge(const packet& p);
    std::uint64_t acknowledged() const noexcept {
        return out_.empty() ? next_ : out_.front().begin;
    }
    // It is no longer in flight; returns what that is in bytes newly known to have arrived.
    std::uint64_t settle(piece& s);
    std::deque<piece>::iterator find(std::uint64_t begin);
    void find_losses();
    void lose(piece& s);
    void slow_down();
    void measure(duration rtt);

    void output();
    void pace();
    bool room() const noexcept { return flying_ + segment <= window_ * segment || flying_ <= 0; }
    void transmit(piece& s, bool again);
    void wake();

    // -- timeouts: the event is scheduled lazily, `deadline_` is what counts

    duration rto() const noexcept;
    void arm();
    void on_time(int what) override;

    bottleneck& ahead_;
    bottleneck& back_;
    const tcp_options options_;
    cubic cubic_;
    std::optional<bbr> model_;  // instead
    bool paced_ = false;        // it is scheduled to go on

    chain undelivered_;  // written and not yet received in order
    std::uint64_t written_ = 0, next_ = 0;
    std::size_t lowat_ = 16 * kib;
    bool writable_ = true, sender_gone_ = false;

    std::deque<piece> out_;  // sent and not acknowledged as a whole
    double flying_ = 0;  // bytes sent that have neither arrived nor been lost, as far as is known
    std::size_t lost_ = 0, holes_ = 0;
    std::uint64_t transmissions_ = 0, newest_ = 0;
    bool recovering_ = false, probed_ = false;
    std::uint64_t recover_ = 0;

    double window_;  // segments
    window_use use_{static_cast<double>(options_.first_window)};
    duration srtt_{0}, rttvar_{0}, rtt_min_{0};
    int backoff_ = 0;
    instant deadline_ = never, scheduled_ = never, sent_at_{};

    std::uint64_t received_ = 0;
    std::map<std::uint64_t, std::uint64_t> parked_;
};

}  // namespace libp::sim
