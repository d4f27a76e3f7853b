#include <libp/error.h>

#include <cerrno>
#include <system_error>

namespace libp {

namespace {

struct reason_words {
    const char* name;
    const char* text;
};

// No default: a reason without words is then a compiler warning.
constexpr reason_words words_of(reason why) noexcept {
    switch (why) {
        case reason::none:
            return {"none", "no error"};
        case reason::peer_reset:
            return {"peer_reset", "connection reset by peer"};
        case reason::local_abort:
            return {"local_abort", "aborted by this end"};
        case reason::refused:
            return {"refused", "connection refused"};
        case reason::unreachable:
            return {"unreachable", "host or network unreachable"};
        case reason::timed_out:
            return {"timed_out", "timed out"};
        case reason::handshake_timeout:
            return {"handshake_timeout", "handshake timed out"};
        case reason::idle_timeout:
            return {"idle_timeout", "idle for too long"};
        case reason::linger_timeout:
            return {"linger_timeout", "half closed for too long"};
        case reason::resolve_failed:
            return {"resolve_failed", "name cannot be resolved"};
        case reason::truncated:
            return {"truncated", "stream ended in the middle of a message"};
        case reason::protocol_error:
            return {"protocol_error", "protocol violated by peer"};
        case reason::checksum_error:
            return {"checksum_error", "checksum mismatch"};
        case reason::oversize:
            return {"oversize", "datagram too large"};
        case reason::flow_control:
            return {"flow_control", "peer sent more than it was granted"};
        case reason::session_lost:
            return {"session_lost", "session lost: no subflow left"};
        case reason::peer_restarted:
            return {"peer_restarted", "peer restarted"};
        case reason::self_connect:
            return {"self_connect", "connected to itself"};
        case reason::refused_by_peer:
            return {"refused_by_peer", "refused by the far end"};
        case reason::limit:
            return {"limit", "limit reached"};
        case reason::address_in_use:
            return {"address_in_use", "address already in use"};
        case reason::auth_failed:
            return {"auth_failed", "authentication failed"};
        case reason::bad_certificate:
            return {"bad_certificate", "certificate does not verify"};
        case reason::wrong_key:
            return {"wrong_key", "the keys of the two ends differ"};
        case reason::tls_wanted:
            return {"tls_wanted", "the other end wants TLS"};
        case reason::no_tls:
            return {"no_tls", "the other end speaks no TLS"};
        case reason::other_version:
            return {"other_version", "the versions of the two ends differ"};
        case reason::missing_close:
            return {"missing_close", "cut: the TLS stream ended without close_notify"};
        case reason::permission:
            return {"permission", "permission denied"};
        case reason::not_allowed:
            return {"not_allowed", "target not allowed by the server"};
        case reason::invalid:
            return {"invalid", "invalid argument"};
        case reason::unsupported:
            return {"unsupported", "not supported on this system"};
        case reason::drain_cut:
            return {"drain_cut", "cut: still open at the end of the drain"};
        case reason::system:
            return {"system", "system error"};
    }
    return {"unknown", "unknown error"};
}

// The system's own words, in this program's style: "Too many open files" starts small, "RFS ..."
// stays.
std::string system_text(int os_errno) {
    std::string text = std::generic_category().message(os_errno);
    const auto upper = [](char c) { return c >= 'A' && c <= 'Z'; };
    if (text.size() > 1 && upper(text[0]) && !upper(text[1])) text[0] += 'a' - 'A';
    return text;
}

struct numbered_text {
    int number;
    const char* text;
};

// The alerts by which a peer says that it does not accept us.
constexpr numbered_text alert_texts[] = {
    {40, "the peer accepts none of what this end offers"},
    {42, "the peer finds the certificate bad"},
    {43, "the peer does not support such a certificate"},
    {44, "the peer has the certificate as revoked"},
    {45, "the peer finds the certificate expired"},
    {46, "the peer does not accept the certificate"},
    {48, "the peer does not trust the certificate's issuer"},
    {49, "access denied by the peer"},
    {51, "the peer cannot verify the handshake"},
    {115, "the peer does not know the key"},
    {116, "a client certificate is required"},
};
constexpr numbered_text resolve_texts[] = {
    {unknown_name, "no such name"},
    {unknown_service, "no such service"},
    {no_answer, "no answer from the name servers for now"},
    {resolver_failed, "the name servers failed"},
};
constexpr numbered_text certificate_texts[] = {
    {9, "not valid yet"},
    {10, "expired"},
    {18, "self-signed certificate"},
    {19, "self-signed certificate in the chain"},
    {20, "issuer unknown"},
    {21, "issuer unknown"},
    {23, "revoked"},
    {24, "issued by what is no certificate authority"},
    {26, "made for another purpose"},
    {28, "not the pinned one"},
    {62, "made for another name"},
    {64, "made for another address"},
};

template <std::size_t n>
constexpr const char* find_text(const numbered_text (&texts)[n], int number) noexcept {
    for (const numbered_text& t : texts)
        if (t.number == number) return t.text;
    return nullptr;
}

// Where the number tells more than the reason: which kind of unreachable, what the system refused,
// a socket that is not even there.
constexpr bool number_says_more(reason why) noexcept {
    return why == reason::system || why == reason::refused || why == reason::unreachable ||
           why == reason::permission || why == reason::unsupported || why == reason::limit ||
           why == reason::invalid;
}

struct errno_reason {
    int os_errno;
    reason why;
};

// A table, not a switch: some of these numbers are equal on some systems.
constexpr errno_reason errno_reasons[] = {
    {0, reason::none},
    {ECONNRESET, reason::peer_reset},
    {ECONNABORTED, reason::peer_reset},
    {ENETRESET, reason::peer_reset},
    {EPIPE, reason::peer_reset},
    {ECONNREFUSED, reason::refused},
    {EHOSTUNREACH, reason::unreachable},
    {ENETUNREACH, reason::unreachable},
    {ENETDOWN, reason::unreachable},
#ifdef EHOSTDOWN
    {EHOSTDOWN, reason::unreachable},
#endif
    {ETIMEDOUT, reason::timed_out},
    {EADDRINUSE, reason::address_in_use},
    {EACCES, reason::permission},
    {EPERM, reason::permission},
    {EINVAL, reason::invalid},
    {EMSGSIZE, reason::oversize},
    {EPROTO, reason::protocol_error},
    {EAFNOSUPPORT, reason::unsupported},
    {EPROTONOSUPPORT, reason::unsupported},
    {ENOPROTOOPT, reason::unsupported},
    {EOPNOTSUPP, reason::unsupported},
    {ENOTSUP, reason::unsupported},
    {ENOSYS, reason::unsupported},
};

}  // namespace

const char* name_of(reason why) noexcept {
    return words_of(why).name;
}

const char* end_word(reason why) noexcept {
    switch (why) {
        case reason::none:
            return "ok";
        case reason::idle_timeout:
        case reason::linger_timeout:
        case reason::resolve_failed:
        case reason::handshake_timeout:
        case reason::protocol_error:
        case reason::checksum_error:
        case reason::auth_failed:
        case reason::limit:
        case reason::drain_cut:
        case reason::session_lost:
            return name_of(why);
        case reason::bad_certificate:
        case reason::wrong_key:
        case reason::tls_wanted:
            return name_of(reason::auth_failed);
        case reason::oversize:
        case reason::flow_control:
        case reason::no_tls:
        case reason::other_version:
            return name_of(reason::protocol_error);
        case reason::peer_restarted:
            return name_of(reason::session_lost);
        case reason::not_allowed:
            return "acl_denied";
        default:
            return nullptr;
    }
}

std::string to_string(const error& e) {
    if (e.os_errno == by_peer)
        return std::string("refused by the other end: ") + words_of(e.why).text;
    if (const char* text = find_text(resolve_texts, e.os_errno);
        text && e.why == reason::resolve_failed)
        return std::string(words_of(e.why).text) + ": " + text;
    if (const char* text = find_text(alert_texts, e.os_errno); text && e.why == reason::auth_failed)
        return std::string(words_of(e.why).text) + ": " + text;
    if (e.why == reason::bad_certificate && e.os_errno != 0) {
        const char* text = find_text(certificate_texts, e.os_errno);
        return std::string(words_of(e.why).text) + ": " +
               (text ? text : "error " + std::to_string(e.os_errno));
    }
    if (e.os_errno != 0 && number_says_more(e.why)) return system_text(e.os_errno);
    return words_of(e.why).text;
}

error error_from_errno(int os_errno) noexcept {
    for (const errno_reason& known : errno_reasons) {
        if (known.os_errno == os_errno) return {known.why, os_errno};
    }
    return {reason::system, os_errno};
}

}  // namespace libp
