// The engine against a peer and a driver that do anything: the input is a little program of their
// moves. Frames are well formed enough to be read; what they say is arbitrary. Invariants hold
// after every move, memory stays bounded, and nothing crashes.

#include <libp/assert.h>
#include <libp/block.h>
#include <libp/endian.h>
#include <libp/stripe/engine.h>
#include <libp/stripe/wire.h>

#include <algorithm>
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "stripe/frame_writer.h"

using namespace libp;
using namespace libp::stripe;

namespace {

class program {
  public:
    program(const std::uint8_t* data, std::size_t size) : data_(data), left_(size) {}
    bool over() const { return left_ == 0; }
    std::uint8_t byte() {
        if (left_ == 0) return 0;
        --left_;
        return *data_++;
    }
    // Small numbers mostly, and the ends of all ranges sometimes.
    std::uint64_t number() {
        const std::uint8_t b = byte();
        if (b < 192) return b;
        if (b < 240) return std::uint64_t{byte()} << 8 | byte();
        const std::uint64_t ends[] = {
            4 * kib,          4 * kib - 1,          256 * kib, 256 * kib - 1, UINT32_MAX,
            wire::credit_max, wire::credit_max + 1, UINT64_MAX};
        return ends[b % 8];
    }

  private:
    const std::uint8_t* data_;
    std::size_t left_;
};

class driver {
  public:
    driver() : e_(blocks_, options(), now_) {}

    void run(program& p) {
        while (!p.over()) {
            move(p);
            e_.check_invariants();
            check(e_.memory() < 8 * mib, "memory is not bounded");
            check(e_.granted() <= options().memory_budget, "grants are not bounded");
        }
    }

  private:
    static engine_options options() {
        engine_options o;
        o.max_streams = 24;
        o.memory_budget = 512 * kib;
        o.send_buffer = 8 * kib;
        o.peer_initial_credit = 2 * kib;
        o.max_frame = 16 * kib;
        o.datagrams = true;
        o.streams_ahead = 3;
        return o;
    }

    void move(program& p) {
        switch (p.byte() % 16) {
            case 0:
                up(p.byte() % 4);
                break;
            case 1:
                down(p.byte() % 4);
                break;
            case 2: {
                const std::uint8_t b = p.byte();
                const bool flow = b >= 128;
                const stream_id id = e_.open({.target = "target",
                                              .interactive = b % 2 == 0,
                                              .datagrams = flow,
                                              .ttl = flow ? b % 4 * 40ms : 0ms,
                                              .twice = flow && b % 8 > 3},
                                             now_);
                if (id != 0) ids_.push_back(id);
                if (id != 0 && flow) flows_.insert(id);
                break;
            }
            case 3:
                write(p);
                break;
            case 4:
                finish(p);
                break;
            case 5:
                read(p);
                break;
            case 6:
                e_.abort(some_id(p), {reason::local_abort}, now_);
                break;
            case 7:
                answer(p);
                break;
            case 8:
                transmit(p.byte() % 4, 1 + p.number() % (64 * kib));
                break;
            case 9:
                wait(p);
                break;
            case 10:
                drive(p);
                break;
            default:
                frame(p);
        }
        listen();
    }

