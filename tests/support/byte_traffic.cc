#include "support/byte_traffic.h"

#include <algorithm>

namespace libp {

// splitmix64's output function over the position: cheap, and no two neighbours alike.
std::uint8_t traffic_byte(std::uint64_t seed, std::uint64_t position) noexcept {
    std::uint64_t x = seed * 0x9e3779b97f4a7c15u + (position >> 3);
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return static_cast<std::uint8_t>((x ^ (x >> 31)) >> (8 * (position & 7)));
}

std::size_t message_sizes::next() {
    // Small ones, large ones, and now and then none at all.
    std::size_t n = random_.one_in(16)  ? 0
                    : random_.one_in(3) ? random_.below(std::min<std::size_t>(t_.most, 80)) + 1
                                        : random_.below(t_.most) + 1;
    n = std::min(n, t_.total - given_);
    given_ += n;
    return n;
}

chain byte_source::next(block_pool& pool) {
    chain message;
    const std::size_t size = sizes_.next();
    std::size_t left = size;
    while (left > 0) {
        const std::size_t n = std::min<std::size_t>(left, 64 * kib);
        block_ref b = pool.take(n);
        for (std::size_t i = 0; i < n; ++i)
            b->data()[i] = traffic_byte(t_.seed, made_ + i);
        b->set_used(n);
        const std::uint8_t* data = b->data();
        message.append(slice{std::move(b), data, n});
        made_ += n;
        left -= n;
    }
    return message;
}

void byte_sink::take(const chain& data) {
    for (std::size_t s = 0; s < data.slices(); ++s) {
        for (const std::uint8_t byte : data[s].view()) {
            const int want = traffic_byte(t_.seed, received_);
            if (fault_.empty() && received_ >= t_.total)
                fault_ = "a byte beyond the last, " + std::to_string(t_.total);
            if (fault_.empty() && byte != want)
                fault_ = "byte " + std::to_string(received_) + " is " + std::to_string(byte) +
                         ", not " + std::to_string(want);
            ++received_;
        }
    }
}

void byte_sink::take_message(const chain& data) {
    if (fault_.empty() && sizes_.done() && received_ >= t_.total)
        fault_ = "a message beyond the last";
    const std::size_t want = sizes_.done() ? 0 : sizes_.next();
    if (fault_.empty() && data.size() != want)
        fault_ = "the message at byte " + std::to_string(received_) + " has " +
                 std::to_string(data.size()) + " bytes, not " + std::to_string(want);
    take(data);
}

traffic_end::traffic_end(event_loop& loop, io_pipe& pipe, const options& o)
    : loop_(loop),
      pipe_(pipe),
      options_(o),
      again_(loop, delegate<void()>::to<&traffic_end::pump>(*this)),
      source_(o.out),
      sink_(o.in) {
    pipe_.attach(io_handler::to<&traffic_end::on_pipe>(*this));
}

void traffic_end::start_receiving() {
    options_.receive = true;
    again_.schedule();
}

void traffic_end::finish() {
    options_.fin = true;
    again_.schedule();
}

void traffic_end::on_pipe(io_flags risen) {
    seen_.set(risen);
    pump();
}

void traffic_end::pump() {
    std::size_t budget = options_.budget;
    pump_out(budget);
    budget = options_.budget;
    pump_in(budget);
}

void traffic_end::pump_out(std::size_t& budget) {
    while (pipe_.has(io_flag::writable) && (out_waits_ || !source_.done())) {
        if (budget == 0) return again_.schedule();
        if (!out_waits_) out_ = source_.next(loop_.blocks());
        out_waits_ = true;
        const io_result r = pipe_.send(out_);
        if (!r.ok()) break;
        sent_ += r.bytes;
        out_waits_ = !out_.empty();
        budget -= std::min(budget, std::max<std::size_t>(r.bytes, 1));
    }
    if (options_.fin && source_.done() && !out_waits_) pipe_.send_fin();
}

void traffic_end::pump_in(std::size_t& budget) {
    while (options_.receive && pipe_.has(io_flag::readable)) {
        if (budget == 0) return again_.schedule();
        chain data;
        const io_result r = pipe_.recv(data, options_.recv_most);
        if (r.status == io_status::fin || r.status == io_status::broken) end_ = r.status;
        if (!r.ok()) return;
        if (pipe_.kind() == io_kind::datagram)
            sink_.take_message(data);
        else
            sink_.take(data);
        budget -= std::min(budget, std::max<std::size_t>(r.bytes, 1));
    }
}

std::string traffic_end::story() const {
    std::string s = describe(pipe_) + ": sent " + std::to_string(sent_) + " of " +
                    std::to_string(options_.out.total) + ", received " +
                    std::to_string(sink_.received()) + " of " + std::to_string(options_.in.total) +
                    ", up:";
    const char* const names[] = {"ready",    "readable", "writable", "fin_wanted",
                                 "fin_sent", "fin_rcvd", "broken"};
    for (int bit = 0; bit < 7; ++bit)
        if (pipe_.has(static_cast<io_flag>(1 << bit))) s += std::string(" ") + names[bit];
    if (pipe_.why()) s += std::string(" (") + name_of(pipe_.why().why) + ")";
    if (!sink_.fault().empty()) s += ", FAULT: " + sink_.fault();
    return s;
}

}  // namespace libp
