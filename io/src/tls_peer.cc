#include "tls_peer.h"

#include <libp/assert.h>
#include <libp/socket_address.h>

namespace libp {

using openssl::functions;

bool expect_tls_name(const tls_notes& notes, ssl_st* connection, const std::string& name) {
    if (name.empty()) {
        check(!notes.by.needs_name(), "a TLS client that verifies needs the server's name");
        return true;
    }
    const functions& call = notes.by.call();
    const bool is_ip = bool(socket_address::from_ip(name, 0));
    if (!is_ip) {
        std::string sent = name;  // OpenSSL copies it, but does not say so in its type
        if (call.SSL_ctrl(connection, openssl::ctrl_set_tlsext_hostname,
                          openssl::tlsext_nametype_host_name, sent.data()) != 1)
            return false;
    }
    if (!notes.by.needs_name()) return true;
    call.SSL_set_hostflags(connection, openssl::check_flag_no_partial_wildcards);
    return (is_ip
                ? call.X509_VERIFY_PARAM_set1_ip_asc(call.SSL_get0_param(connection), name.c_str())
                : call.SSL_set1_host(connection, name.c_str())) == 1;
}

std::string tls_peer_identity(const tls_notes& notes, const ssl_st* connection) {
    const functions& call = notes.by.call();
    const tls_options& options = notes.by.options();
    if (notes.by.uses_keys())
        return "key " + (options.server ? notes.key_id : notes.by.first_key()->id);
    if (!options.server) return options.verify || !options.pins.empty() ? "verified" : "unverified";
    x509_st* certificate = call.SSL_get1_peer_certificate(connection);
    if (!certificate) return "anybody";
    std::string who;
    if (!options.pins.empty() && notes.pin) {
        who = notes.pin->to_string();
    } else {
        char subject[512] = "";
        call.X509_NAME_oneline(call.X509_get_subject_name(certificate), subject, sizeof subject);
        who = std::string("certificate ") + subject;
    }
    call.X509_free(certificate);
    return who;
}

error why_tls_failed(const tls_notes& notes, const ssl_st* connection, bool shaken) {
    const tls_options& options = notes.by.options();
    const long verified = notes.by.call().SSL_get_verify_result(connection);
    const bool judged = notes.pin && (options.server || options.verify || !options.pins.empty());
    if (!shaken && notes.alert_read == 0 && judged && verified != openssl::v_ok)
        return {reason::bad_certificate, static_cast<int>(verified)};
    const int alert = notes.alert_read ? notes.alert_read : notes.alert_written;
    const bool of_keys = !shaken && notes.by.uses_keys();
    switch (alert) {
        case 47:   // illegal_parameter: a binder that was made with another key
        case 109:  // missing_extension: a greeting without a key
            return {of_keys ? reason::wrong_key : reason::protocol_error};
        case 40:  // handshake_failure
        case 42:  // this and those that follow are about certificates
        case 43:
        case 44:
        case 45:
        case 46:
        case 48:
        case 49:   // access_denied
        case 51:   // decrypt_error
        case 115:  // unknown_psk_identity
        case 116:  // certificate_required
            if (of_keys) return {reason::wrong_key};
            return {reason::auth_failed, alert};
        default:
            return {reason::protocol_error};
    }
}

tls_refusal tls_refusal_of(const tls_notes& notes, error why, const std::string& name) {
    tls_refusal r;
    r.why = why;
    r.server = notes.by.options().server;
    r.name = name;
    r.key_id = notes.key_id;
    r.detail = tls_error_text(notes.by.call());
    if (why.why == reason::wrong_key && r.server && !notes.key_id.empty() && !notes.key_known)
        r.detail = "no key of that id";
    if (why.why == reason::bad_certificate) r.pin = notes.pin;
    return r;
}

}  // namespace libp
