#include <kit/end_code.h>

namespace libp::app {

namespace {

// What is called the same whether a connection was ever made or not; nullptr: anything else.
const char* common_end(reason why) noexcept {
    switch (why) {
        case reason::handshake_timeout:
            return "handshake_timeout";
        case reason::auth_failed:
        case reason::bad_certificate:
        case reason::wrong_key:
            return "auth_failed";
        case reason::protocol_error:
            return "protocol_error";
        case reason::session_lost:
        case reason::peer_restarted:
            return "session_lost";
        case reason::not_allowed:
            return "acl_denied";
        case reason::limit:
            return "limit";
        case reason::drain_cut:
            return "drain_cut";
        default:
            return nullptr;
    }
}

exit_code common_exit(reason why, exit_code otherwise) noexcept {
    switch (why) {
        case reason::drain_cut:
            return exit_code::drain_cut;
        case reason::auth_failed:
        case reason::bad_certificate:
        case reason::wrong_key:
        case reason::not_allowed:
            return exit_code::no_permission;
        case reason::protocol_error:
        case reason::checksum_error:
            return exit_code::protocol;
        default:
            return otherwise;
    }
}

}  // namespace

const char* end_of_attempt(const error& why) noexcept {
    if (const char* end = common_end(why.why)) return end;
    switch (why.why) {
        case reason::timed_out:
            return "connect_timeout";
        case reason::resolve_failed:
            return "resolve_failed";
        case reason::local_abort:
            return "internal";
        default:
            return "connect_refused";
    }
}

const char* end_of_bridge(const bridge_end& end) noexcept {
    if (const char* known = common_end(end.why.why)) return known;
    switch (end.why.why) {
        case reason::none:
            return "ok";
        case reason::idle_timeout:
            return "idle_timeout";
        case reason::linger_timeout:
            return "linger_timeout";
        case reason::oversize:
        case reason::flow_control:
            return "protocol_error";
        case reason::checksum_error:
            return "checksum_error";
        default:
            break;
    }
    // Reset, cut inside a datagram, no longer answering: a connection that was lost, at that side.
    if (end.side == bridge_side::a) return "client_rst";
    if (end.side == bridge_side::b) return "upstream_rst";
    return "internal";
}

exit_code exit_of_attempt(const error& why) noexcept {
    switch (why.why) {
        case reason::resolve_failed:
            return exit_code::no_host;
        case reason::limit:
            return exit_code::os_error;
        default:
            return common_exit(why.why, exit_code::unavailable);
    }
}

exit_code exit_of_bridge(const bridge_end& end) noexcept {
    switch (end.why.why) {
        case reason::none:
            return exit_code::ok;
        case reason::oversize:
        case reason::flow_control:
            return exit_code::protocol;
        default:
            return common_exit(end.why.why, exit_code::session_failed);
    }
}

}  // namespace libp::app
