#include "tls_settings.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <new>

namespace libp {
namespace {

using openssl::functions;

// AES-128 first: a byte of it costs less than of any other where the processor knows AES. Those of
// shared keys are the ones whose hash is SHA-256: a key belongs to one hash.
constexpr const char* suites =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr const char* key_suites = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256";
constexpr unsigned char key_cipher[] = {0x13, 0x01};  // TLS_AES_128_GCM_SHA256
constexpr unsigned char session_scope[] = {'l', 'i', 'b', 'p'};

// -- what OpenSSL calls back ----------------------------------------------------------------------

int no_password(char*, int, int, void*) {
    return 0;  // rather than to ask at the terminal
}

void note_alert(const ssl_st*, int where, int value) {
    const int alert = value & 0xff;
    if (alert == 0) return;  // close_notify
    if (where == openssl::cb_read_alert) tls_call_scope::current().alert_read = alert;
    if (where == openssl::cb_write_alert) tls_call_scope::current().alert_written = alert;
}

std::string protocol_list(const std::string& name) {
    return static_cast<char>(name.size()) + name;
}

int select_protocol(ssl_st*, const unsigned char** out, unsigned char* out_size,
                    const unsigned char* in, unsigned int in_size, void*) {
    const tls_credentials& by = tls_call_scope::current().by;
    const std::string ours = protocol_list(by.options().protocol);
    // What it selects is a place in the first list, which outlives this call: the client's.
    unsigned char* selected = nullptr;
    const int found = by.call().SSL_select_next_proto(
        &selected, out_size, in, in_size, reinterpret_cast<const unsigned char*>(ours.data()),
        static_cast<unsigned>(ours.size()));
    if (found != openssl::npn_negotiated) return openssl::tlsext_err_alert_fatal;
    *out = selected;
    return openssl::tlsext_err_ok;
}

std::optional<tls_pin> pin_of(const functions& call, x509_st* certificate) {
    if (!certificate) return std::nullopt;
    X509_pubkey_st* key = call.X509_get_X509_PUBKEY(certificate);
    const int size = call.i2d_X509_PUBKEY(key, nullptr);
    if (size <= 0) return std::nullopt;
    std::vector<unsigned char> der(static_cast<std::size_t>(size));
    unsigned char* end = der.data();
    call.i2d_X509_PUBKEY(key, &end);
    tls_pin pin;
    unsigned int got = 0;
    if (call.EVP_Digest(der.data(), der.size(), pin.sha256.data(), &got, call.EVP_sha256(),
                        nullptr) != 1)
        return std::nullopt;
    return pin;
}

// In the place of OpenSSL's own verification, which it may go on to: here the certificate is at
// hand whether it will do or not.
int verify_certificate(x509_store_ctx_st* chain, void*) {
    tls_notes& notes = tls_call_scope::current();
    const functions& call = notes.by.call();
    notes.pin = pin_of(call, call.X509_STORE_CTX_get0_cert(chain));
    const std::vector<tls_pin>& pins = notes.by.options().pins;
    if (pins.empty()) return call.X509_verify_cert(chain);
    const bool known = notes.pin && std::ranges::find(pins, *notes.pin) != pins.end();
    call.X509_STORE_CTX_set_error(chain, known ? openssl::v_ok : openssl::v_err_cert_rejected);
    return known ? 1 : 0;
}

// The key as OpenSSL wants it: a session to be resumed.
ssl_session_st* session_of(const functions& call, ssl_st* connection, const tls_key& key) {
    ssl_session_st* session = call.SSL_SESSION_new();
    const ssl_cipher_st* cipher = call.SSL_CIPHER_find(connection, key_cipher);
    if (session && cipher &&
        call.SSL_SESSION_set1_master_key(session, key.secret.data(), key.secret.size()) == 1 &&
        call.SSL_SESSION_set_cipher(session, cipher) == 1 &&
        call.SSL_SESSION_set_protocol_version(session, openssl::tls1_3_version) == 1)
        return session;
    call.SSL_SESSION_free(session);
    return nullptr;
}

// Client.
int use_key(ssl_st* connection, const evp_md_st*, const unsigned char** id, std::size_t* id_size,
            ssl_session_st** session) {
    const tls_credentials& by = tls_call_scope::current().by;
    const tls_key* key = by.first_key();
    *session = key ? session_of(by.call(), connection, *key) : nullptr;
    if (!*session) return 0;
    *id = reinterpret_cast<const unsigned char*>(key->id.data());
    *id_size = key->id.size();
    return 1;
}

// Server. An id that nobody has stands for a key that nobody has: what a stranger is told is the
// same, so that he does not learn which ids there are.
int find_key(ssl_st* connection, const unsigned char* id, std::size_t id_size,
             ssl_session_st** found) {
    tls_notes& notes = tls_call_scope::current();
    notes.key_id.assign(reinterpret_cast<const char*>(id), id_size);
    const tls_key* key = notes.by.find_key(notes.key_id);
    notes.key_known = key != nullptr;
    *found = session_of(notes.by.call(), connection, key ? *key : notes.by.nobodys_key());
    return *found ? 1 : 0;
}

int transport_read(bio_st* bio, char* to, std::size_t size, std::size_t* got) {
    const tls_notes& notes = tls_call_scope::current();
    const functions& call = notes.by.call();
    call.BIO_clear_flags(bio, openssl::bio_flags_retry_all);
    *got = notes.transport.take(to, size);
    if (*got > 0) return 1;
    if (!notes.transport.ended())
        call.BIO_set_flags(bio, openssl::bio_flags_read | openssl::bio_flags_should_retry);
    return 0;
}

int transport_write(bio_st* bio, const char* from, std::size_t size, std::size_t* taken) {
    const tls_notes& notes = tls_call_scope::current();
    notes.by.call().BIO_clear_flags(bio, openssl::bio_flags_retry_all);
    const bytes data(reinterpret_cast<const std::uint8_t*>(from), size);
    *taken = notes.transport.give(data) ? size : 0;
    return *taken > 0 ? 1 : 0;
}

long transport_control(bio_st*, int what, long, void*) {
    if (what == openssl::bio_ctrl_flush) return 1;
    if (what == openssl::bio_ctrl_eof) return tls_call_scope::current().transport.ended() ? 1 : 0;
    return 0;
}

// -- the settings ---------------------------------------------------------------------------------

// Builds one ssl_ctx. Every step returns false once `fault` is set.
class settings_builder {
  public:
    settings_builder(const tls_credentials& of, tls_fault& fault)
        : of_(of), options_(of.options()), call_(of.call()), fault_(fault) {}