    bool is_up(subflow_id id) const { return std::find(up_.begin(), up_.end(), id) != up_.end(); }
    void up(subflow_id id) {
        if (is_up(id)) return;
        up_.push_back(id);
        e_.subflow_up(
            id, {.payload_crc = id % 2 == 0, .rank = std::uint8_t{id == 3}, .path = (id + 1) / 2},
            now_);
    }
    void down(subflow_id id) {
        std::erase(up_, id);
        e_.subflow_down(id, now_);
    }
    stream_id some_id(program& p) {
        const std::uint8_t b = p.byte();
        return ids_.empty() ? b : ids_[b % ids_.size()];
    }
    bool finished(stream_id id) const {
        return std::find(finished_.begin(), finished_.end(), id) != finished_.end();
    }
    void write(program& p) {
        const stream_id id = some_id(p);
        if (finished(id) || ids_.empty()) return;
        if (flows_.count(id) > 0) return say(id, p);
        const std::vector<std::uint8_t> text(1 + p.number() % (20 * kib), 'w');
        chain c;
        c.append_copy(blocks_, text);
        e_.write(id, c, now_);
    }
    void say(stream_id id, program& p) {
        const std::uint64_t n = p.number();
        chain c;
        c.append_copy(blocks_, std::vector<std::uint8_t>(n % (e_.max_datagram() + 1), 'd'));
        e_.send_datagram(id, std::move(c), std::chrono::milliseconds(p.byte()), now_);
    }
    void finish(program& p) {
        const stream_id id = some_id(p);
        e_.finish(id, now_);
        finished_.push_back(id);
    }
    void read(program& p) {
        chain c;
        const stream_id id = some_id(p);
        const std::size_t most = 1 + p.number() % (64 * kib);
        if (ids_.empty()) return;  // nobody has told us what it is
        if (flows_.count(id) > 0)
            e_.next_datagram(id, c, now_);
        else
            e_.read(id, c, most, now_);
    }
    void answer(program& p) {
        if (unanswered_.empty()) return;
        const stream_id id = unanswered_.back();
        unanswered_.pop_back();
        if (p.byte() % 4 == 0) {
            e_.refuse(id, {reason::refused}, now_);
        } else {
            e_.accept(id, now_);
        }
    }
    void transmit(subflow_id id, std::size_t budget) {
        if (!is_up(id)) return;
        chain out;
        const bool wanted = e_.wants_transmit(id, now_);
        const std::size_t n = e_.transmit(id, out, budget, now_);
        check(n == out.size() && (n > 0) == wanted, "wants_transmit() and transmit() disagree");
        check(n <= budget + options().max_frame + 64 * kib, "a budget was overdrawn");
    }
    void wait(program& p) {
        now_ += std::chrono::milliseconds(p.number() % 100'000);
        if (e_.next_timer() <= now_) e_.on_timer(now_);
        for (subflow_id id : e_.take_dead())
            down(id);
    }
    void listen() {
        event ev;
        while (e_.next_event(ev)) {
            if (ev.what != event::kind::stream_opened) continue;
            check(ev.request.target.size() <= wire::open_max - 4, "a target is too long");
            ids_.push_back(ev.id);
            if (ev.request.datagrams) flows_.insert(ev.id);
            unanswered_.push_back(ev.id);
        }
    }
    // What only a driver, or its owner, does.
    void drive(program& p) {
        const subflow_id id = p.byte() % 4;
        switch (p.byte() % 16) {
            case 0:
                return e_.leave(now_);
            case 1:
                return e_.drain(id, now_);
            case 2:
            case 3:
                return e_.set_congested(id, p.byte() % 2 == 0, now_);
            case 4:
                return e_.set_scheduler(static_cast<scheduler>(p.byte() % 5));
            case 5:
                if (e_.drained(id)) down(id);
                return;
            case 6:
                return e_.set_more_waits(id, p.byte() % 2 == 0);
            default:
                const tcp_state tcp{.rtt = std::chrono::milliseconds(p.byte()),
                                    .rtt_min = std::chrono::milliseconds(p.byte()),
                                    .unsent = static_cast<std::size_t>(p.number())};
                e_.look_at(id, tcp, now_);
        }
    }
    // What an OPEN says: a few TLVs, the last of them perhaps cut.
    static void put_request(program& p, std::vector<std::uint8_t>& to) {
        to.resize(to.size() % 100);
        for (std::size_t at = 0; at + 4 <= to.size();) {
            const std::uint8_t kind = p.byte(), size = p.byte() % 128;
            store_be16(to.data() + at,
                       static_cast<std::uint16_t>(kind < 128 ? 1 + kind % 3 : kind << 8));
            store_be16(to.data() + at + 2, size);
            at += 4 + std::size_t{size};
        }
    }
    void frame(program& p) {
        const subflow_id on = p.byte() % 4;
        if (!is_up(on)) return;
        static constexpr std::uint8_t types[] = {
            wire::type::data,     wire::type::data,  wire::type::data,   wire::type::open,
            wire::type::open_ok,  wire::type::rst,   wire::type::ack,    wire::type::credit,
            wire::type::path_ack, wire::type::ping,  wire::type::goaway, wire::type::drain,
            wire::type::dgram,    wire::type::dgram, wire::type::limit};
        const std::uint8_t t = p.byte();
        wire::header h{.type = t < 250 ? types[t % std::size(types)] : t};
        h.flags = p.byte() % 4 == 0 ? wire::flag::fin : std::uint8_t{0};
        const std::uint8_t s = p.byte();
        h.stream = s < 200 ? s % 32 : static_cast<std::uint32_t>(p.number());
        h.offset = p.number();
        std::vector<std::uint8_t> payload;
        if (h.type == wire::type::ack) {
            h.aux = p.byte() % 4;
            for (int i = 0; i < 2 * h.aux; ++i) {
                payload.resize(payload.size() + 8);
                store_be64(payload.data() + payload.size() - 8, p.number());
            }
        } else if (h.type == wire::type::path_ack) {
            payload.resize(8);
            payload[3] = p.byte() % 4;
            if (p.byte() % 2 == 0) h.offset = e_.stats(payload[3]).sent_bytes;
        } else if (h.type == wire::type::data || h.type == wire::type::ping ||
                   h.type == wire::type::open) {
            payload.resize(p.number() % (16 * kib), 'd');
            if (h.type == wire::type::open) {
                put_request(p, payload);
                h.aux = p.byte() % 4;
            }
        } else if (h.type == wire::type::dgram) {
            h.aux = p.byte();
            payload.resize(p.number() % (16 * kib), 'd');
        } else if (h.type == wire::type::rst || h.type == wire::type::limit) {
            h.aux = p.byte();
        } else if (h.type == wire::type::goaway) {
            h.aux = p.byte() % 4;
        }
        if (h.type != wire::type::data && h.type != wire::type::ack) h.flags = 0;
        // Of the session, as a rule: malformed, they would end their subflow.
        const bool of_nobody = h.type == wire::type::path_ack || h.type == wire::type::ping;
        const bool of_nothing = h.type == wire::type::goaway || h.type == wire::type::drain ||
                                h.type == wire::type::limit;
        if ((of_nobody || of_nothing) && s < 200) h.stream = 0;
        if (of_nothing && s < 200) h.offset = 0;
        chain c;
        writer_.small(c, h, payload, p.byte() % 2 == 0);
        if (e_.received(on, std::move(c), now_)) down(on);
    }

    block_pool blocks_;
    instant now_{};
    frame_writer writer_{blocks_};
    engine e_;
    std::vector<subflow_id> up_;
    std::vector<stream_id> ids_, unanswered_, finished_;
    std::set<stream_id> flows_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > 4096) return 0;
    program p(data, size);
    driver d;
    d.run(p);
    return 0;
}
