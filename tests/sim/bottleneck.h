#pragma once

// One direction of a route: a queue in front of a line with a rate and a delay. Any number of flows
// share it.
//
// Packets never overtake each other. Jitter is a delay that changes every so often; a packet that
// comes behind a slow one waits for it, as it does in radio networks. Every property can be changed
// while packets are under way.

#include <libp/types.h>
#include <sim/timeline.h>
#include <support/seed.h>

#include <deque>
#include <map>
#include <memory>

namespace libp::sim {

struct path_shape {
    double bits_per_second = 20e6;
    duration delay{20ms};           // one way
    std::size_t queue = 256 * kib;  // bytes; what comes on top is dropped
    duration jitter{0};             // up to that much more delay
    double loss = 0;                // of packets, at random
    double flow_cap = 0;            // bits per second that any one flow gets; 0: no such limit
};

// In Mbit/s, milliseconds one way, KiB.
path_shape path(double mbit, double ms, std::size_t queue_kib = 256, double loss = 0,
                double flow_cap_mbit = 0);

struct packet {
    enum class kind : std::uint8_t { data, ack, reset };

    timeline::actor_id to = 0;
    kind what = kind::data;
    bool ask = false;                  // data: to be acknowledged at once
    std::uint32_t size = 0;            // on the line, headers included
    std::uint64_t begin = 0, end = 0;  // data: its bytes. ack: a range that arrived
    std::uint64_t next = 0;            // ack: all before it arrived
    std::uint64_t number = 0;          // of the transmission; an ack repeats what it answers
    instant sent{};                    // likewise
};

// Where packets arrive.
class host : public timeline::actor {
  public:
    using actor::actor;
    virtual void arrived(const packet& p) = 0;
};

class bottleneck final : public timeline::actor {
  public:
    bottleneck(timeline& time, const path_shape& shape, std::uint64_t seed,
               bottleneck* next = nullptr);

    void enter(const packet& p);

    // -- weather
    const path_shape& shape() const noexcept { return shape_; }
    void reshape(const path_shape& s);
    void set_rate(double bits_per_second) { shape_.bits_per_second = bits_per_second; }
    // Nothing leaves it; what waits goes on when it thaws.
    void freeze(bool frozen) {
        frozen_ = frozen;
        if (!frozen) serve();
    }
    // Everything that is in it, and whatever enters, is lost.
    void black_hole(bool on);
    bool passes() const noexcept { return !hole_ && !frozen_; }

    duration waiting() const noexcept {
        return duration(
            static_cast<std::int64_t>(static_cast<double>(bytes_) * 8e9 / shape_.bits_per_second));
    }
    std::uint64_t dropped = 0;
    std::uint64_t carried = 0;  // bytes, headers included

  private:
    enum : int { departure, arrival };

    path_shape own_shape() const {
        return {.bits_per_second = shape_.flow_cap, .delay = {}, .queue = shape_.queue};
    }
    // A line of the flow's own in front of this one.
    bottleneck& own(timeline::actor_id flow);
    void admit(const packet& p);
    void serve();
    void on_time(int what) override;
    void depart();
    void arrive();

    path_shape shape_;
    test_random random_;
    bottleneck* next_;
    std::map<timeline::actor_id, std::unique_ptr<bottleneck>> own_;
    std::deque<packet> queue_;      // the first is on its way onto the line while serving_
    std::deque<packet> under_way_;  // in order of arrival
    std::size_t bytes_ = 0;         // in queue_
    bool serving_ = false, frozen_ = false, hole_ = false;
    duration extra_{};
    instant jitter_until_{}, last_{};
};

// Both directions.
struct route {
    route(timeline& time, const path_shape& up, const path_shape& down, std::uint64_t seed);

    // By the end that sends.
    bottleneck lines[2];

    void freeze(bool on) { lines[0].freeze(on), lines[1].freeze(on); }
    void black_hole(bool on) { lines[0].black_hole(on), lines[1].black_hole(on); }
    void set_rate(double bps) { lines[0].set_rate(bps), lines[1].set_rate(bps); }
    bool passes() const { return lines[0].passes() && lines[1].passes(); }
    duration round_trip() const { return lines[0].shape().delay + lines[1].shape().delay; }
};

}  // namespace libp::sim
