#pragma once

// The far end of one engine, played by hand: frames are written byte by byte into its subflows, and
// what it sends is cut into frames again. For what a proper peer never does.

#include <libp/block.h>
#include <libp/crc32c.h>
#include <libp/endian.h>
#include <libp/stripe/engine.h>
#include <libp/stripe/wire.h>

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "stripe/frame_reader.h"
#include "stripe/frame_writer.h"

namespace libp::stripe {

class raw_peer {
  public:
    // The engine is the odd side, so the peer's streams are even and ours odd.
    explicit raw_peer(engine_options o = {}, subflow_id subflows = 2)
        : options(fitted(o)), writer_(blocks), e(blocks, options, now) {
        for (subflow_id id = 1; id <= subflows; ++id)
            e.subflow_up(id, {.payload_crc = false}, now);
    }

    // Subflow 1 dies; what the peer sends comes on the second from now on.
    void down() {
        home_ = 2;
        e.subflow_down(1, now);
    }

    // One frame arrives; length and CRC are filled in.
    error send(wire::header h, std::string_view payload = {}, subflow_id on = 0) {
        chain c;
        writer_.small(c, h, bytes_of(payload), false);
        const error failed = e.received(on ? on : home_, std::move(c), now);
        if (checked) e.check_invariants();
        return failed;
    }
    error open(stream_id id, std::uint64_t credit = 1 << 20, subflow_id on = 0) {
        return send({.type = wire::type::open, .stream = id, .offset = credit}, {}, on);
    }
    error data(stream_id id, std::uint64_t at, std::string_view text, bool fin = false,
               subflow_id on = 0) {
        return send({.type = wire::type::data,
                     .flags = fin ? wire::flag::fin : std::uint8_t{0},
                     .stream = id,
                     .offset = at},
                    text, on);
    }
    error rst(stream_id id, std::uint64_t final_size, reason why = reason::local_abort,
              subflow_id on = 0) {
        return send({.type = wire::type::rst,
                     .aux = wire::code_of(why),
                     .stream = id,
                     .offset = final_size},
                    {}, on);
    }
    error ack(stream_id id, std::uint64_t up_to,
              const std::vector<std::pair<std::uint64_t, std::uint64_t>>& ranges = {},
              bool fin = false) {
        std::string payload(ranges.size() * 16, '\0');
        auto* p = reinterpret_cast<std::uint8_t*>(payload.data());
        for (const auto& [begin, end] : ranges) {
            store_be64(p, begin);
            store_be64(p + 8, end);
            p += 16;
        }
        return send({.type = wire::type::ack,
                     .flags = fin ? wire::flag::fin : std::uint8_t{0},
                     .aux = static_cast<std::uint16_t>(ranges.size()),
                     .stream = id,
                     .offset = up_to},
                    payload);
    }
    error path_ack(subflow_id of, std::uint64_t up_to, subflow_id on = 0) {
        std::string payload(8, '\0');
        store_be32(reinterpret_cast<std::uint8_t*>(payload.data()), of);
        return send({.type = wire::type::path_ack, .offset = up_to}, payload, on);
    }

    struct seen {
        wire::header head;
        std::string payload;
    };
    // Everything it wants to send on a subflow.
    std::vector<seen> frames(subflow_id on = 1) {
        chain out;
        while (e.wants_transmit(on, now))
            e.transmit(on, out, 64 * kib, now);
        frame_reader reader(blocks, options.max_frame);
        reader.feed(std::move(out));
        std::vector<seen> all;
        frame f;
        while (reader.next(f))
            all.push_back({f.head, f.payload.to_string()});
        EXPECT_FALSE(reader.error());
        EXPECT_EQ(reader.buffered(), 0u);
        if (checked) e.check_invariants();
        return all;
    }
    // The last frame of that type among those, or a frame of type 0.
    static seen last_of(const std::vector<seen>& all, std::uint8_t type) {
        for (auto at = all.rbegin(); at != all.rend(); ++at)
            if (at->head.type == type) return *at;
        return {};
    }

    std::vector<event> events() {
        std::vector<event> all;
        event ev;
        while (e.next_event(ev))
            all.push_back(std::move(ev));
        return all;
    }
    // What the session died of; none while it lives.
    reason session_end() {
        reason why = reason::none;
        for (const event& ev : events())
            if (ev.what == event::kind::session_broken) why = ev.why.why;
        return why;
    }
    // The code of the GOAWAY that it sends then.
    wire::code goaway(subflow_id on = 1) {
        const auto all = frames(on);
        if (all.size() != 1 || all[0].head.type != wire::type::goaway) return wire::code::none;
        return static_cast<wire::code>(all[0].head.aux);
    }
    std::string read(stream_id id) {
        chain c;
        while (e.read(id, c, SIZE_MAX, now).ok()) {
        }
        if (checked) e.check_invariants();
        return c.to_string();
    }
    std::size_t write(stream_id id, std::string_view text) {
        chain c;
        c.append_copy(blocks, bytes_of(text));
        const std::size_t n = e.write(id, c, now).bytes;
        if (checked) e.check_invariants();
        return n;
    }

    block_pool blocks;
    instant now{};
    bool checked = true;  // invariants after every call: not where thousands of records pile up
    const engine_options options;

  private:
    static engine_options fitted(engine_options o) {
        o.even = false;
        if (o.peer_initial_credit == 0) o.peer_initial_credit = 4 * kib;
        return o;
    }
    frame_writer writer_;
    subflow_id home_ = 1;

  public:
    engine e;
};

}  // namespace libp::stripe
