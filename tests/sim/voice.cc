#include "sim/voice.h"

#include <libp/endian.h>

#include <algorithm>
#include <utility>

namespace libp::stripe::sim {

voice::voice(simulation& world, const voice_plan& p)
    : actor(world.time), world_(world), plan_(p), sent_(p.count), came_(p.count, never) {
    schedule(instant{} + p.start, 0);
}

std::vector<duration> voice::latencies() const {
    std::vector<duration> out;
    for (std::size_t n = 0; n < said_; ++n)
        out.push_back(latency(n));
    return out;
}

std::size_t voice::lost() const {
    return static_cast<std::size_t>(std::count(came_.begin(), came_.begin() + ptr(said_), never));
}

std::size_t voice::later_than(duration d) const {
    std::size_t n = 0;
    for (std::size_t i = 0; i < said_; ++i)
        n += came_[i] != never && latency(i) > d;
    return n;
}

duration voice::longest_outage() const {
    std::vector<instant> all;
    for (std::size_t n = 0; n < said_; ++n)
        if (came_[n] != never) all.push_back(came_[n]);
    std::sort(all.begin(), all.end());
    duration longest{0};
    for (std::size_t i = 1; i < all.size(); ++i)
        longest = std::max(longest, all[i] - all[i - 1]);
    return longest;
}

bool voice::on_event(int side, event& e) {
    if (e.what == event::kind::stream_opened && e.request.datagrams && id_ == e.id) {
        world_.ends[side]->accept(e.id, now());
        return true;
    }
    if (e.id == 0 || e.id != id_) return false;
    if (e.what == event::kind::stream_readable) read(side);
    if (e.what == event::kind::stream_broken) broken = e.why;
    return true;
}

void voice::on_time(int) {
    engine& e = *world_.ends[plan_.opener];
    world_.touch(plan_.opener);
    if (id_ == 0)
        id_ = e.open({.target = "voice", .datagrams = true, .ttl = plan_.ttl, .twice = plan_.twice},
                     now());
    for (std::size_t i = 0; i < plan_.burst && said_ < plan_.count; ++i)
        say(e);
    if (said_ < plan_.count)
        schedule(now() + plan_.every, 0);
    else
        e.finish(id_, now());
}

void voice::say(engine& e) {
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

void voice::read(int side) {
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

void voice::hear(const chain& c) {
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

}  // namespace libp::stripe::sim
