#pragma once

// A subflow that is a TCP connection over a route.

#include <sim/link.h>
#include <sim/tcp_lane.h>

namespace libp::stripe::sim {

class tcp_flow final : public link {
  public:
    tcp_flow(timeline& time, link_user& user, subflow_id id, libp::sim::route& over,
             const libp::sim::tcp_options& o);

    void send(int from, chain& data) override { lanes_[from].send(data); }
    bool writable(int from) const override { return lanes_[from].writable(); }
    void keep_unsent(int from, std::size_t n) override { lanes_[from].keep_unsent(n); }
    void close(int side) override;

    // The `nth` byte that arrives from end `from`, counted from now (1 is the next), has a bit
    // wrong.
    void corrupt(int from, std::uint64_t nth) { flip_[from] = nth; }
    const libp::sim::tcp_lane& lane(int from) const { return lanes_[from]; }

  private:
    void flip(int from, chain& data);

    block_pool pool_{0};
    libp::sim::tcp_lane lanes_[2];  // by the end that sends
    std::uint64_t flip_[2] = {0, 0};
};

}  // namespace libp::stripe::sim
