#include "chain_writer.h"

namespace libp {
namespace {

// Whether the first n bytes are whole slices. One call takes only so many slices: a short write
// that ends between two need not mean that the descriptor is full, one that ends within a slice
// does.
bool ends_between_slices(const chain& data, std::size_t n) noexcept {
    for (std::size_t i = 0; n > 0; ++i) {
        if (data[i].size > n) return false;
        n -= data[i].size;
    }
    return true;
}

}  // namespace

write_outcome write_chain(fd_type fd, write_call call, chain& from) {
    write_outcome out;
    while (!from.empty() && !out.congested) {
        const io_result r = call(fd, from, from.size());
        if (r.status == io_status::broken) {
            out.why = r.why;
            break;
        }
        out.congested = r.bytes == 0 || !ends_between_slices(from, r.bytes);
        from.drop_front(r.bytes);
        out.bytes += r.bytes;
    }
    return out;
}

}  // namespace libp
