#include "block_reader.h"

#include <algorithm>
#include <utility>

namespace libp {

block_reader::outcome block_reader::read(block_pool& pool, fd_type fd, read_call call, chain& to,
                                         std::size_t max) {
    const std::size_t full = block_pool::class_size[class_];
    const std::size_t want = std::min(max, full);
    block_ref into = pool.take(want);
    const mutable_bytes room(into->data(), want);
    const io_result r = call(fd, std::span(&room, 1));
    if (!r.ok()) return {r, false};

    if (r.bytes * 4 < into->capacity()) {
        to.append_copy(pool, room.first(r.bytes));
    } else {
        into->set_used(r.bytes);
        const std::uint8_t* data = into->data();
        to.append(slice{std::move(into), data, r.bytes});
    }
    adapt(r.bytes, want);
    return {r, r.bytes < want};
}

void block_reader::adapt(std::size_t got, std::size_t want) noexcept {
    if (got * 4 >= want) {
        small_reads_ = 0;
        if (got == block_pool::class_size[class_] && class_ < largest) ++class_;
    } else if (++small_reads_ >= patience) {
        small_reads_ = 0;
        if (class_ > smallest) --class_;
    }
}

}  // namespace libp
