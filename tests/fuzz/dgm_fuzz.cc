// The datagram decoder against any bytes in any pieces: what it delivers is what a reference that
// sees all bytes at once reads, and it ends the way the reference says.

#include <libp/assert.h>
#include <libp/pipe_dgm.h>
#include <libp/pipe_memory.h>
#include <libp/varint.h>

#include <string>
#include <vector>

namespace {

using namespace libp;

constexpr std::size_t bound = 300;

struct outcome {
    std::vector<std::string> datagrams;
    reason why = reason::none;  // none: the stream ended cleanly between two datagrams
};

outcome reference(bytes in) {
    outcome out;
    while (!in.empty()) {
        std::uint64_t size = 0;
        const std::size_t taken = read_varint(in, size);
        if (taken == 0) {
            out.why = reason::truncated;
            break;
        }
        if (size > bound) {
            out.why = reason::oversize;
            break;
        }
        if (size > in.size() - taken) {
            out.why = reason::truncated;
            break;
        }
        const auto payload = text_of(in.subspan(taken, static_cast<std::size_t>(size)));
        out.datagrams.emplace_back(payload);
        in = in.subspan(taken + static_cast<std::size_t>(size));
    }
    return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static event_loop loop;
    if (size == 0) return 0;
    const std::size_t piece = std::size_t{data[0]} + 1;
    const bytes in(data + 1, size - 1);

    auto [near, far] = make_memory_pair(loop, {.capacity = 1 * mib, .max_chunk = piece});
    auto pipe = make_dgm_pipe(loop, std::move(far), {.max_datagram = bound});
    chain all;
    if (!in.empty()) all.append_copy(loop.blocks(), in);

    outcome got;
    bool ended = false;
    for (int quiet = 0; !ended && quiet < 4;) {
        ++quiet;
        if (near->has(io_flag::writable)) {
            if (!all.empty() && near->send(all).ok()) quiet = 0;
            if (all.empty()) near->send_fin();
        }
        loop.turn(loop.now());
        for (;;) {
            chain datagram;
            const io_result r = pipe->recv(datagram, 1);
            if (r.status == io_status::again) break;
            quiet = 0;
            if (r.ok()) {
                got.datagrams.push_back(datagram.to_string());
                continue;
            }
            got.why = r.why.why;
            ended = true;
            break;
        }
    }
    const outcome want = reference(in);
    check(ended, "the decoder neither ended nor broke");
    check(got.datagrams == want.datagrams, "the decoder delivered something else");
    check(got.why == want.why, "the decoder ended in another way");
    near.reset();
    pipe.reset();
    loop.turn(loop.now());
    return 0;
}
