#pragma once

// Two nodes in virtual time, the links between them, and what talks over their streams.

#include <gtest/gtest.h>
#include <libp/event_loop.h>
#include <libp/pipe_memory.h>
#include <libp/stripe/node.h>

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "support/log_lines.h"
#include "support/sim_poller.h"

namespace libp::stripe {

// The byte at `offset` of the stream that `seed` stands for: no run of it looks like another.
std::uint8_t pattern_byte(std::uint64_t seed, std::uint64_t offset) noexcept;
void append_pattern(chain& to, block_pool& pool, std::uint64_t seed, std::uint64_t offset,
                    std::size_t size);

// One user of a pipe: sends `to_send` bytes of its pattern and FIN, and receives the other's.
class talker {
  public:
    struct plan {
        std::uint64_t to_send = 0;
        std::uint64_t send_seed = 1;
        std::uint64_t receive_seed = 2;
        bool fin = true;               // behind the last byte
        bool reads = true;             // false: never receives
        bool sends_after_fin = false;  // waits for the peer's FIN before it sends
        std::size_t chunk = 16 * kib;
    };

    talker(event_loop& loop, std::unique_ptr<io_pipe> pipe, const plan& p);
    ~talker();

    io_pipe& pipe() noexcept { return *pipe_; }
    bool finished() const noexcept { return pipe_->finished(); }
    bool broken() const noexcept { return pipe_->has(io_flag::broken); }
    error why() const noexcept { return pipe_->why(); }
    std::uint64_t sent() const noexcept { return sent_; }
    std::uint64_t received() const noexcept { return received_; }
    bool fin_received() const noexcept { return fin_received_; }
    bool saw_broken() const noexcept { return saw_broken_; }
    bool exact() const noexcept { return exact_; }
    // Starts what plan{.reads = false} left out.
    void read_now();
    // Sends what it has begun, and no more of its plan.
    void end_here();

  private:
    void on_pipe(io_flags risen);
    void receive();
    void send();

    event_loop& loop_;
    std::unique_ptr<io_pipe> pipe_;
    plan plan_;
    chain out_;
    std::uint64_t sent_ = 0, received_ = 0, queued_ = 0;
    bool fin_received_ = false, saw_broken_ = false, exact_ = true;
};

// A wire between two pipes' far ends, which a test can cut or freeze.
class link {
  public:
    link(event_loop& loop, const memory_pair_options& options = {});

    std::unique_ptr<io_pipe> take_a() { return std::move(outer_a_); }
    std::unique_ptr<io_pipe> take_b() { return std::move(outer_b_); }
    // Both ends see a reset, or, for a clean cut, an end.
    void cut();
    void cut_cleanly();
    void freeze() { frozen_ = true; }
    bool dead() const noexcept { return !a_; }
    std::uint64_t moved() const noexcept { return moved_; }

  private:
    void on_pipe(io_flags risen);
    void forward(io_pipe& from, io_pipe& to, chain& held);

    event_loop& loop_;
    std::unique_ptr<io_pipe> outer_a_, a_, outer_b_, b_;
    chain to_a_, to_b_;
    std::uint64_t moved_ = 0;
    bool frozen_ = false;
};

// An owner that writes down what it hears.
class subflow_diary final : public subflow_owner {
  public:
    struct entry {
        std::uint64_t token;
        error why;
    };
    void subflow_ready(std::uint64_t token) override { ready.push_back(token); }
    void subflow_gone(std::uint64_t token, error why) override { gone.push_back({token, why}); }

    std::vector<std::uint64_t> ready;
    std::vector<entry> gone;
};

// A node that keeps, or talks over, what its peer opens.
struct node_end {
    node_end(event_loop& loop, const node_options& options);
    void on_stream(std::unique_ptr<stream_pipe> s, const open_request& r);

    event_loop& loop;
    log_lines lines;
    log out{lines, log_level::trace};
    talker::plan answer;  // how it talks over a stream that it accepts
    bool accepts = true;  // false: refuses with `refusal`
    reason refusal = reason::permission;
    bool answers = true;  // false: keeps what comes in `offered`
    std::vector<std::unique_ptr<stream_pipe>> offered;
    std::vector<open_request> requests;
    std::vector<std::unique_ptr<talker>> talkers;
    node it;
};

struct world {
    explicit world(const node_options& a_options = {}, const node_options& b_options = {});

    // Joins the nodes by one more link.
    link& join(const memory_pair_options& options = {}, subflow_owner* a_owner = nullptr,
               std::uint64_t token = 0);
    void join_many(std::size_t n) {
        for (std::size_t i = 0; i < n; ++i)
            join();
    }
    // A talker over a new stream from a.
    talker& open(const talker::plan& p, duration wait = 10s);

    // Turns until `done`; false if it was not within `limit` of virtual time.
    template <class F>
    bool run(F done, duration limit = 10s) {
        const instant end = loop.now() + limit;
        while (!done()) {
            if (loop.now() >= end) return false;
            loop.turn(end);
        }
        return true;
    }
    void idle(duration d) {
        run([] { return false; }, d);
    }

    event_loop loop{std::make_unique<sim_poller>()};
    std::deque<link> links;
    node_end a, b;
    std::vector<std::unique_ptr<talker>> talkers;
};

}  // namespace libp::stripe
