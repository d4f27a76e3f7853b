// Frames of one stream, each on a subflow of its own, arrive in every order there is: the result is
// always the same.

#include <libp/block.h>
#include <libp/stripe/engine.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

namespace libp::stripe {
namespace {

constexpr subflow_id subflows = 16;

struct pair_of_engines {
    pair_of_engines() {
        for (int side : {0, 1}) {
            engine_options o;
            o.even = side == 0;
            o.peer_initial_credit = o.own_initial_credit;
            ends[side] = std::make_unique<engine>(blocks, o, now);
            for (subflow_id id = 1; id <= subflows; ++id)
                ends[side]->subflow_up(id, {.payload_crc = true}, now);
        }
    }
    // What end 0 has to send on one subflow.
    std::string frame(subflow_id on) {
        chain c;
        if (ends[0]->wants_transmit(on, now)) ends[0]->transmit(on, c, 1, now);
        return c.to_string();
    }
    void arrive(subflow_id on, const std::string& bytes) {
        chain c;
        c.append_copy(blocks, bytes_of(bytes));
        ASSERT_FALSE(ends[1]->received(on, std::move(c), now));
        ends[1]->check_invariants();
    }
    std::size_t write(stream_id id, std::string_view text) {
        chain c;
        c.append_copy(blocks, bytes_of(text));
        return ends[0]->write(id, c, now).bytes;
    }

    block_pool blocks;
    instant now{};
    std::unique_ptr<engine> ends[2];
};

// What the application at end 1 saw of the stream.
struct story {
    bool opened = false, fin = false;
    reason broken = reason::none;
    std::string text;

    void listen(engine& e, instant now) {
        event ev;
        while (e.next_event(ev)) {
            switch (ev.what) {
                case event::kind::stream_opened:
                    EXPECT_FALSE(opened);
                    EXPECT_EQ(ev.request.target, "there:1");
                    opened = true;
                    e.accept(ev.id, now);
                    break;
                case event::kind::stream_readable: {
                    EXPECT_TRUE(opened) << "nothing is said of a stream before its OPEN";
                    chain c;
                    io_result r;
                    while ((r = e.read(ev.id, c, SIZE_MAX, now)).ok()) {
                    }
                    fin |= r.status == io_status::fin;
                    text += c.to_string();
                    break;
                }
                case event::kind::stream_broken:
                    EXPECT_TRUE(opened);
                    broken = ev.why.why;
                    text += ev.unread.to_string();
                    break;
                default:
                    ADD_FAILURE() << "event " << static_cast<int>(ev.what);
            }
        }
    }
};

// Calls `what` with every order of n things.
template <class F>
void every_order(std::size_t n, F what) {
    std::vector<subflow_id> order(n);
    std::iota(order.begin(), order.end(), 1u);
    do
        what(order);
    while (std::next_permutation(order.begin(), order.end()) && !::testing::Test::HasFailure());
}

const std::string parts[] = {"one ", "two ", "three ", "four"};

TEST(order, s17_open_data_and_fin) {
    every_order(6, [](const std::vector<subflow_id>& order) {
        pair_of_engines p;
        const stream_id id = p.ends[0]->open({"there:1"}, p.now);
        std::vector<std::string> frames{{}, p.frame(1)};
        for (const std::string& part : parts) {
            p.write(id, part);
            frames.push_back(p.frame(static_cast<subflow_id>(frames.size())));
        }
        p.ends[0]->finish(id, p.now);
        frames.push_back(p.frame(6));
        story s;
        for (subflow_id n : order) {
            p.arrive(n, frames[n]);
            s.listen(*p.ends[1], p.now);
        }
        EXPECT_TRUE(s.opened && s.fin);
        EXPECT_EQ(s.text, "one two three four");
        EXPECT_EQ(p.ends[1]->memory(), 0u);
        // And once more, as after a death: nothing new happens.
        for (subflow_id n : order) {
            p.arrive(n + 6, frames[n]);
            s.listen(*p.ends[1], p.now);
        }
        EXPECT_EQ(s.text, "one two three four");
        EXPECT_EQ(s.broken, reason::none);
    });
}

TEST(order, s17_a_reset_overtakes_whatever_it_likes) {
    every_order(5, [](const std::vector<subflow_id>& order) {
        pair_of_engines p;
        const stream_id id = p.ends[0]->open({"there:1"}, p.now);
        std::vector<std::string> frames{{}, p.frame(1)};
        for (int i : {0, 1, 2}) {
            p.write(id, parts[i]);
            frames.push_back(p.frame(static_cast<subflow_id>(frames.size())));
        }
        p.ends[0]->abort(id, {reason::timed_out}, p.now);
        frames.push_back(p.frame(5));
        story s;
        for (int round : {0, 1}) {
            for (subflow_id n : order) {
                p.arrive(n + static_cast<subflow_id>(6 * round), frames[n]);
                s.listen(*p.ends[1], p.now);
            }
        }
        const auto place = [&](subflow_id n) {
            return std::find(order.begin(), order.end(), n) - order.begin();
        };
        EXPECT_EQ(s.opened, place(1) < place(5)) << "a stream that was reset first never opens";
        EXPECT_EQ(s.broken, s.opened ? reason::timed_out : reason::none);
        EXPECT_FALSE(s.fin);
        EXPECT_EQ(std::string("one two three ").compare(0, s.text.size(), s.text), 0) << s.text;
        EXPECT_EQ(p.ends[1]->open_streams(), 0u);
        EXPECT_EQ(p.ends[1]->memory(), 0u);
        EXPECT_EQ(p.ends[1]->granted(), 0u);
    });
}

}  // namespace
}  // namespace libp::stripe
