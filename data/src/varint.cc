#include <libp/varint.h>

#include <libp/assert.h>
#include <libp/endian.h>

namespace libp {

std::size_t write_varint(std::uint8_t* to, std::uint64_t value) noexcept {
    check(value <= varint_max, "a varint holds at most 62 bits");
    const std::size_t size = varint_size(value);
    switch (size) {
        case 1:
            *to = static_cast<std::uint8_t>(value);
            break;
        case 2:
            store_be16(to, static_cast<std::uint16_t>(value | 0x4000));
            break;
        case 4:
            store_be32(to, static_cast<std::uint32_t>(value | 0x8000'0000));
            break;
        default:
            store_be64(to, value | 0xc000'0000'0000'0000);
            break;
    }
    return size;
}

std::size_t read_varint(bytes from, std::uint64_t& value) noexcept {
    if (from.empty()) return 0;
    const std::size_t size = varint_size_from(from[0]);
    if (from.size() < size) return 0;
    switch (size) {
        case 1:
            value = from[0];
            break;  // its two top bits are zero
        case 2:
            value = load_be16(from.data()) & 0x3fff;
            break;
        case 4:
            value = load_be32(from.data()) & 0x3fff'ffff;
            break;
        default:
            value = load_be64(from.data()) & varint_max;
            break;
    }
    return size;
}

}  // namespace libp
