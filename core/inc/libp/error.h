#pragma once

// Why something failed: one closed list of reasons, plus the system's own error number where there
// is one. Every pipe that breaks and every connection that ends has its error from this list, so
// that the same failure has the same name everywhere. What logs say behind `end=` is a shorter
// list, which end_word() makes of it.
//
// An error is a value. It is never thrown, and never converted from one reason into a vaguer one on
// its way up: the layer that failed names the reason, the layers above pass it on.

#include <cstdint>
#include <string>

namespace libp {

enum class reason : std::uint8_t {
    none,               // no error
    peer_reset,         // the other end sent RST, or went away without finishing
    local_abort,        // this end gave up: reset() was called, or an owner went away
    refused,            // connect: nobody listens there
    unreachable,        // connect: no route, network or host down
    timed_out,          // connect, handshake or keepalive: no answer in time
    handshake_timeout,  // connected, but the protocol above never got going
    idle_timeout,       // nothing moved for --idle-timeout
    linger_timeout,     // half closed, and then nothing moved for --linger
    resolve_failed,     // the name has no address
    truncated,          // the stream below ended inside a datagram or a frame
    protocol_error,     // the peer said something the protocol does not allow
    checksum_error,     // a header or payload CRC did not match
    oversize,           // a datagram larger than the bound
    flow_control,       // the peer sent more than it was granted
    session_lost,       // a striped session has no subflow left and its time is up
    peer_restarted,     // the other end of a session is a new process
    self_connect,       // both ends of a subflow are this process
    refused_by_peer,    // the far end could not, or would not, open what was asked for
    limit,              // a configured bound (connections, streams, memory)
    address_in_use,     // bind: somebody is there
    auth_failed,        // one end did not accept who the other says it is
    bad_certificate,    // the peer's certificate does not verify
    wrong_key,          // the two ends have different keys, or one has none
    tls_wanted,         // the peer speaks TLS, and this end does not
    no_tls,             // this end speaks TLS, and the peer does not
    other_version,      // the two ends speak versions of a protocol that do not go together
    missing_close,      // a TLS stream ended without saying that it ends: it may have been cut
    permission,         // the system or the configuration says no
    not_allowed,        // the far end's rules do not let it connect to what was asked for
    invalid,            // a malformed address, option or spec
    unsupported,        // not on this system
    drain_cut,          // still alive when --drain ran out
    system,             // anything else; os_errno says what
};

// Why a name has no address. The system's own numbers for it (EAI_*) are others everywhere.
enum resolve_trouble : int { unknown_name = 1, unknown_service, no_answer, resolver_failed };

// In place of a number: it was the other end that turned this one away, and said why.
inline constexpr int by_peer = -1;

struct error {
    reason why = reason::none;
    // errno of the failed call; a resolve_trouble when why is resolve_failed, the TLS alert (RFC
    // 8446 section 6) when it is auth_failed, OpenSSL's X509_V_ERR_* when it is bad_certificate,
    // by_peer. 0: none.
    int os_errno = 0;

    constexpr explicit operator bool() const noexcept { return why != reason::none; }
    friend constexpr bool operator==(const error&, const error&) noexcept = default;
};

// The reason's name as tests know it: "peer_reset".
const char* name_of(reason why) noexcept;

// Behind `end=` in a log line, from a closed list that whoever reads logs may rely on:
//
//     ok client_rst upstream_rst idle_timeout linger_timeout connect_refused connect_timeout
//     resolve_failed handshake_timeout auth_failed protocol_error checksum_error acl_denied limit
//     drain_cut session_lost internal
//
// nullptr where the word depends on what it was that ended, and on which side.
const char* end_word(reason why) noexcept;

// For people: "connection refused", "no route to host", "header checksum mismatch". Lower case, no
// full stop.
std::string to_string(const error& e);

// The reason that an errno stands for: ECONNREFUSED -> refused. Unknown ones become `system`.
error error_from_errno(int os_errno) noexcept;

}  // namespace libp
