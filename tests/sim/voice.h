#pragma once

// Applications that speak to each other over a flow of datagrams: one every so often, and what
// became of each.

#include <sim/simulation.h>

#include <vector>

namespace libp::stripe::sim {

struct voice_plan {
    int opener = 0;  // and speaker
    std::size_t count = 500;
    duration every{20ms};
    std::size_t size = 160;
    duration ttl{0};
    bool twice = false;
    duration start{0};
    std::size_t burst = 1;  // so many at once
};

class voice final : private timeline::actor {
  public:
    voice(simulation& world, const voice_plan& p);

    // By number: how long it took, or the greatest duration.
    duration latency(std::size_t n) const {
        return came_[n] == never ? duration::max() : came_[n] - sent_[n];
    }
    std::vector<duration> latencies() const;
    std::size_t said() const { return said_; }
    std::size_t lost() const;
    // Later than `d`, the lost not counted.
    std::size_t later_than(duration d) const;
    // The longest time in which nothing came that was said then.
    duration longest_outage() const;
    bool over() const { return ended_[0] && ended_[1]; }
    std::size_t repeated() const { return repeated_; }
    const datagram_stats& stats() const { return stats_; }
    stream_id id() const { return id_; }

    // An event of this flow?
    bool on_event(int side, event& e);

    error broken{};

  private:
    static std::ptrdiff_t ptr(std::size_t n) { return static_cast<std::ptrdiff_t>(n); }

    void on_time(int) override;
    void say(engine& e);
    void read(int side);
    void hear(const chain& c);

    simulation& world_;
    const voice_plan plan_;
    stream_id id_ = 0;
    std::size_t said_ = 0, repeated_ = 0;
    std::vector<instant> sent_, came_;
    bool ended_[2] = {false, false};
    datagram_stats stats_;
};

}  // namespace libp::stripe::sim
