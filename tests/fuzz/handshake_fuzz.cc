// The handshake: arbitrary bytes as the peer's. The first byte says whether the driver accepts and
// when, and how the bytes are cut; CRCs are mended.

#include <libp/assert.h>
#include <libp/block.h>
#include <libp/stripe/handshake.h>
#include <libp/stripe/wire.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "mend.h"

using namespace libp;
using namespace libp::stripe;

namespace {

// The type of the one frame that it has to send; 0: none.
std::uint8_t answer_of(handshake& h) {
    const chain out = h.take_output();
    if (out.empty()) return 0;
    std::uint8_t frame[wire::header_size];
    wire::header head;
    check(out.copy_out(frame) == out.size() && wire::decode(frame, head), "not one frame");
    check(wire::well_formed(head, wire::hello_max), "an answer that is none");
    return head.type;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::uint8_t how = data[0];
    std::vector<std::uint8_t> raw(data + 1, data + size);
    mend(raw);
    block_pool blocks;
    hello own;
    own.who.node_id.fill('n');
    own.nonce.fill('o');
    handshake h(blocks, own);
    h.take_output();
    std::size_t rest = 0;
    const std::size_t step = how % 64 == 63 ? raw.size() : how % 64 + 1;
    for (std::size_t at = 0; at < raw.size();) {
        const std::size_t n = std::min(raw.size() - at, step);
        chain piece;
        piece.append_copy(blocks, {raw.data() + at, n});
        at += n;
        if (h.done()) break;
        if (h.received(piece)) {
            check(answer_of(h) == (h.refused() ? wire::type::goaway : 0), "another last word");
            break;
        }
        check(piece.empty() || h.done(), "bytes were left over before the handshake was done");
        rest += piece.size();
        if (h.undecided() && ((how & 0x80) != 0 || at == raw.size())) {
            const bool refuse = (how & 0x40) != 0;
            if (refuse)
                h.refuse({reason::limit});
            else
                h.accept();
            check(answer_of(h) == (refuse ? wire::type::goaway : wire::type::ready), "no answer");
            if (refuse) break;
        }
        if (h.done()) {
            check(h.peer().who != own.who, "a handshake with itself");
            check(h.even() == (own.who < h.peer().who), "both ends are even");
        }
    }
    check(rest <= raw.size(), "more was left than came");
    return 0;
}
