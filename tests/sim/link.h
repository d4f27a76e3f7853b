#pragma once

// A subflow's pipe, both ways, as the world between two engines knows it: plain ones here, TCP
// connections in tcp_flow.h.

#include <libp/block.h>
#include <libp/chain.h>
#include <libp/stripe/engine.h>
#include <sim/timeline.h>
#include <support/seed.h>

#include <deque>

namespace libp::stripe::sim {

using libp::sim::timeline;

// Whoever has the links.
class link_user {
  public:
    virtual void on_bytes(subflow_id id, int to, chain&& data) = 0;
    virtual void on_writable(subflow_id id, int from) = 0;
    // End `side` learns that it is dead.
    virtual void on_death(subflow_id id, int side) = 0;

  protected:
    ~link_user() = default;
};

class link {
  public:
    virtual ~link() = default;
    // Takes what it takes of `data`, in order.
    virtual void send(int from, chain& data) = 0;
    virtual bool writable(int from) const = 0;
    virtual void keep_unsent(int, std::size_t) {}
    // How much the engine is asked for at once, where a driver would ask for `usual`.
    virtual std::size_t batch(std::size_t usual, test_random&) const { return usual; }
    // End `side` closes it: nothing more comes to it. The other end learns in time, if at all.
    virtual void close(int side) = 0;
};

struct link_shape {
    double bytes_per_second = 50e6;
    duration delay{2ms};
    std::size_t queue = 128 * kib;  // what a link takes before it is congested
    std::size_t largest_packet = 16 * kib;
};

// A rate, a delay, a queue, packets of any size: for tests of what arrives, cut at any byte.
class plain_link final : public link, public timeline::actor {
  public:
    plain_link(timeline& time, link_user& user, subflow_id id, const link_shape& shape,
               test_random& random);

    void send(int from, chain& data) override;
    bool writable(int from) const override { return lanes_[1 - from].queued < shape_.queue; }
    std::size_t batch(std::size_t, test_random& random) const override;
    void close(int side) override;

    // Dies when `bytes` more have arrived at end `to`.
    void cut_after(int to, std::uint64_t bytes) {
        lanes_[to].cut_after = lanes_[to].delivered + bytes;
    }
    // Of what is under way to `to`, the first bytes.
    chain take(int to, std::size_t most);
    void freeze(bool frozen);

  private:
    struct parcel {
        instant at;
        chain data;
    };
    struct lane {
        std::deque<parcel> parcels;
        instant busy_until{};
        std::size_t queued = 0;
        std::uint64_t delivered = 0;
        std::uint64_t cut_after = UINT64_MAX;
    };

    void on_time(int to) override;
    void die();

    link_user& user_;
    const subflow_id subflow_;
    const link_shape shape_;
    test_random& random_;
    lane lanes_[2];  // by the end they lead to
    bool frozen_ = false, closed_ = false;
};

}  // namespace libp::stripe::sim
