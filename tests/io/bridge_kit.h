#pragma once

// What the bridge's tests are made of: a bridge whose two far ends are played by the test.
//
//     client  (peer)  ==wire==  bridge  ==wire==  server  (peer)
//
// A wire is a pair of joined pipes: the outer one is a peer's, the inner one the bridge's, which is
// checked to be used as its contract wants.

#include <libp/io_bridge.h>
#include <libp/pipe_memory.h>
#include <libp/pipe_socket.h>

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>

#include "support/checked_pipe.h"
#include "support/socket_pairs.h"

namespace libp::testing {

inline chain chain_of(event_loop& loop, std::string_view text) {
    chain c;
    c.append_copy(loop.blocks(), bytes_of(text));
    return c;
}

// Bytes without a pattern that a lost or doubled piece could hide in.
inline std::string noise(std::size_t size, std::uint64_t seed = 7) {
    std::string s(size, '\0');
    std::uint64_t x = seed;
    for (std::size_t i = 0; i < size; ++i) {
        if (i % 8 == 0) x = x * 6364136223846793005u + 1442695040888963407u;
        s[i] = static_cast<char>(x >> (8 * (i % 8)));
    }
    return s;
}

// -- time ----------------------------------------------------------------------------------------

// Turns a simulated loop until `holds`, and lets no time pass. False: it never came to hold.
template <class F>
bool turn_now_until(event_loop& loop, F holds, int turns = 200'000) {
    while (!holds() && turns-- > 0)
        loop.turn(loop.now());
    return holds();
}
// What is to happen at this instant has happened after that many turns.
inline void settle(event_loop& loop, int turns = 2'000) {
    turn_now_until(
        loop, [] { return false; }, turns);
}
// Lets `d` go by on a simulated loop.
inline void pass(event_loop& loop, duration d, int turns_after = 2'000) {
    instant until = loop.now() + d;
    while (loop.now() < until)
        loop.turn(until);
    settle(loop, turns_after);
}
// For real loops: bounded by the clock.
template <class F>
bool run_until(event_loop& loop, F holds, std::chrono::seconds patience = 20s) {
    auto give_up = std::chrono::steady_clock::now() + patience;
    while (!holds() && std::chrono::steady_clock::now() < give_up)
        loop.turn(loop.now() + 20ms);
    return holds();
}

// -- wires ---------------------------------------------------------------------------------------

struct wire {
    std::unique_ptr<io_pipe> outer, inner;
};

inline wire memory_wire(event_loop& loop, const memory_pair_options& options = {}) {
    auto ends = make_memory_pair(loop, options);
    return {std::move(ends.first), make_checked_pipe(std::move(ends.second))};
}

// Large enough for reads that are worth splicing.
constexpr std::size_t wire_buffers = 256 * kib;

inline wire socket_wire(event_loop& loop, std::pair<unique_fd, unique_fd> ends) {
    return {make_socket_pipe(loop, std::move(ends.first)),
            make_checked_pipe(make_socket_pipe(loop, std::move(ends.second)))};
}
inline wire unix_wire(event_loop& loop) {
    return socket_wire(loop, make_unix_pair(wire_buffers));
}
inline wire tcp_wire(event_loop& loop) {
    return socket_wire(loop, make_tcp_pair(wire_buffers));
}

// -- a peer --------------------------------------------------------------------------------------

// Sends what it is told to and remembers what it hears.
class peer {
  public:
    peer(event_loop& loop, std::unique_ptr<io_pipe> pipe)
        : loop_(loop),
          pipe_(std::move(pipe)),
          later_(loop, delegate<void()>::to<&peer::pump>(*this)) {
        pipe_->attach(io_handler::to<&peer::on_pipe>(*this));
    }

    void send(std::string_view text) {
        out_.append_copy(loop_.blocks(), bytes_of(text));
        later_.schedule();
    }
    void send_fin() {
        fin_ = true;
        later_.schedule();
    }
    // What to say, and a FIN behind it, once the other side's FIN has come.
    void answer_fin_with(std::string text) {
        answers_ = true;
        answer_ = std::move(text);
    }
    void read(bool on) {
        reads_ = on;
        later_.schedule();
    }
    void reset() { pipe_->reset(); }
    void destroy() { pipe_.reset(); }

    const std::string& got() const noexcept { return got_; }
    bool got_fin() const noexcept { return got_fin_; }
    bool got_break() const noexcept { return broke_; }
    bool sent_all() const noexcept { return out_.empty(); }
    io_pipe& pipe() noexcept { return *pipe_; }

