#pragma once

// TLS as those see it who do not speak it: enough to tell that the other end does. Private to io.

#include <libp/types.h>

#include <cstdint>

namespace libp {

// How a record begins (RFC 8446 section 5.1): change_cipher_spec, alert, handshake or
// application_data, then a version 3.x.
constexpr bool is_tls_record(const std::uint8_t (&front)[2]) noexcept {
    return front[0] >= 20 && front[0] <= 23 && front[1] == 3;
}

// A fatal alert, protocol_version: what a server says to whoever speaks no TLS.
inline constexpr std::uint8_t tls_alert[7] = {21, 3, 1, 0, 2, 2, 70};

}  // namespace libp
