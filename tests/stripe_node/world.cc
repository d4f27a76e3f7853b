#include "stripe_node/world.h"

#include <algorithm>

namespace libp::stripe {

std::uint8_t pattern_byte(std::uint64_t seed, std::uint64_t offset) noexcept {
    const std::uint64_t x = (offset / 8 + seed * 0x9e3779b97f4a7c15ull) * 0xbf58476d1ce4e5b9ull;
    return static_cast<std::uint8_t>((x ^ (x >> 29)) >> (8 * (offset % 8)));
}

void append_pattern(chain& to, block_pool& pool, std::uint64_t seed, std::uint64_t offset,
                    std::size_t size) {
    std::vector<std::uint8_t> text(size);
    for (std::size_t i = 0; i < size; ++i)
        text[i] = pattern_byte(seed, offset + i);
    to.append_copy(pool, text);
}

// -- talker ---------------------------------------------------------------------------------------

talker::talker(event_loop& loop, std::unique_ptr<io_pipe> pipe, const plan& p)
    : loop_(loop), pipe_(std::move(pipe)), plan_(p) {
    pipe_->attach(io_handler::to<&talker::on_pipe>(*this));
}

talker::~talker() = default;

void talker::on_pipe(io_flags) {
    receive();
    send();
}

void talker::read_now() {
    plan_.reads = true;
    receive();
    send();
}

void talker::end_here() {
    plan_.to_send = queued_;
    send();
}

void talker::receive() {
    if (!plan_.reads) return;
    while (pipe_->has(io_flag::readable)) {
        chain in;
        const io_result r = pipe_->recv(in, 64 * kib);
        if (r.status == io_status::again) return;
        if (r.status == io_status::fin) fin_received_ = true;
        if (r.status == io_status::broken) saw_broken_ = true;
        if (!r.ok()) return;
        const std::string text = in.to_string();
        for (char c : text) {
            if (static_cast<std::uint8_t>(c) != pattern_byte(plan_.receive_seed, received_++))
                exact_ = false;
        }
    }
}

void talker::send() {
    if (plan_.sends_after_fin && !fin_received_) return;
    while (pipe_->has(io_flag::writable)) {
        if (out_.empty() && queued_ < plan_.to_send) {
            const std::size_t n = std::min<std::uint64_t>(plan_.chunk, plan_.to_send - queued_);
            append_pattern(out_, loop_.blocks(), plan_.send_seed, queued_, n);
            queued_ += n;
        }
        if (out_.empty()) {
            if (plan_.fin) pipe_->send_fin();
            return;
        }
        sent_ += pipe_->send(out_).bytes;
    }
}

// -- link -----------------------------------------------------------------------------------------

link::link(event_loop& loop, const memory_pair_options& options) : loop_(loop) {
    std::tie(outer_a_, a_) = make_memory_pair(loop, options);
    std::tie(outer_b_, b_) = make_memory_pair(loop, options);
    a_->attach(io_handler::to<&link::on_pipe>(*this));
    b_->attach(io_handler::to<&link::on_pipe>(*this));
}

void link::cut() {
    if (dead()) return;
    a_->reset();
    b_->reset();
    loop_.retire(std::move(a_));
    loop_.retire(std::move(b_));
}

void link::cut_cleanly() {
    if (dead()) return;
    a_->send_fin();
    b_->send_fin();
    frozen_ = true;
}

void link::on_pipe(io_flags) {
    if (dead() || frozen_) return;
    forward(*a_, *b_, to_b_);
    forward(*b_, *a_, to_a_);
    if (a_->has(io_flag::broken) || b_->has(io_flag::broken)) cut();
}

void link::forward(io_pipe& from, io_pipe& to, chain& held) {
    for (;;) {
        if (held.empty() && from.has(io_flag::readable)) {
            const io_result r = from.recv(held, 32 * kib);
            if (r.status == io_status::fin) to.send_fin();
        }
        if (held.empty() || !to.has(io_flag::writable)) return;
        const io_result r = to.send(held);
        if (!r.ok()) return;
        moved_ += r.bytes;
    }
}

// -- logs and nodes -------------------------------------------------------------------------------

node_end::node_end(event_loop& l, const node_options& options)
    : loop(l), it(l, out, options, node::stream_handler::to<&node_end::on_stream>(*this)) {
    answer.send_seed = 2;
    answer.receive_seed = 1;
}

void node_end::on_stream(std::unique_ptr<stream_pipe> s, const open_request& r) {
    requests.push_back(r);
    if (!answers) return offered.push_back(std::move(s));
    if (accepts)
        s->accept();
    else
        s->refuse({refusal});
    talkers.push_back(std::make_unique<talker>(loop, std::move(s), answer));
}

world::world(const node_options& a_options, const node_options& b_options)
    : a(loop, a_options), b(loop, b_options) {}

link& world::join(const memory_pair_options& options, subflow_owner* a_owner, std::uint64_t token) {
    link& l = links.emplace_back(loop, options);
    a.it.adopt(l.take_a(), "memory", a_owner, token);
    b.it.adopt(l.take_b(), "memory");
    return l;
}

talker& world::open(const talker::plan& p, duration wait) {
    return *talkers.emplace_back(std::make_unique<talker>(loop, a.it.open_stream({}, wait), p));
}

}  // namespace libp::stripe
