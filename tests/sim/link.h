#pragma once

// A subflow's pipe, both ways, as the world between two engines knows it: plain ones here, TCP connections in tcp_flow.h.

#include <libp/block.h>
#include <libp/chain.h>
#include <libp/stripe/engine.h>
#include <sim/timeline.h>
#include <support/seed.h>

#include <algorithm>
#include <deque>
#include <utility>

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
               test_random& random)
        : actor(time), user_(user), subflow_(id), shape_(shape), random_(random) {}

    void send(int from, chain& data) override {
        lane& l = lanes_[1 - from];
        while (!data.empty()) {
            parcel p;
            const std::size_t size =
                std::min<std::size_t>(data.size(), 1 + random_.below(shape_.largest_packet));
            data.move_front(p.data, size);
            l.busy_until = std::max(l.busy_until, now()) +
                           duration(static_cast<std::int64_t>(static_cast<double>(size) * 1e9 /
                                                              shape_.bytes_per_second));
            p.at = l.busy_until + shape_.delay;
            l.queued += size;
            schedule(p.at, 1 - from);
            l.parcels.push_back(std::move(p));
        }
    }
    bool writable(int from) const override { return lanes_[1 - from].queued < shape_.queue; }
    std::size_t batch(std::size_t, test_random& random) const override {
        return 1 + random.below(32 * kib);
    }
    void close(int side) override {
        lanes_[0].parcels.clear();
        lanes_[1].parcels.clear();
        if (!std::exchange(closed_, true)) user_.on_death(subflow_, 1 - side);
    }

    // Dies when `bytes` more have arrived at end `to`.
    void cut_after(int to, std::uint64_t bytes) {
        lanes_[to].cut_after = lanes_[to].delivered + bytes;
    }
    // Of what is under way to `to`, the first bytes.
    chain take(int to, std::size_t most) {
        chain all, some;
        for (parcel& p : lanes_[to].parcels)
            all.append(std::move(p.data));
        lanes_[to].parcels.clear();
        all.move_front(some, std::min(most, all.size()));
        return some;
    }
    void freeze(bool frozen) {
        frozen_ = frozen;
        if (frozen) return;
        schedule(now(), 0);
        schedule(now(), 1);
    }

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

    void on_time(int to) override {
        lane& l = lanes_[to];
        while (!frozen_ && !closed_ && !l.parcels.empty() && l.parcels.front().at <= now()) {
            chain data = std::move(l.parcels.front().data);
            l.parcels.pop_front();
            const bool was_full = l.queued >= shape_.queue;
            l.queued -= data.size();
            const bool last = l.delivered + data.size() >= l.cut_after;
            if (last) {
                chain part;
                data.move_front(part, l.cut_after - l.delivered);
                data = std::move(part);
            }
            l.delivered += data.size();
            user_.on_bytes(subflow_, to, std::move(data));
            if (was_full && l.queued < shape_.queue) user_.on_writable(subflow_, 1 - to);
            if (last && !closed_) die();
        }
    }
    void die() {
        closed_ = true;
        const int first = static_cast<int>(random_.below(2));
        user_.on_death(subflow_, first);
        user_.on_death(subflow_, 1 - first);
    }

    link_user& user_;
    const subflow_id subflow_;
    const link_shape shape_;
    test_random& random_;
    lane lanes_[2];  // by the end they lead to
    bool frozen_ = false, closed_ = false;
};

}  // namespace libp::stripe::sim
