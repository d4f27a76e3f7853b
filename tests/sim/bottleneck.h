#pragma once

// One direction of a route: a queue in front of a line with a rate and a delay. Any number of flows share it.
//
// Packets never overtake each other. Jitter is a delay that changes every so often; a packet that comes behind a slow one waits for it,
// as it does in radio networks. Every property can be changed while packets are under way.

#include <libp/types.h>
#include <sim/timeline.h>
#include <support/seed.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <utility>

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
inline path_shape path(double mbit, double ms, std::size_t queue_kib = 256, double loss = 0,
                       double flow_cap_mbit = 0) {
    return {.bits_per_second = mbit * 1e6,
            .delay = duration(static_cast<std::int64_t>(ms * 1e6)),
            .queue = queue_kib * kib,
            .loss = loss,
            .flow_cap = flow_cap_mbit * 1e6};
}

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
               bottleneck* next = nullptr)
        : actor(time), shape_(shape), random_(seed), next_(next) {}

    void enter(const packet& p) {
        if (shape_.flow_cap > 0) return own(p.to).enter(p);
        admit(p);
    }

    // -- weather
    const path_shape& shape() const noexcept { return shape_; }
    void reshape(const path_shape& s) {
        shape_ = s;
        for (auto& [flow, line] : own_)
            line->shape_ = own_shape();
    }
    void set_rate(double bits_per_second) { shape_.bits_per_second = bits_per_second; }
    // Nothing leaves it; what waits goes on when it thaws.
    void freeze(bool frozen) {
        frozen_ = frozen;
        if (!frozen) serve();
    }
    // Everything that is in it, and whatever enters, is lost.
    void black_hole(bool on) {
        hole_ = on;
        for (const auto& [flow, line] : own_)
            line->black_hole(on);
        if (!on) return;
        queue_.erase(queue_.begin() + (serving_ ? 1 : 0), queue_.end());
        bytes_ = serving_ ? queue_.front().size : 0;
    }
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
    bottleneck& own(timeline::actor_id flow) {
        auto& line = own_[flow];
        if (!line) line = std::make_unique<bottleneck>(time(), own_shape(), 0, nullptr);
        line->next_ = this;
        return *line;
    }
    void admit(const packet& p) {
        const bool lost = shape_.loss > 0 &&
                          static_cast<double>(random_.below(1u << 30)) < shape_.loss * (1u << 30);
        if (hole_ || lost || bytes_ + p.size > shape_.queue) {
            ++dropped;
            return;
        }
        bytes_ += p.size;
        queue_.push_back(p);
        serve();
    }
    void serve() {
        if (serving_ || frozen_ || queue_.empty()) return;
        serving_ = true;
        const double ns = queue_.front().size * 8e9 / shape_.bits_per_second;
        schedule(now() + duration(static_cast<std::int64_t>(ns)), departure);
    }
    void on_time(int what) override { what == departure ? depart() : arrive(); }
    void depart() {
        serving_ = false;
        const packet p = queue_.front();
        queue_.pop_front();
        bytes_ -= p.size;
        carried += p.size;
        if (shape_.jitter > duration{0} && now() >= jitter_until_) {
            extra_ = duration(static_cast<std::int64_t>(
                random_.below(static_cast<std::uint64_t>(shape_.jitter.count()))));
            jitter_until_ = now() + std::max(duration{10ms}, shape_.jitter);
        }
        if (shape_.jitter == duration{0}) extra_ = {};
        last_ = std::max(last_, now() + shape_.delay + extra_);
        under_way_.push_back(p);
        schedule(last_, arrival);
        serve();
    }
    void arrive() {
        const packet p = under_way_.front();
        under_way_.pop_front();
        if (hole_) {
            ++dropped;
        } else if (next_) {
            next_->admit(p);
        } else if (auto* to = time().find(p.to)) {
            static_cast<host*>(to)->arrived(p);
        }
    }

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
    route(timeline& time, const path_shape& up, const path_shape& down, std::uint64_t seed)
        : lines{{time, up, seed * 2 + 1}, {time, down, seed * 2 + 2}} {}

    // By the end that sends.
    bottleneck lines[2];

    void freeze(bool on) { lines[0].freeze(on), lines[1].freeze(on); }
    void black_hole(bool on) { lines[0].black_hole(on), lines[1].black_hole(on); }
    void set_rate(double bps) { lines[0].set_rate(bps), lines[1].set_rate(bps); }
    bool passes() const { return lines[0].passes() && lines[1].passes(); }
    duration round_trip() const { return lines[0].shape().delay + lines[1].shape().delay; }
};

}  // namespace libp::sim
