#include <libp/crc32c.h>
#include <libp/endian.h>
#include <libp/stripe/wire.h>

#include <algorithm>
#include <iterator>

namespace libp::stripe::wire {

namespace {

std::uint32_t header_crc(const std::uint8_t* h) noexcept {
    return crc32c(crc32c(0, {h, 12}), {h + 16, 8});
}

struct code_name {
    std::uint16_t code;
    reason why;
};

// The reasons that travel. Where two rows have the same reason the first is what is sent.
constexpr code_name codes[] = {
    {0x01, reason::protocol_error},  {0x03, reason::flow_control},
    {0x04, reason::protocol_error},  {0x05, reason::protocol_error},
    {0x06, reason::protocol_error},  {0x07, reason::unsupported},
    {0x08, reason::limit},           {0x20, reason::peer_reset},
    {0x21, reason::refused},         {0x22, reason::unreachable},
    {0x23, reason::timed_out},       {0x24, reason::handshake_timeout},
    {0x25, reason::idle_timeout},    {0x26, reason::linger_timeout},
    {0x27, reason::resolve_failed},  {0x28, reason::truncated},
    {0x29, reason::checksum_error},  {0x2a, reason::oversize},
    {0x2b, reason::session_lost},    {0x2c, reason::peer_restarted},
    {0x2d, reason::self_connect},    {0x2e, reason::refused_by_peer},
    {0x2f, reason::address_in_use},  {0x30, reason::permission},
    {0x31, reason::invalid},         {0x32, reason::drain_cut},
    {0x33, reason::system},          {0x34, reason::auth_failed},
    {0x35, reason::bad_certificate}, {0x36, reason::wrong_key},
    {0x37, reason::missing_close},   {0x38, reason::not_allowed},
    {0x39, reason::tls_wanted},      {0x3a, reason::no_tls},
    {0x3b, reason::other_version},
};

// One row of the page's table.
struct shape {
    std::uint8_t type;
    std::uint8_t flags;
    bool stream;
    bool aux;
    bool offset;
    std::uint32_t least, most;  // of length; most == whole_frame: max_frame
};

constexpr std::uint32_t whole_frame = 0;
constexpr std::uint32_t exactly_none = UINT32_MAX;

constexpr shape shapes[] = {
    {type::hello, flag::crc, false, false, false, hello_size, hello_max},
    {type::ready, 0, false, true, false, 0, exactly_none},
    {type::open, flag::crc, true, true, true, 0, open_max},
    {type::open_ok, 0, true, false, true, 0, exactly_none},
    {type::data, flag::fin | flag::resent | flag::crc, true, false, true, 0, whole_frame},
    {type::rst, flag::crc, true, true, true, 0, text_max},
    {type::dgram, flag::resent | flag::crc, true, true, true, 0, datagram_max},
    {type::ack, flag::fin | flag::crc, true, true, true, 0, ranges_max * 16},
    {type::credit, 0, true, false, true, 0, exactly_none},
    {type::path_ack, flag::crc, false, false, true, 8, 8},
    {type::ping, flag::crc, false, false, true, 0, whole_frame},
    {type::pong, 0, false, false, true, 0, exactly_none},
    {type::limit, 0, false, true, false, 0, exactly_none},
    {type::drain, 0, false, false, false, 0, exactly_none},
    {type::goaway, flag::crc, false, true, false, 0, text_max},
};

const shape* shape_of(std::uint8_t t) noexcept {
    const auto at = std::find_if(std::begin(shapes), std::end(shapes),
                                 [t](const shape& s) { return s.type == t; });
    return at == std::end(shapes) ? nullptr : at;
}

}  // namespace

std::uint16_t code_of(reason why) noexcept {
    if (why == reason::local_abort) why = reason::peer_reset;
    for (const code_name& c : codes)
        if (c.why == why) return c.code;
    return static_cast<std::uint16_t>(code::aborted);
}

reason reason_of(std::uint16_t code) noexcept {
    for (const code_name& c : codes)
        if (c.code == code) return c.why;
    return reason::peer_reset;
}

void encode(const header& h, std::uint8_t* to) noexcept {
    to[0] = h.type;
    to[1] = h.flags;
    store_be16(to + 2, h.aux);
    store_be32(to + 4, h.length);
    store_be32(to + 8, h.stream);
    store_be64(to + 16, h.offset);
    store_be32(to + 12, header_crc(to));
}

bool decode(const std::uint8_t* from, header& out) noexcept {
    if (load_be32(from + 12) != header_crc(from)) return false;
    out.type = from[0];
    out.flags = from[1];
    out.aux = load_be16(from + 2);
    out.length = load_be32(from + 4);
    out.stream = load_be32(from + 8);
    out.offset = load_be64(from + 16);
    return true;
}

bool well_formed(const header& h, std::uint32_t max_frame) noexcept {
    if (h.has(flag::crc) && h.length == 0) return false;
    if (h.type >= type::first_ignorable) return h.length <= max_frame;
    const shape* s = shape_of(h.type);
    if (!s) return false;
    if ((h.flags & ~s->flags) != 0) return false;
    // Stream 0 on a frame of a stream is the session's business (stream_id), not the subflow's.
    if (!s->stream && h.stream != 0) return false;
    if (!s->aux && h.aux != 0) return false;
    if (!s->offset && h.offset != 0) return false;
    const std::uint32_t most =
        s->most == whole_frame ? max_frame : (s->most == exactly_none ? 0 : s->most);
    if (h.length < s->least || h.length > most) return false;
    if (h.type == type::dgram && h.length > max_frame) return false;
    if (h.type == type::data && h.length == 0 && !h.has(flag::fin)) return false;
    if (h.type == type::ack && h.length != std::uint32_t{h.aux} * 16) return false;
    return true;
}

std::uint16_t ttl_ms(duration ttl) noexcept {
    return static_cast<std::uint16_t>(
        std::clamp<std::int64_t>((ttl + 1ms - duration{1}) / 1ms, 0, UINT16_MAX));
}

bool elicits(std::uint8_t t) noexcept {
    return t != type::path_ack && t != type::pong && t != type::limit && t != type::goaway;
}

}  // namespace libp::stripe::wire
