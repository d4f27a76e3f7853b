#include "stripe/frame_writer.h"

#include <libp/crc32c.h>
#include <libp/endian.h>

#include <algorithm>
#include <cstring>

namespace libp::stripe {

void frame_writer::put(chain& out, bytes data) {
    if (data.empty()) return;
    if (!scratch_ || scratch_->capacity() - scratch_->used() < data.size())
        scratch_ = blocks_.take(std::max<std::size_t>(4 * kib, data.size()));
    std::uint8_t* const to = scratch_->data() + scratch_->used();
    std::memcpy(to, data.data(), data.size());
    scratch_->set_used(scratch_->used() + data.size());
    out.append(slice{scratch_, to, data.size()});
}

std::size_t frame_writer::small(chain& out, wire::header head, bytes payload, bool with_crc) {
    head.length = static_cast<std::uint32_t>(payload.size());
    if (with_crc && !payload.empty()) head.flags |= wire::flag::crc;
    std::uint8_t front[wire::header_size];
    wire::encode(head, front);
    put(out, front);
    put(out, payload);
    if (head.has(wire::flag::crc)) {
        std::uint8_t trailer[wire::trailer_size];
        store_be32(trailer, crc32c(0, payload));
        put(out, trailer);
    }
    return head.frame_size();
}

std::size_t frame_writer::shared(chain& out, const wire::header& head, const chain& payload,
                                 std::uint32_t crc) {
    std::uint8_t front[wire::header_size];
    wire::encode(head, front);
    put(out, front);
    payload.share(out, 0, payload.size());
    if (head.has(wire::flag::crc)) {
        std::uint8_t trailer[wire::trailer_size];
        store_be32(trailer, crc);
        put(out, trailer);
    }
    return head.frame_size();
}

}  // namespace libp::stripe