    ssl_ctx_st* run();

  private:
    bool fail(tls_fault why) {
        fault_ = std::move(why);
        return false;
    }
    bool fail(std::string what) { return fail(tls_fault{.what = std::move(what)}); }
    bool must(bool done, const char* what) {
        return done || fail(std::string(what) + ": " + tls_error_text(call_));
    }
    bool set_up();
    bool take_keys();
    bool take_certificate();
    bool may_read(const std::string& file, bool folder_too);
    bool trust();
    bool trust_file(const std::string& file);
    bool set_protocol();

    const tls_credentials& of_;
    const tls_options& options_;
    const functions& call_;
    tls_fault& fault_;
    ssl_ctx_st* made_ = nullptr;
};

ssl_ctx_st* settings_builder::run() {
    call_.ERR_clear_error();
    made_ =
        call_.SSL_CTX_new(options_.server ? call_.TLS_server_method() : call_.TLS_client_method());
    if (!made_) {
        fail("no TLS settings can be made: " + tls_error_text(call_));
        return nullptr;
    }
    if (set_up() && (of_.uses_keys() ? take_keys() : take_certificate() && trust()) &&
        set_protocol())
        return made_;
    call_.SSL_CTX_free(made_);
    return nullptr;
}

bool settings_builder::set_up() {
    using namespace openssl;
    call_.SSL_CTX_set_options(made_, op_no_ticket | op_no_renegotiation | op_no_compression |
                                         op_cipher_server_preference);
    call_.SSL_CTX_ctrl(made_, ctrl_mode, mode_release_buffers | mode_auto_retry, nullptr);
    call_.SSL_CTX_ctrl(made_, ctrl_set_sess_cache_mode, sess_cache_off, nullptr);
    call_.SSL_CTX_set_info_callback(made_, note_alert);
    call_.SSL_CTX_set_default_passwd_cb(made_, no_password);
    const bool older = options_.allow_tls12 && !of_.uses_keys();
    const long least = older ? tls1_2_version : tls1_3_version;
    return must(call_.SSL_CTX_ctrl(made_, ctrl_set_min_proto_version, least, nullptr) == 1,
                "TLS 1.3 cannot be had") &&
           must(call_.SSL_CTX_set_ciphersuites(made_, of_.uses_keys() ? key_suites : suites) == 1,
                "cipher suites") &&
           must(call_.SSL_CTX_set_num_tickets(made_, 0) == 1, "tickets") &&
           // A client's would keep it from taking a shared key for a session.
           (!options_.server || must(call_.SSL_CTX_set_session_id_context(
                                         made_, session_scope, sizeof session_scope) == 1,
                                     "session id"));
}

// No certificate may take the place of the key: the server has none, and the client trusts
// nobody's.
bool settings_builder::take_keys() {
    if (options_.server) {
        call_.SSL_CTX_set_psk_find_session_callback(made_, find_key);
        return true;
    }
    call_.SSL_CTX_set_psk_use_session_callback(made_, use_key);
    call_.SSL_CTX_set_verify(made_, openssl::verify_peer, nullptr);
    return true;
}

// Before OpenSSL reads it, which says less. A folder can be opened, and then not be read.
bool settings_builder::may_read(const std::string& file, bool folder_too) {
    errno = 0;
    const std::ifstream in(file);
    if (!in) return fail(tls_unreadable(file, errno));
    std::error_code trouble;
    return folder_too || !std::filesystem::is_directory(file, trouble) ||
           fail(tls_unreadable(file, EISDIR));
}

bool settings_builder::take_certificate() {
    const std::string& certificate = options_.certificate;
    if (certificate.empty())
        return !options_.server || fail("a TLS server needs a certificate or a shared key");
    const std::string& key = options_.private_key.empty() ? certificate : options_.private_key;
    return may_read(certificate, false) && may_read(key, false) &&
           must(call_.SSL_CTX_use_certificate_chain_file(made_, certificate.c_str()) == 1,
                (certificate + ": no certificate").c_str()) &&
           must(call_.SSL_CTX_use_PrivateKey_file(made_, key.c_str(), openssl::filetype_pem) == 1,
                (key + ": no private key").c_str()) &&
           must(call_.SSL_CTX_check_private_key(made_) == 1,
                (key + ": not the certificate's key").c_str());
}

bool settings_builder::trust() {
    call_.SSL_CTX_set_cert_verify_callback(made_, verify_certificate, nullptr);
    if (options_.server) {
        if (options_.client_authorities.empty() && options_.pins.empty()) return true;
        call_.SSL_CTX_set_verify(made_, openssl::verify_peer | openssl::verify_fail_if_no_peer_cert,
                                 nullptr);
        return options_.client_authorities.empty() || trust_file(options_.client_authorities);
    }
    if (!options_.verify && options_.pins.empty()) return true;
    call_.SSL_CTX_set_verify(made_, openssl::verify_peer, nullptr);
    if (!options_.authorities.empty()) return trust_file(options_.authorities);
    return !options_.pins.empty() ||
           must(call_.SSL_CTX_set_default_verify_paths(made_) == 1, "the system's authorities");
}

bool settings_builder::trust_file(const std::string& file) {
    if (!may_read(file, true)) return false;
    std::error_code trouble;
    const bool folder = std::filesystem::is_directory(file, trouble);
    return must(call_.SSL_CTX_load_verify_locations(made_, folder ? nullptr : file.c_str(),
                                                    folder ? file.c_str() : nullptr) == 1,
                (file + ": no certificate").c_str());
}

bool settings_builder::set_protocol() {
    if (options_.protocol.empty()) return true;
    if (options_.server) {
        call_.SSL_CTX_set_alpn_select_cb(made_, select_protocol, nullptr);
        return true;
    }
    const std::string list = protocol_list(options_.protocol);
    // Of all these functions this one says 0 for success.
    return must(
        call_.SSL_CTX_set_alpn_protos(made_, reinterpret_cast<const unsigned char*>(list.data()),
                                      static_cast<unsigned>(list.size())) == 0,
        "protocol");
}

}  // namespace

thread_local tls_notes* tls_call_scope::current_ = nullptr;

bio_method_st* make_tls_transport_method(const functions& call) {
    bio_method_st* method = call.BIO_meth_new(openssl::bio_type_source_sink, "libp pipe");
    if (!method) throw std::bad_alloc();
    call.BIO_meth_set_read_ex(method, transport_read);
    call.BIO_meth_set_write_ex(method, transport_write);
    call.BIO_meth_set_ctrl(method, transport_control);
    return method;
}

ssl_ctx_st* make_tls_settings(const tls_credentials& of, tls_fault& wrong) {
    return settings_builder(of, wrong).run();
}

tls_fault tls_unreadable(const std::string& file, int os_errno) {
    const error why = error_from_errno(os_errno != 0 ? os_errno : EIO);
    return {.what = file + ": " + to_string(why), .not_allowed = why.why == reason::permission};
}

std::string tls_error_text(const functions& call) {
    const unsigned long number = call.ERR_peek_error();
    if (number == 0) return {};
    char text[256];
    call.ERR_error_string_n(number, text, sizeof text);
    // "error:0A000418:SSL routines::tlsv1 alert unknown ca"
    const std::string_view all(text);
    const std::size_t last = all.rfind(':');
    return std::string(last == all.npos ? all : all.substr(last + 1));
}

}  // namespace libp