  private:
    void on_pipe(io_flags) { pump(); }
    void pump() {
        if (!pipe_) return;
        while (reads_ && pipe_->has(io_flag::readable)) {
            chain in;
            io_result r = pipe_->recv(in, 64 * kib);
            got_ += in.to_string();
            if (r.status == io_status::fin) got_fin_ = true;
            if (r.status == io_status::broken) broke_ = true;
            if (!r.ok()) break;
        }
        if (got_fin_ && answers_) {
            answers_ = false;
            send(answer_);
            send_fin();
        }
        while (!out_.empty() && pipe_->has(io_flag::writable))
            if (!pipe_->send(out_).ok()) break;
        if (fin_ && out_.empty()) pipe_->send_fin();
    }

    event_loop& loop_;
    std::unique_ptr<io_pipe> pipe_;
    deferred later_;
    chain out_;
    std::string got_;
    std::string answer_;
    bool fin_ = false;
    bool answers_ = false;
    bool reads_ = true;
    bool got_fin_ = false;
    bool broke_ = false;
};

// What a datagram pipe receives, border by border.
class datagram_peer {
  public:
    datagram_peer(event_loop& loop, std::unique_ptr<io_pipe> p) : loop_(loop), pipe_(std::move(p)) {
        pipe_->attach(io_handler::to<&datagram_peer::on_pipe>(*this));
    }
    bool send(std::string_view text) {
        chain c = chain_of(loop_, text);
        return pipe_->send(c).ok();
    }
    void send_fin() { pipe_->send_fin(); }
    void stop_reading() noexcept { reads_ = false; }
    const std::vector<std::string>& got() const noexcept { return got_; }
    bool got_fin() const noexcept { return pipe_->has(io_flag::fin_rcvd); }
    bool got_break() const noexcept { return pipe_->has(io_flag::broken); }

  private:
    void on_pipe(io_flags) {
        while (reads_ && pipe_->has(io_flag::readable)) {
            chain c;
            if (!pipe_->recv(c, 1).ok()) return;
            got_.push_back(c.to_string());
        }
    }

    event_loop& loop_;
    std::unique_ptr<io_pipe> pipe_;
    std::vector<std::string> got_;
    bool reads_ = true;
};

// -- a pipe that counts ---------------------------------------------------------------------------

struct call_counts {
    int recv = 0, again = 0, send = 0, recv_spliced = 0, send_spliced = 0;
};

class counting_pipe final : public io_pipe {
  public:
    counting_pipe(std::unique_ptr<io_pipe> lower, call_counts& counts)
        : lower_(std::move(lower)), counts_(counts) {}

    io_kind kind() const noexcept override { return lower_->kind(); }
    std::size_t max_datagram() const noexcept override { return lower_->max_datagram(); }
    void attach(io_handler handler) override { lower_->attach(handler); }
    io_flags state() const noexcept override { return lower_->state(); }
    io_result recv(chain& to, std::size_t max) override {
        return noted(counts_.recv, lower_->recv(to, max));
    }
    io_result send(chain& from) override { return noted(counts_.send, lower_->send(from)); }
    void send_fin() override { lower_->send_fin(); }
    void reset() override { lower_->reset(); }
    error why() const noexcept override { return lower_->why(); }
    void describe(std::string& out) const override { lower_->describe(out); }
    bool can_splice() const noexcept override { return lower_->can_splice(); }
    io_result recv_spliced(splice_pipe& to, std::size_t max) override {
        return noted(counts_.recv_spliced, lower_->recv_spliced(to, max));
    }
    io_result send_spliced(splice_pipe& from) override {
        return noted(counts_.send_spliced, lower_->send_spliced(from));
    }

  private:
    io_result noted(int& count, io_result r) {
        ++count;
        if (r.status == io_status::again) ++counts_.again;
        return r;
    }

    std::unique_ptr<io_pipe> lower_;
    call_counts& counts_;
};

// -- a bridge between two peers -------------------------------------------------------------------

struct bridged {
    bridged(event_loop& loop, wire a, wire b, const bridge_options& options = {})
        : client(loop, std::move(a.outer)),
          server(loop, std::move(b.outer)),
          bridge(std::make_unique<io_bridge>(loop, std::move(a.inner), std::move(b.inner), options,
                                             delegate<void()>::to<&bridged::on_done>(*this))) {}

    bool over() const noexcept { return dones > 0; }
    void on_done() {
        ++dones;
        end = bridge->end();
    }

    peer client, server;
    bridge_end end;
    int dones = 0;
    std::unique_ptr<io_bridge> bridge;
};

}  // namespace libp::testing
