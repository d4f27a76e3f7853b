#include "stripe/frame_reader.h"

#include <libp/crc32c.h>
#include <libp/endian.h>

namespace libp::stripe {

namespace {

// Pieces smaller than this are copied together while their frame is incomplete: a peer that sends
// byte by byte shall not hold a large block with each.
constexpr std::size_t small_piece = 2 * kib;

}  // namespace

void frame_reader::feed(chain&& data) {
    if (error_) {
        data.clear();
        return;
    }
    if (in_.empty() || data.size() >= small_piece) {
        in_.append(std::move(data));
        return;
    }
    for (std::size_t i = 0; i < data.slices(); ++i)
        in_.append_copy(blocks_, data[i].view(), 4 * kib);
    data.clear();
}

bool frame_reader::read_header() {
    if (in_.size() < wire::header_size) return false;
    const slice& first = in_[0];
    std::uint8_t gathered[wire::header_size];
    const std::uint8_t* at = first.data;
    if (first.size < wire::header_size) {
        in_.copy_out(gathered);
        at = gathered;
    }
    if (!wire::decode(at, head_)) return fail(reason::checksum_error);
    if (!wire::well_formed(head_, max_frame_)) return fail(reason::protocol_error);
    have_head_ = true;
    return true;
}

bool frame_reader::next(frame& out) {
    if (error_) return false;
    if (!have_head_ && !read_header()) return false;
    if (in_.size() < head_.frame_size()) return false;

    in_.drop_front(wire::header_size);
    out.head = head_;
    out.payload.clear();
    in_.move_front(out.payload, head_.length);
    have_head_ = false;
    if (head_.has(wire::flag::crc)) {
        std::uint8_t trailer[wire::trailer_size];
        in_.copy_out(trailer);
        in_.drop_front(wire::trailer_size);
        if (load_be32(trailer) != crc32c(0, out.payload)) return fail(reason::checksum_error);
    }
    return true;
}

}  // namespace libp::stripe
