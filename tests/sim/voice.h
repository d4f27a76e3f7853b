#pragma once

// Applications that speak to each other over a flow of datagrams: one every so often, and what became of each.

#include <libp/endian.h>
#include <sim/simulation.h>

#include <algorithm>
#include <map>
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
    voice(simulation& world, const voice_plan& p)
        : actor(world.time), world_(world), plan_(p), sent_(p.count), came_(p.count, never) {
        schedule(instant{} + p.start, 0);
    }

    // By number: how long it took, or the greatest duration.
    duration latency(std::size_t n) const {
        return came_[n] == never ? duration::max() : came_[n] - sent_[n];
    }
    std::vector<duration> latencies() const {
        std::vector<duration> out;
        for (std::size_t n = 0; n < said_; ++n)
            out.push_back(latency(n));
        return out;
    }
    std::size_t said() const { return said_; }
    std::size_t lost() const {
        return static_cast<std::size_t>(
            std::count(came_.begin(), came_.begin() + ptr(said_), never));
    }
    // Later than `d`, the lost not counted.
    std::size_t later_than(duration d) const {
        std::size_t n = 0;
        for (std::size_t i = 0; i < said_; ++i)
            n += came_[i] != never && latency(i) > d;
        return n;
    }
    // The longest time in which nothing came that was said then.
    duration longest_outage() const {
        std::vector<instant> all;
        for (std::size_t n = 0; n < said_; ++n)
            if (came_[n] != never) all.push_back(came_[n]);
        std::sort(all.begin(), all.end());
        duration longest{0};
        for (std::size_t i = 1; i < all.size(); ++i)
            longest = std::max(longest, all[i] - all[i - 1]);
        return longest;
    }
    bool over() const { return ended_[0] && ended_[1]; }
    std::size_t repeated() const { return repeated_; }
    const datagram_stats& stats() const { return stats_; }
    stream_id id() const { return id_; }

    // An event of this flow?
    bool on_event(int side, event& e) {
        if (e.what == event::kind::stream_opened && e.request.datagrams && id_ == e.id) {
            world_.ends[side]->accept(e.id, now());
            return true;
        }
        if (e.id == 0 || e.id != id_) return false;
        if (e.what == event::kind::stream_readable) read(side);
        if (e.what == event::kind::stream_broken) broken = e.why;
        return true;
    }

    error broken{};

  private:
    static std::ptrdiff_t ptr(std::size_t n) { return static_cast<std::ptrdiff_t>(n); }

    void on_time(int) override {
        engine& e = *world_.ends[plan_.opener];
        world_.touch(plan_.opener);
        if (id_ == 0)
            id_ = e.open(
                {.target = "voice", .datagrams = true, .ttl = plan_.ttl, .twice = plan_.twice},
                now());
        for (std::size_t i = 0; i < plan_.burst && said_ < plan_.count; ++i)
            say(e);
        if (said_ < plan_.count)
            schedule(now() + plan_.every, 0);
        else
            e.finish(id_, now());
    }
    void say(engine& e) {
        block_ref b = world_.blocks.take(std::max<std::size_t>(plan_.size, 8));
        b->set_used(plan_.size);
        std::fill_n(b->data(), plan_.size, static_cast<std::uint8_t>(said_));
        if (plan_.size >= 8) store_be64(b->data(), said_);
        chain c;
        const std::uint8_t* from = b->data();
        c.append(slice{std::move(b), from, plan_.size});
        sent_[said_++] = now();
        e.send_datagram(id_, std::move(c), plan_.ttl, now());
        stats_ = e.datagrams(id_);
    }
    void read(int side) {
        engine& e = *world_.ends[side];
        for (;;) {
            chain c;
            const io_result r = e.next_datagram(id_, c, now());
            if (r.status == io_status::fin && !std::exchange(ended_[side], true) &&
                side != plan_.opener)
                e.finish(id_, now());
            if (!r.ok()) return;
            hear(c);
        }
    }
    void hear(const chain& c) {
        std::vector<std::uint8_t> all(c.size());
        c.copy_out(all);
        if (all.size() != plan_.size) return world_.fail("a datagram of another size");
        const std::uint64_t n = load_be64(all.data());
        const auto fill = static_cast<std::uint8_t>(n);
        if (n >= said_ || std::count(all.begin() + 8, all.end(), fill) != ptr(all.size()) - 8)
            return world_.fail("a datagram that nobody sent");
        if (came_[n] != never) ++repeated_;
        came_[n] = std::min(came_[n], now());
    }

    simulation& world_;
    const voice_plan plan_;
    stream_id id_ = 0;
    std::size_t said_ = 0, repeated_ = 0;
    std::vector<instant> sent_, came_;
    bool ended_[2] = {false, false};
    datagram_stats stats_;
};

}  // namespace libp::stripe::sim
