#pragma once

// OpenSSL as this project knows it: the functions and constants it uses, declared by hand, so that
// building needs no header of its and running finds whichever version the system has
// (tls_library.h).
//
// OPENSSL_FUNCTIONS is the one source: the table of pointers, the look-up by name, and the test
// that compares every prototype with the real header's are made from it. Names, and the numbers
// below, are OpenSSL's own; the numbers are macros in its headers and part of its binary interface
// since 1.1.1. The struct tags are at global scope because that is where OpenSSL has them.

#include <cstddef>
#include <cstdint>

struct bio_method_st;
struct bio_st;
struct engine_st;
struct evp_md_st;
struct ossl_init_settings_st;
struct ssl_cipher_st;
struct ssl_ctx_st;
struct ssl_method_st;
struct ssl_session_st;
struct ssl_st;
struct x509_st;
struct x509_store_ctx_st;
struct X509_name_st;
struct X509_pubkey_st;
struct X509_VERIFY_PARAM_st;

namespace libp::openssl {

using alpn_select_call = int (*)(ssl_st*, const unsigned char** out, unsigned char* out_size,
                                 const unsigned char* in, unsigned int in_size, void* user);
using info_call = void (*)(const ssl_st*, int where, int value);
using password_call = int (*)(char*, int, int, void*);
using psk_find_call = int (*)(ssl_st*, const unsigned char* id, std::size_t id_size,
                              ssl_session_st** found);
using psk_use_call = int (*)(ssl_st*, const evp_md_st*, const unsigned char** id,
                             std::size_t* id_size, ssl_session_st** session);
using verify_all_call = int (*)(x509_store_ctx_st*, void* user);
using verify_call = int (*)(int, x509_store_ctx_st*);

// clang-format off
#define OPENSSL_FUNCTIONS(F) \
    /* the library */ \
    F(int, OPENSSL_init_ssl, (std::uint64_t, const ossl_init_settings_st*)) \
    F(unsigned long, OpenSSL_version_num, (void)) \
    F(const char*, OpenSSL_version, (int)) \
    F(unsigned long, ERR_peek_error, (void)) \
    F(void, ERR_clear_error, (void)) \
    F(void, ERR_error_string_n, (unsigned long, char*, std::size_t)) \
    /* contexts */ \
    F(const ssl_method_st*, TLS_client_method, (void)) \
    F(const ssl_method_st*, TLS_server_method, (void)) \
    F(ssl_ctx_st*, SSL_CTX_new, (const ssl_method_st*)) \
    F(void, SSL_CTX_free, (ssl_ctx_st*)) \
    F(long, SSL_CTX_ctrl, (ssl_ctx_st*, int, long, void*)) \
    F(std::uint64_t, SSL_CTX_set_options, (ssl_ctx_st*, std::uint64_t)) \
    F(int, SSL_CTX_set_ciphersuites, (ssl_ctx_st*, const char*)) \
    F(int, SSL_CTX_set_num_tickets, (ssl_ctx_st*, std::size_t)) \
    F(int, SSL_CTX_set_session_id_context, (ssl_ctx_st*, const unsigned char*, unsigned int)) \
    F(void, SSL_CTX_set_info_callback, (ssl_ctx_st*, info_call)) \
    F(int, SSL_CTX_set_alpn_protos, (ssl_ctx_st*, const unsigned char*, unsigned int)) \
    F(void, SSL_CTX_set_alpn_select_cb, (ssl_ctx_st*, alpn_select_call, void*)) \
    F(int, SSL_select_next_proto, (unsigned char**, unsigned char*, const unsigned char*, \
                                  unsigned int, const unsigned char*, unsigned int)) \
    /* who we are */ \
    F(void, SSL_CTX_set_default_passwd_cb, (ssl_ctx_st*, password_call)) \
    F(int, SSL_CTX_use_certificate_chain_file, (ssl_ctx_st*, const char*)) \
    F(int, SSL_CTX_use_PrivateKey_file, (ssl_ctx_st*, const char*, int)) \
    F(int, SSL_CTX_check_private_key, (const ssl_ctx_st*)) \
    /* who the peer is */ \
    F(int, SSL_CTX_load_verify_locations, (ssl_ctx_st*, const char*, const char*)) \
    F(int, SSL_CTX_set_default_verify_paths, (ssl_ctx_st*)) \
    F(void, SSL_CTX_set_verify, (ssl_ctx_st*, int, verify_call)) \
    F(void, SSL_CTX_set_cert_verify_callback, (ssl_ctx_st*, verify_all_call, void*)) \
    F(int, SSL_set1_host, (ssl_st*, const char*)) \
    F(void, SSL_set_hostflags, (ssl_st*, unsigned int)) \
    F(X509_VERIFY_PARAM_st*, SSL_get0_param, (ssl_st*)) \
    F(int, X509_VERIFY_PARAM_set1_ip_asc, (X509_VERIFY_PARAM_st*, const char*)) \
    F(long, SSL_get_verify_result, (const ssl_st*)) \
    F(const char*, X509_verify_cert_error_string, (long)) \
    F(int, X509_verify_cert, (x509_store_ctx_st*)) \
    F(x509_st*, X509_STORE_CTX_get0_cert, (const x509_store_ctx_st*)) \
    F(void, X509_STORE_CTX_set_error, (x509_store_ctx_st*, int)) \
    F(x509_st*, SSL_get1_peer_certificate, (const ssl_st*)) \
    F(void, X509_free, (x509_st*)) \
    F(X509_name_st*, X509_get_subject_name, (const x509_st*)) \
    F(char*, X509_NAME_oneline, (const X509_name_st*, char*, int)) \
    F(X509_pubkey_st*, X509_get_X509_PUBKEY, (const x509_st*)) \
    F(int, i2d_X509_PUBKEY, (const X509_pubkey_st*, unsigned char**)) \
    F(int, EVP_Digest, (const void*, std::size_t, unsigned char*, unsigned int*, const evp_md_st*, \
                       engine_st*)) \
    F(const evp_md_st*, EVP_sha256, (void)) \
    /* shared keys */ \
    F(void, SSL_CTX_set_psk_use_session_callback, (ssl_ctx_st*, psk_use_call)) \
    F(void, SSL_CTX_set_psk_find_session_callback, (ssl_ctx_st*, psk_find_call)) \
    F(ssl_session_st*, SSL_SESSION_new, (void)) \
    F(void, SSL_SESSION_free, (ssl_session_st*)) \
    F(int, SSL_SESSION_set1_master_key, (ssl_session_st*, const unsigned char*, std::size_t)) \
    F(int, SSL_SESSION_set_cipher, (ssl_session_st*, const ssl_cipher_st*)) \
    F(int, SSL_SESSION_set_protocol_version, (ssl_session_st*, int)) \
    F(const ssl_cipher_st*, SSL_CIPHER_find, (ssl_st*, const unsigned char*)) \
    /* connections */ \
    F(ssl_st*, SSL_new, (ssl_ctx_st*)) \
    F(void, SSL_free, (ssl_st*)) \
    F(long, SSL_ctrl, (ssl_st*, int, long, void*)) \
    F(void, SSL_set_connect_state, (ssl_st*)) \
    F(void, SSL_set_accept_state, (ssl_st*)) \
    F(void, SSL_set_bio, (ssl_st*, bio_st*, bio_st*)) \
    F(int, SSL_do_handshake, (ssl_st*)) \
    F(int, SSL_read_ex, (ssl_st*, void*, std::size_t, std::size_t*)) \
    F(int, SSL_write_ex, (ssl_st*, const void*, std::size_t, std::size_t*)) \
    F(int, SSL_pending, (const ssl_st*)) \
    F(int, SSL_shutdown, (ssl_st*)) \
    F(int, SSL_get_error, (const ssl_st*, int)) \
    F(int, SSL_session_reused, (const ssl_st*)) \
    F(const char*, SSL_get_version, (const ssl_st*)) \
    F(const ssl_cipher_st*, SSL_get_current_cipher, (const ssl_st*)) \
    F(const char*, SSL_CIPHER_get_name, (const ssl_cipher_st*)) \
    F(void, SSL_get0_alpn_selected, (const ssl_st*, const unsigned char**, unsigned int*)) \
    /* what a connection stands on */ \
    F(bio_method_st*, BIO_meth_new, (int, const char*)) \
    F(void, BIO_meth_free, (bio_method_st*)) \
    F(int, BIO_meth_set_write_ex, (bio_method_st*, \
                                  int (*)(bio_st*, const char*, std::size_t, std::size_t*))) \
    F(int, BIO_meth_set_read_ex, (bio_method_st*, \
                                  int (*)(bio_st*, char*, std::size_t, std::size_t*))) \
    F(int, BIO_meth_set_ctrl, (bio_method_st*, long (*)(bio_st*, int, long, void*))) \
    F(bio_st*, BIO_new, (const bio_method_st*)) \
    F(void, BIO_set_init, (bio_st*, int)) \
    F(void, BIO_set_flags, (bio_st*, int)) \
    F(void, BIO_clear_flags, (bio_st*, int))
// clang-format on

// Every function is there once a tls_library is usable.
struct functions {
#define OPENSSL_POINTER(result, name, arguments) result(*name) arguments = nullptr;
    OPENSSL_FUNCTIONS(OPENSSL_POINTER)
#undef OPENSSL_POINTER
};

// -- constants: NAME here is SSL_NAME, BIO_NAME, X509_NAME or TLS1_NAME there ---------------------

// SSL_CTX_ctrl and SSL_ctrl
inline constexpr int ctrl_mode = 33;
inline constexpr int ctrl_set_sess_cache_mode = 44;
inline constexpr int ctrl_set_tlsext_hostname = 55;
inline constexpr int ctrl_set_min_proto_version = 123;
inline constexpr int ctrl_set_max_proto_version = 124;
inline constexpr long mode_auto_retry = 4;
inline constexpr long mode_release_buffers = 0x10;
inline constexpr long sess_cache_off = 0;
inline constexpr long tls1_2_version = 0x303;
inline constexpr long tls1_3_version = 0x304;
inline constexpr long tlsext_nametype_host_name = 0;

inline constexpr std::uint64_t op_no_ticket = 0x4000;
inline constexpr std::uint64_t op_no_compression = 0x20000;
inline constexpr std::uint64_t op_cipher_server_preference = 0x400000;
inline constexpr std::uint64_t op_no_renegotiation = 0x40000000;

inline constexpr int verify_none = 0;
inline constexpr int verify_peer = 1;
inline constexpr int verify_fail_if_no_peer_cert = 2;
inline constexpr int filetype_pem = 1;
inline constexpr unsigned check_flag_no_partial_wildcards = 4;
inline constexpr int v_ok = 0;
inline constexpr int v_err_cert_rejected = 28;

inline constexpr int error_none = 0;
inline constexpr int error_ssl = 1;
inline constexpr int error_want_read = 2;
inline constexpr int error_want_write = 3;
inline constexpr int error_syscall = 5;
inline constexpr int error_zero_return = 6;

inline constexpr int tlsext_err_ok = 0;
inline constexpr int tlsext_err_alert_fatal = 2;
inline constexpr int npn_negotiated = 1;

inline constexpr int cb_read_alert = 0x4004;
inline constexpr int cb_write_alert = 0x4008;

inline constexpr int bio_ctrl_eof = 2;
inline constexpr int bio_ctrl_flush = 11;
inline constexpr int bio_type_source_sink = 0x400;
inline constexpr int bio_flags_read = 1;
inline constexpr int bio_flags_should_retry = 8;
inline constexpr int bio_flags_retry_all = 0xf;  // read, write, special, should_retry

}  // namespace libp::openssl
