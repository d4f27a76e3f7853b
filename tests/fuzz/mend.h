#pragma once

// Makes checksums right where an input asks for it, or no input would ever get past them: a header
// whose hcrc reads "crc!" gets its true value, and so does the trailer of its frame if it has the
// flag CRC.

#include <libp/crc32c.h>
#include <libp/endian.h>
#include <libp/stripe/wire.h>

#include <cstdint>
#include <cstring>
#include <vector>

namespace libp::stripe {

inline void mend(std::vector<std::uint8_t>& raw) {
    for (std::size_t at = 0; at + wire::header_size <= raw.size(); ++at) {
        std::uint8_t* h = raw.data() + at;
        if (std::memcmp(h + 12, "crc!", 4) != 0) continue;
        store_be32(h + 12, crc32c(crc32c(0, {h, 12}), {h + 16, 8}));
        const std::size_t length = load_be32(h + 4);
        const std::size_t left = raw.size() - at - wire::header_size;
        if ((h[1] & wire::flag::crc) != 0 && left >= wire::trailer_size &&
            length <= left - wire::trailer_size)
            store_be32(h + wire::header_size + length, crc32c(0, {h + wire::header_size, length}));
    }
}

}  // namespace libp::stripe
