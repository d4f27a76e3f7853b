#include <kit/end_code.h>

namespace libp::app {

namespace {

exit_code common_exit(reason why, exit_code otherwise) noexcept {
    switch (why) {
        case reason::drain_cut:
            return exit_code::drain_cut;
        case reason::auth_failed:
        case reason::bad_certificate:
        case reason::wrong_key:
        case reason::tls_wanted:
        case reason::not_allowed:
        case reason::permission:
            return exit_code::no_permission;
        case reason::protocol_error:
        case reason::no_tls:
        case reason::other_version:
        case reason::checksum_error:
            return exit_code::protocol;
        default:
            return otherwise;
    }
}

}  // namespace

const char* end_of_attempt(const error& why) noexcept {
    if (const char* known = end_word(why.why)) return known;
    if (why.why == reason::timed_out) return "connect_timeout";
    return why.why == reason::local_abort ? "internal" : "connect_refused";
}

const char* end_of_bridge(const bridge_end& end) noexcept {
    if (const char* known = end_word(end.why.why)) return known;
    // Reset, cut inside a datagram, no longer answering: a connection that was lost, at that side.
    if (end.side == bridge_side::a) return "client_rst";
    if (end.side == bridge_side::b) return "upstream_rst";
    return "internal";
}

exit_code exit_of_attempt(const error& why) noexcept {
    switch (why.why) {
        case reason::resolve_failed:
            return exit_code::no_host;
        case reason::limit:  // this system's, where there is a number; else the other end's
            return why.os_errno > 0 ? exit_code::os_error : exit_code::unavailable;
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
