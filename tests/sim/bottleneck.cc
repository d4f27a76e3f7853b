#include "sim/bottleneck.h"

#include <algorithm>

namespace libp::sim {

path_shape path(double mbit, double ms, std::size_t queue_kib, double loss, double flow_cap_mbit) {
    return {.bits_per_second = mbit * 1e6,
            .delay = duration(static_cast<std::int64_t>(ms * 1e6)),
            .queue = queue_kib * kib,
            .loss = loss,
            .flow_cap = flow_cap_mbit * 1e6};
}

bottleneck::bottleneck(timeline& time, const path_shape& shape, std::uint64_t seed,
                       bottleneck* next)
    : actor(time), shape_(shape), random_(seed), next_(next) {}

void bottleneck::enter(const packet& p) {
    if (shape_.flow_cap > 0) return own(p.to).enter(p);
    admit(p);
}

void bottleneck::reshape(const path_shape& s) {
    shape_ = s;
    for (auto& [flow, line] : own_)
        line->shape_ = own_shape();
}

void bottleneck::black_hole(bool on) {
    hole_ = on;
    for (const auto& [flow, line] : own_)
        line->black_hole(on);
    if (!on) return;
    queue_.erase(queue_.begin() + (serving_ ? 1 : 0), queue_.end());
    bytes_ = serving_ ? queue_.front().size : 0;
}

bottleneck& bottleneck::own(timeline::actor_id flow) {
    auto& line = own_[flow];
    if (!line) line = std::make_unique<bottleneck>(time(), own_shape(), 0, nullptr);
    line->next_ = this;
    return *line;
}

void bottleneck::admit(const packet& p) {
    const bool lost =
        shape_.loss > 0 && static_cast<double>(random_.below(1u << 30)) < shape_.loss * (1u << 30);
    if (hole_ || lost || bytes_ + p.size > shape_.queue) {
        ++dropped;
        return;
    }
    bytes_ += p.size;
    queue_.push_back(p);
    serve();
}

void bottleneck::serve() {
    if (serving_ || frozen_ || queue_.empty()) return;
    serving_ = true;
    const double ns = queue_.front().size * 8e9 / shape_.bits_per_second;
    schedule(now() + duration(static_cast<std::int64_t>(ns)), departure);
}

void bottleneck::on_time(int what) {
    what == departure ? depart() : arrive();
}

void bottleneck::depart() {
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

void bottleneck::arrive() {
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

route::route(timeline& time, const path_shape& up, const path_shape& down, std::uint64_t seed)
    : lines{{time, up, seed * 2 + 1}, {time, down, seed * 2 + 2}} {}

}  // namespace libp::sim
