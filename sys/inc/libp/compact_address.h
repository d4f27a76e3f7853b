#pragma once

// A socket's address in 32 bytes, for records that exist once per connection: any IP address in
// full, of a UNIX socket only that it is one (the peers of a UNIX listener have no names).

#include <libp/socket_address.h>

#include <cstdint>
#include <string>

namespace libp {

class compact_address {
  public:
    compact_address() noexcept = default;
    compact_address(const socket_address& full) noexcept;

    // "127.0.0.1:80", "unix"; "-" for none.
    std::string to_string() const;
    bool is_ip() const noexcept { return size_ != 0 && size_ != unix_mark; }

  private:
    static constexpr std::uint8_t unix_mark = 255;

    alignas(4) unsigned char raw_[28] = {};  // as large as an IPv6 sockaddr
    std::uint8_t size_ = 0;
};

}  // namespace libp
