#include "sim/link.h"

#include <algorithm>
#include <utility>

namespace libp::stripe::sim {

plain_link::plain_link(timeline& time, link_user& user, subflow_id id, const link_shape& shape,
                       test_random& random)
    : actor(time), user_(user), subflow_(id), shape_(shape), random_(random) {}

void plain_link::send(int from, chain& data) {
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

std::size_t plain_link::batch(std::size_t, test_random& random) const {
    return 1 + random.below(32 * kib);
}

void plain_link::close(int side) {
    lanes_[0].parcels.clear();
    lanes_[1].parcels.clear();
    if (!std::exchange(closed_, true)) user_.on_death(subflow_, 1 - side);
}

chain plain_link::take(int to, std::size_t most) {
    chain all, some;
    for (parcel& p : lanes_[to].parcels)
        all.append(std::move(p.data));
    lanes_[to].parcels.clear();
    all.move_front(some, std::min(most, all.size()));
    return some;
}

void plain_link::freeze(bool frozen) {
    frozen_ = frozen;
    if (frozen) return;
    schedule(now(), 0);
    schedule(now(), 1);
}

void plain_link::on_time(int to) {
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

void plain_link::die() {
    closed_ = true;
    const int first = static_cast<int>(random_.below(2));
    user_.on_death(subflow_, first);
    user_.on_death(subflow_, 1 - first);
}

}  // namespace libp::stripe::sim
