#include <libp/assert.h>
#include <libp/crc32c.h>
#include <libp/endian.h>
#include <libp/stripe/handshake.h>
#include <libp/stripe/wire.h>

#include <algorithm>
#include <cstring>

namespace libp::stripe {

namespace {

constexpr std::uint8_t magic[4] = {'S', 'T', 'R', '1'};
constexpr std::uint8_t version = 1;
// Our HELLO at its largest.
constexpr std::size_t own_hello_max = wire::hello_size + 4 + 1 + wire::path_name_max;
// HELLO at its largest and READY: more than that before the handshake is over is no handshake.
constexpr std::size_t most_buffered = 8 * kib;

// The front of a HELLO frame that is the same whatever the HELLO says: enough to turn away a
// stranger at its first wrong byte.
constexpr std::uint8_t hello_front[4] = {wire::type::hello, wire::flag::crc, 0, 0};

// Instead of a HELLO: a greeting of TLS, or the alert by which it turns us away.
bool begins_tls(bytes front) noexcept {
    return (front[0] == 21 || front[0] == 22) && (front.size() < 2 || front[1] == 3);
}

template <std::size_t N>
std::uint8_t* put(std::uint8_t* to, const std::array<std::uint8_t, N>& from) noexcept {
    return std::copy(from.begin(), from.end(), to);
}

template <std::size_t N>
const std::uint8_t* get(const std::uint8_t* from, std::array<std::uint8_t, N>& to) noexcept {
    std::copy(from, from + N, to.begin());
    return from + N;
}

// Returns how many bytes it is.
std::size_t encode_hello(const hello& h, std::uint8_t* to) noexcept {
    std::memcpy(to, magic, sizeof magic);
    to[4] = to[5] = version;
    store_be16(to + 6, h.features);
    std::uint8_t* p =
        put(put(put(put(to + 8, h.who.node_id), h.who.instance), h.session_tag), h.nonce);
    store_be32(p, h.max_frame);
    store_be32(p + 4, h.max_streams);
    store_be64(p + 8, h.initial_credit);
    store_be32(p + 16, h.heartbeat_ms);
    store_be32(p + 20, 0);
    store_be64(p + 24, h.send_time_us);
    if (h.path.empty() && h.rank == 0) return wire::hello_size;
    p = to + wire::hello_size;
    store_be16(p, wire::tlv::path);
    store_be16(p + 2, static_cast<std::uint16_t>(1 + h.path.size()));
    p[4] = h.rank;
    std::copy(h.path.begin(), h.path.end(), p + 5);
    return wire::hello_size + 5 + h.path.size();
}

// Walks the TLVs behind the fixed part.
error decode_tlvs(bytes tlvs, hello& out) {
    while (!tlvs.empty()) {
        if (tlvs.size() < 4) return {reason::protocol_error};
        const std::uint16_t kind = load_be16(tlvs.data());
        const std::size_t size = load_be16(tlvs.data() + 2);
        if (tlvs.size() - 4 < size) return {reason::protocol_error};
        if ((kind & wire::tlv::critical) != 0) return {reason::other_version};
        if (kind == wire::tlv::path) {
            if (size < 1 || size > 1 + wire::path_name_max) return {reason::protocol_error};
            out.rank = tlvs[4];
            const bytes name = tlvs.subspan(5, size - 1);
            out.path.assign(name.begin(), name.end());
        }
        tlvs = tlvs.subspan(4 + size);
    }
    return {};
}

// What the peer's GOAWAY means. What else it may say reads as a reset, after which one may try
// again.
error refusal(std::uint16_t code) noexcept {
    const reason why = wire::reason_of(code);
    const bool known = why == reason::limit || why == reason::session_lost ||
                       why == reason::auth_failed || why == reason::other_version;
    return known ? error{why, by_peer} : error{reason::peer_reset};
}

error decode_hello(bytes from, hello& out) {
    const std::uint8_t* p = from.data();
    if (std::memcmp(p, magic, sizeof magic) != 0) return {reason::protocol_error};
    if (p[4] > version || p[5] < version) return {reason::other_version};
    out.features = load_be16(p + 6);
    p = get(get(get(get(p + 8, out.who.node_id), out.who.instance), out.session_tag), out.nonce);
    out.max_frame = load_be32(p);
    out.max_streams = load_be32(p + 4);
    out.initial_credit = load_be64(p + 8);
    out.heartbeat_ms = load_be32(p + 16);
    out.send_time_us = load_be64(p + 24);
    if (out.max_frame < wire::smallest_max_frame || out.max_frame > wire::largest_max_frame ||
        out.max_streams == 0 || out.initial_credit > wire::credit_max)
        return {reason::protocol_error};
    return decode_tlvs(from.subspan(wire::hello_size), out);
}

}  // namespace

handshake::handshake(block_pool& blocks, const hello& own) : blocks_(blocks), own_(own) {
    check(own_.path.size() <= wire::path_name_max, "a path's name is too long for HELLO");
    std::uint8_t frame[wire::header_size + own_hello_max + wire::trailer_size];
    std::uint8_t* const payload = frame + wire::header_size;
    const std::size_t size = encode_hello(own_, payload);
    wire::encode({.type = wire::type::hello,
                  .flags = wire::flag::crc,
                  .length = static_cast<std::uint32_t>(size)},
                 frame);
    store_be32(payload + size, crc32c(0, {payload, size}));
    out_.append_copy(blocks_, {frame, wire::header_size + size + wire::trailer_size});
}

chain handshake::take_output() {
    return std::move(out_);
}

error handshake::received(chain& data) {
    if (failed_) return failed_;
    if (done()) return {};
    if (state_ == state::accepted) {
        in_.append(std::move(data));
    } else if (in_.size() + data.size() > most_buffered) {
        failed_ = {reason::protocol_error};
        return failed_;
    } else {
        // Copied: a stranger who sends byte by byte shall not hold a large block with each.
        for (std::size_t i = 0; i < data.slices(); ++i)
            in_.append_copy(blocks_, data[i].view());
        data.clear();
    }
    failed_ = parse();
    if (!failed_ && done()) data = std::move(in_);
    return failed_;
}

error handshake::parse() {
    while (state_ != state::done && !in_.empty()) {
        // READY is the last word of an end that has not got ours.
        if (peer_ready_) return {reason::protocol_error};
        std::uint8_t front[wire::header_size];
        const std::size_t got = in_.copy_out(front);
        if (state_ == state::hello_sent &&
            std::memcmp(front, hello_front, std::min(got, sizeof hello_front)) != 0)
            return {begins_tls({front, got}) ? reason::tls_wanted : reason::protocol_error};
        if (got < wire::header_size) break;

        wire::header head;
        if (!wire::decode(front, head)) return {reason::checksum_error};
        if (!wire::well_formed(head, wire::hello_max)) return {reason::protocol_error};
        if (state_ == state::hello_sent) {
            if (in_.size() < head.frame_size()) break;
            if (error e = parse_hello(head.length)) return e;
            continue;
        }
        if (head.type == wire::type::goaway) return refusal(head.aux);
        if (head.type != wire::type::ready || head.aux > 1) return {reason::protocol_error};
        in_.drop_front(wire::header_size);
        peer_ready_ = true;
        peer_goes_on_ = head.aux != 0;
        if (state_ == state::accepted) state_ = state::done;
    }
    return {};
}

error handshake::parse_hello(std::size_t length) {
    in_.drop_front(wire::header_size);
    std::uint8_t payload[wire::hello_max + wire::trailer_size];
    in_.copy_out({payload, length + wire::trailer_size});
    in_.drop_front(length + wire::trailer_size);
    if (load_be32(payload + length) != crc32c(0, {payload, length}))
        return {reason::checksum_error};
    if (error e = decode_hello({payload, length}, peer_)) {
        if (e.why == reason::other_version) say_no(e.why);
        return e;
    }
    if (peer_.who == own_.who) return {reason::self_connect};
    state_ = state::hello_received;
    return {};
}

void handshake::accept(bool goes_on) {
    check(undecided(), "a subflow was accepted before its HELLO came, or twice");
    say({.type = wire::type::ready, .aux = std::uint16_t{goes_on}});
    state_ = peer_ready_ ? state::done : state::accepted;
}

void handshake::refuse(error why) {
    check(undecided() || done(),
          "a subflow was refused before its HELLO came, or between the READYs");
    failed_ = why;
    say_no(why.why);
}

void handshake::say_no(reason why) {
    say({.type = wire::type::goaway, .aux = wire::code_of(why)});
    state_ = state::refused;
}

void handshake::say(const wire::header& h) {
    std::uint8_t frame[wire::header_size];
    wire::encode(h, frame);
    out_.append_copy(blocks_, frame);
}

session_key handshake::key() const {
    return {std::min(own_.who, peer_.who), std::max(own_.who, peer_.who),
            std::max(own_.session_tag, peer_.session_tag)};
}

subflow_id handshake::id() const noexcept {
    return load_be32(own_.nonce.data()) ^ load_be32(peer_.nonce.data());
}

bool handshake::even() const noexcept {
    return own_.who < peer_.who;
}

}  // namespace libp::stripe
