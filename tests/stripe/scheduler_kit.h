#pragma once

// What the tests of the schedulers share: sessions with a scheduler, over links of some shape, and
// a sender that never runs out.

#include <sim/stripe_world.h>

#include <memory>
#include <string>

#include "raw_peer.h"

namespace libp::stripe {

using sim::link_shape;
using sim::plain_link;
using sim::world;

inline engine_options with(scheduler s) {
    engine_options o;
    o.scheduler = s;
    return o;
}

inline void up(world& w, subflow_id id, const link_shape& shape, std::uint8_t rank) {
    w.add(id, std::make_unique<plain_link>(w.time, w.user(), id, shape, w.random), {.rank = rank});
}
inline std::uint64_t carried(const world& w, subflow_id id, int from = 0) {
    return w.ends[from]->stats(id).data_sent;
}

// One stream with more to send than anybody asks for, and subflows that have room for all of it.
struct sender : raw_peer {
    explicit sender(scheduler s, subflow_id subflows = 2) : raw_peer(options_for(s), subflows) {
        const stream_id id = e.open({"x"}, now);
        for (subflow_id on = 1; on <= subflows; ++on)
            frames(on);
        send({.type = wire::type::open_ok, .stream = id, .offset = 64 * mib});
        for (int n = 0; n < 16; ++n)
            write(id, std::string(256 * kib, 'x'));
    }
    static engine_options options_for(scheduler s) {
        engine_options o = with(s);
        o.send_buffer = 4 * mib;
        return o;
    }
    // Payload of the next frame of DATA on it; 0: none.
    std::size_t next(subflow_id on) {
        const std::uint64_t before = e.stats(on).data_sent;
        while (e.stats(on).data_sent == before && e.wants_transmit(on, now)) {
            chain out;
            e.transmit(on, out, 1, now);
        }
        return static_cast<std::size_t>(e.stats(on).data_sent - before);
    }
};

}  // namespace libp::stripe
