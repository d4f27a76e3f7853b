// A bit is flipped somewhere on the way: any bit of anything. It costs the subflow that carried it
// and nothing else.

#include <libp/block.h>
#include <libp/stripe/engine.h>

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace libp::stripe {
namespace {

// Two ends, two subflows, and a stream with a few frames on each.
struct pair_of_engines {
    pair_of_engines() {
        for (int side : {0, 1}) {
            engine_options o;
            o.even = side == 0;
            o.scheduler = scheduler::congestion;
            o.peer_initial_credit = o.own_initial_credit;
            ends[side] = std::make_unique<engine>(blocks, o, now);
            for (const subflow_id on : {1u, 2u})
                ends[side]->subflow_up(on, {.payload_crc = true}, now);
        }
        id = ends[0]->open({"there:1"}, now);
        for (const char* part : {"one ", "two ", "three "}) {
            write(part);
            wire += take(0, 1);
        }
        write("four");
        ends[0]->finish(id, now);
        wire += take(0, 1);
    }
    void write(std::string_view part) {
        chain c;
        c.append_copy(blocks, bytes_of(part));
        ends[0]->write(id, c, now);
    }
    std::string take(int side, subflow_id on) {
        chain c;
        while (ends[side]->wants_transmit(on, now))
            ends[side]->transmit(on, c, 64 * kib, now);
        return c.to_string();
    }
    error arrive(int side, subflow_id on, const std::string& what) {
        chain c;
        c.append_copy(blocks, bytes_of(what));
        const error e = ends[side]->received(on, std::move(c), now);
        ends[side]->check_invariants();
        return e;
    }
    void listen() {
        event ev;
        while (ends[1]->next_event(ev)) {
            EXPECT_NE(ev.what, event::kind::stream_broken);
            EXPECT_NE(ev.what, event::kind::session_broken);
            if (ev.what == event::kind::stream_opened) {
                EXPECT_EQ(ev.request.target, "there:1");
                ends[1]->accept(ev.id, now);
            }
            if (ev.what != event::kind::stream_readable) continue;
            chain c;
            io_result r;
            while ((r = ends[1]->read(ev.id, c, SIZE_MAX, now)).ok()) {
            }
            fin |= r.status == io_status::fin;
            text += c.to_string();
        }
    }

    block_pool blocks;
    instant now{};
    std::unique_ptr<engine> ends[2];
    stream_id id;
    std::string wire;  // what end 0 said on subflow 1
    std::string text;  // what end 1's application read
    bool fin = false;
};

TEST(flip, s15_any_bit_of_anything_costs_its_subflow_and_no_byte) {
    const std::string whole = "one two three four";
    const std::size_t bits = pair_of_engines().wire.size() * 8;
    ASSERT_GT(bits, 4u * 28 * 8);
    for (std::size_t bit = 0; bit < bits; ++bit) {
        SCOPED_TRACE("bit " + std::to_string(bit));
        pair_of_engines p;
        std::string bad = p.wire;
        bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
        const error e = p.arrive(1, 1, bad);
        ASSERT_TRUE(e.why == reason::checksum_error || e.why == reason::protocol_error)
            << to_string(e);
        p.listen();
        ASSERT_EQ(whole.compare(0, p.text.size(), p.text), 0) << p.text;
        ASSERT_FALSE(p.fin);
        for (auto& end : p.ends)
            end->subflow_down(1, p.now);
        ASSERT_FALSE(p.arrive(1, 2, p.take(0, 2)));
        p.listen();
        ASSERT_EQ(p.text, whole);
        ASSERT_TRUE(p.fin);
    }
}

}  // namespace
}  // namespace libp::stripe
