// How fast the striping engine is by itself: two engines back to back in memory, one thread, no
// kernel.
//
//     bench-stripe_engine [GIGABYTES=4] [SUBFLOWS=4] [STREAMS=1] [WRITE_SIZE=65536] [crc|nocrc]
//
// Prints GB of payload per second of CPU, both ends' work together.

#include <libp/block.h>
#include <libp/chain.h>
#include <libp/stripe/engine.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <deque>

using namespace libp;
using namespace libp::stripe;

namespace {

struct bench {
    block_pool blocks{64 * mib};
    std::uint64_t goal;
    std::uint32_t subflows;
    std::size_t write_size;
    instant now{};
    engine a, b;
    std::uint64_t written = 0, read = 0;
    std::deque<stream_id> writable;

    static engine_options options(bool even) {
        engine_options o;
        o.even = even;
        o.peer_initial_credit = o.own_initial_credit;
        return o;
    }

    bench(std::uint64_t bytes, std::uint32_t k, std::size_t streams, std::size_t write, bool crc)
        : goal(bytes),
          subflows(k),
          write_size(write),
          a(blocks, options(true), now),
          b(blocks, options(false), now) {
        for (subflow_id id = 1; id <= k; ++id) {
            a.subflow_up(id, {.payload_crc = crc}, now);
            b.subflow_up(id, {.payload_crc = crc}, now);
        }
        for (std::size_t i = 0; i < streams; ++i)
            writable.push_back(a.open({"x"}, now));
    }

    void feed() {
        for (; !writable.empty() && written < goal; writable.pop_front()) {
            chain data;
            while (data.empty() && written < goal) {
                block_ref block = blocks.take(write_size);
                block->set_used(write_size);
                const std::uint8_t* at = block->data();
                data.append(slice{std::move(block), at, write_size});
                written += a.write(writable.front(), data, now).bytes;
            }
        }
    }
    void events(engine& e) {
        event ev;
        chain data;
        while (e.next_event(ev)) {
            if (ev.what == event::kind::stream_opened) e.accept(ev.id, now);
            if (ev.what == event::kind::stream_writable) writable.push_back(ev.id);
            if (ev.what == event::kind::stream_readable)
                for (;;) {
                    const io_result r = e.read(ev.id, data, 256 * kib, now);
                    if (!r.ok()) break;
                    read += r.bytes;
                    data.clear();
                }
        }
    }
    void exchange(engine& from, engine& to) {
        for (subflow_id id = 1; id <= subflows; ++id) {
            if (!from.wants_transmit(id, now)) continue;
            chain out;
            from.transmit(id, out, 256 * kib, now);
            to.received(id, std::move(out), now);
        }
    }
    void run() {
        while (read < goal) {
            now += 10us;
            feed();
            exchange(a, b);
            events(b);
            exchange(b, a);
            events(a);
            if (b.next_timer() <= now) b.on_timer(now);
            if (a.next_timer() <= now) a.on_timer(now);
        }
    }
};

}  // namespace

int main(int argc, char** argv) {
    const auto number = [&](int i, double fallback) {
        return argc > i ? std::strtod(argv[i], nullptr) : fallback;
    };
    const double gigabytes = number(1, 4);
    const bool crc = argc <= 5 || std::strcmp(argv[5], "nocrc") != 0;
    bench b(static_cast<std::uint64_t>(gigabytes * 1e9), static_cast<std::uint32_t>(number(2, 4)),
            static_cast<std::size_t>(number(3, 1)), static_cast<std::size_t>(number(4, 65536)),
            crc);
    const std::clock_t start = std::clock();
    b.run();
    const double took = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    std::printf("%.2f GB/s\n", static_cast<double>(b.read) / took / 1e9);
}
