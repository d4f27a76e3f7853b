#include <libp/compact_address.h>

#include <cstring>

namespace libp {

compact_address::compact_address(const socket_address& full) noexcept {
    if (full.family() == address_family::unix_path) size_ = unix_mark;
    if (!full.is_ip() || full.raw_size() > sizeof(raw_)) return;
    size_ = static_cast<std::uint8_t>(full.raw_size());
    std::memcpy(raw_, full.raw(), size_);
}

std::string compact_address::to_string() const {
    if (size_ == 0) return "-";
    if (size_ == unix_mark) return "unix";
    return socket_address::from_raw(reinterpret_cast<const sockaddr*>(raw_), size_).to_string();
}

}  // namespace libp
