#pragma once

// The model of a path, each direction of which is a link between two devices: random loss, [a
// flow's queue served at the flow's rate,] the path's drop-tail queue served at the path's rate,
// then the delay, in order.
//
// A packet's times follow from its arrival and from those before it, not from when this process
// happened to run: a late turn delays a packet a little and never lowers the rate. Sizes are those
// of the IP packets.

#include "lab/path_settings.h"
#include "lab/segment.h"

#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <utility>
#include <vector>

namespace lab {

using nanos = std::int64_t;
constexpr nanos never = std::numeric_limits<nanos>::max();
constexpr std::size_t mtu = 1500;

struct packet {
    nanos at;  // when it arrived at what holds it, or is due to leave it
    std::size_t size;
    std::size_t payload;  // of TCP
    std::unique_ptr<std::uint8_t[]> data;
};

// A queue served at a rate.
class shaper {
  public:
    bool empty() const { return queue_.empty(); }
    nanos next() const { return queue_.empty() ? never : head_done_; }

    // False: the queue was full, the packet is gone.
    bool offer(packet p, double rate, std::size_t limit) {
        if (limit > 0 && held_ + p.size > limit) return false;
        held_ += p.size;
        queue_.push_back(std::move(p));
        if (queue_.size() == 1) serve_head(rate);
        return true;
    }

    // The packet whose last bit has left by `now`; `at` says when.
    std::optional<packet> take(nanos now, double rate) {
        if (next() > now) return {};
        packet p = std::move(queue_.front());
        queue_.pop_front();
        held_ -= p.size;
        p.at = head_done_;
        if (!queue_.empty()) serve_head(rate);
        return p;
    }

    void resume(nanos now) { head_done_ = std::max(head_done_, now); }
    std::size_t clear() {
        held_ = 0;
        const std::size_t n = queue_.size();
        queue_.clear();
        return n;
    }

  private:
    void serve_head(double rate) {
        const packet& p = queue_.front();
        head_done_ = std::max(head_done_, p.at);
        if (rate > 0) head_done_ += static_cast<nanos>(static_cast<double>(p.size) * 8000 / rate);
    }

    std::deque<packet> queue_;
    std::size_t held_ = 0;
    nanos head_done_ = 0;
};

struct counters {
    std::uint64_t packets = 0, bytes = 0, payload = 0;  // delivered
    std::uint64_t lost = 0, overflowed = 0, silenced = 0, resets = 0;
};

enum class condition { up, down, frozen, refusing };

class link {
  public:
    link(const settings& s, bool up, int from, int to)
        : set(s), up_(up), from_(from), to_(to), random_(static_cast<std::uint64_t>(s.seed)) {}

    settings set;
    const counters& counted() const { return count_; }
    int input() const { return from_; }

    // Reads what the sending device has, not without end: the other paths want their turn.
    void receive(nanos now) {
        for (int i = 0; i < 128; ++i) {
            packet p{now, 0, 0, std::make_unique_for_overwrite<std::uint8_t[]>(mtu)};
            const ssize_t n = read(from_, p.data.get(), mtu);
            if (n <= 0) return;
            p.size = static_cast<std::size_t>(n);
            arrive(std::move(p));
        }
    }

    void advance(nanos now) {
        if (condition_ == condition::frozen) return;
        for (auto& [key, f] : flows_) {
            while (auto p = f.queue.take(now, set.flow))
                enter_line(std::move(*p));
        }
        while (auto p = line_.take(now, set.rate)) {
            const double spread = set.jitter > 0 ? unit_(random_) * set.jitter : 0;
            p->at += static_cast<nanos>((set.delay + spread) * 1e6);
            if (!flying_.empty()) p->at = std::max(p->at, flying_.back().at);
            flying_.push_back(std::move(*p));
        }
        for (; !flying_.empty() && flying_.front().at <= now; flying_.pop_front())
            deliver(flying_.front());
    }

    nanos next() const {
        if (condition_ == condition::frozen) return never;
        nanos at = std::min(line_.next(), flying_.empty() ? never : flying_.front().at);
        if (set.flow > 0)
            for (const auto& [key, f] : flows_)
                at = std::min(at, f.queue.next());
        return at;
    }

    void become(condition c, nanos now) {
        if (c == condition::down || c == condition::refusing) {
            count_.silenced += line_.clear() + flying_.size();
            flying_.clear();
            for (auto& [key, f] : flows_)
                count_.silenced += f.queue.clear();
        }
        if (condition_ == condition::frozen) {
            line_.resume(now);
            for (auto& [key, f] : flows_)
                f.queue.resume(now);
        }
        condition_ = c;
    }

    void cut(const std::vector<flow_key>& keys) {
        for (const auto& k : keys)
            flows_[k].cut = true;
    }
    std::vector<flow_key> seen() const {
        std::vector<flow_key> all;
        for (const auto& [key, f] : flows_)
            all.push_back(key);
        return all;
    }

  private:
    struct flow {
        shaper queue;
        bool cut = false;
    };

    void arrive(packet p) {
        const auto h = parse(p.data.get(), p.size);
        if (!h) return;
        p.payload = h->payload;
        if (condition_ == condition::down) {
            ++count_.silenced;
            return;
        }
        flow& f = flows_[key_of(*h, up_)];
        if (f.cut || condition_ == condition::refusing) return refuse(*h);
        if (set.loss > 0 && unit_(random_) < set.loss) {
            ++count_.lost;
            return;
        }
        if (set.flow <= 0 && f.queue.empty()) return enter_line(std::move(p));
        if (!f.queue.offer(std::move(p), set.flow, static_cast<std::size_t>(set.flowqueue)))
            ++count_.overflowed;
    }

    void enter_line(packet p) {
        if (!line_.offer(std::move(p), set.rate, static_cast<std::size_t>(set.queue)))
            ++count_.overflowed;
    }

    void refuse(const header& h) {
        if (!h.tcp || h.tcp->rst) return;
        const auto answer = reset_for(h);
        ++count_.resets;
        // A device that takes no packet loses it, as a network may.
        if (write(from_, answer.data(), answer.size()) < 0) ++count_.lost;
    }

    void deliver(const packet& p) {
        if (write(to_, p.data.get(), p.size) < 0) {
            ++count_.lost;
            return;
        }
        ++count_.packets;
        count_.bytes += p.size;
        count_.payload += p.payload;
    }

    bool up_;
    int from_, to_;
    condition condition_ = condition::up;
    std::map<flow_key, flow> flows_;
    shaper line_;
    std::deque<packet> flying_;
    counters count_;
    std::mt19937_64 random_;
    std::uniform_real_distribution<double> unit_;
};

struct path {
    path(const settings& u, const settings& d, int client, int server)
        : up(u, true, client, server), down(d, false, server, client) {}
    link up, down;
};

}  // namespace lab
