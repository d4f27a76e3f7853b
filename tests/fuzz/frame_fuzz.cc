// The frame reader: arbitrary bytes in arbitrary pieces. Whatever comes out is a frame that,
// written again, has the same bytes.
//
// The input is the bytes, mended; the piece sizes are taken from them too.

#include <libp/assert.h>
#include <libp/block.h>
#include <libp/crc32c.h>
#include <libp/stripe/wire.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include "mend.h"

#include "stripe/frame_reader.h"
#include "stripe/frame_writer.h"

using namespace libp;
using namespace libp::stripe;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::vector<std::uint8_t> raw(data, data + size);
    mend(raw);
    block_pool blocks;
    frame_reader reader(blocks, wire::smallest_max_frame);
    frame_writer writer(blocks);
    chain written;
    frame f;
    for (std::size_t at = 0; at < raw.size() && !reader.error();) {
        const std::size_t n = std::min<std::size_t>(raw.size() - at, 1 + raw[at] % 61);
        chain piece;
        piece.append_copy(blocks, {raw.data() + at, n});
        at += n;
        reader.feed(std::move(piece));
        while (reader.next(f)) {
            check(f.payload.size() == f.head.length, "a payload is not as long as its header says");
            check(wire::well_formed(f.head, wire::smallest_max_frame),
                  "a malformed frame came out");
            writer.shared(written, f.head, f.payload, crc32c(0, f.payload));
        }
        check(reader.buffered() <= wire::smallest_max_frame + 64, "more than a frame is buffered");
    }
    std::vector<std::uint8_t> back(written.size());
    written.copy_out(back);
    check(back.size() <= raw.size() &&
              (back.empty() || std::memcmp(back.data(), raw.data(), back.size()) == 0),
          "a frame changed on the way");
    return 0;
}
