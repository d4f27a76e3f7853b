#include <gtest/gtest.h>
#include <libp/shared_library.h>
#include <libp/tls_library.h>

#if __has_include(<openssl/ssl.h>)
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/tls1.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#define HAVE_OPENSSL_HEADERS 1
#else
#define HAVE_OPENSSL_HEADERS 0
#endif

namespace libp {
namespace {

TEST(tls_library_test, says_what_it_looked_for) {
    const tls_library none({"libssl-that-is-nowhere.so.7", "nor-this.so"});
    EXPECT_FALSE(none);
    EXPECT_NE(none.why().find("libssl-that-is-nowhere.so.7"), std::string::npos) << none.why();
    EXPECT_NE(none.why().find("nor-this.so"), std::string::npos) << none.why();
    EXPECT_EQ(none.version(), "");
}

TEST(tls_library_test, refuses_a_library_that_is_no_openssl) {
    const tls_library other({"libc.so.6"});
    EXPECT_FALSE(other);
    EXPECT_NE(other.why().find("libc.so.6: "), std::string::npos) << other.why();
}

TEST(tls_library_test, names_the_one_in_use) {
    const tls_library library;
    if (!library) GTEST_SKIP() << library.why();
    EXPECT_EQ(library.version().find("OpenSSL "), 0u) << library.version();
    EXPECT_NE(library.version().find("(libssl.so."), std::string::npos) << library.version();
    EXPECT_EQ(library.version().find("beside another"), std::string::npos) << library.version();
    EXPECT_NE(library.call().SSL_new, nullptr);
    EXPECT_EQ(library.why(), "");
}

TEST(tls_library_test, a_bad_name_before_a_good_one_does_no_harm) {
    if (const tls_library usual; !usual) GTEST_SKIP() << usual.why();
    std::vector<std::string> names = tls_library::usual_names();
    names.insert(names.begin(), {"libc.so.6", "no-such-thing.so"});
    const tls_library library(names);
    EXPECT_TRUE(library) << library.why();
}

TEST(shared_library_test, finds_what_the_program_shares) {
    EXPECT_NE(shared_library::in_program("memcpy"), nullptr);
    EXPECT_EQ(shared_library::in_program("no_such_function_anywhere"), nullptr);
}

TEST(shared_library_test, finds_functions_by_name) {
    std::string why;
    const shared_library missing = shared_library::open("no-such-thing.so", why);
    EXPECT_FALSE(missing);
    EXPECT_NE(why, "");
    EXPECT_EQ(missing.symbol("memcpy"), nullptr);
}

#if HAVE_OPENSSL_HEADERS

// A type without the const of what it points to: newer versions have added some.
template <class T>
struct bare {
    using type = T;
};
template <class T>
struct bare<T*> {
    using type = typename bare<std::remove_const_t<T>>::type*;
};
template <class R, class... A>
struct bare<R(A...)> {
    using type = typename bare<R>::type(typename bare<A>::type...);
};

template <class Ours, class Theirs>
constexpr bool same = std::is_same_v<typename bare<Ours>::type, typename bare<Theirs>::type>;

#if OPENSSL_VERSION_NUMBER < 0x30000000L
#define SSL_get1_peer_certificate SSL_get_peer_certificate
#endif
#define COMPARE(result, name, arguments)                                       \
    static_assert(same<decltype(openssl::functions::name), decltype(&::name)>, \
                  "the prototype of " #name " differs from the header's");
OPENSSL_FUNCTIONS(COMPARE)
#undef COMPARE

namespace o = openssl;
static_assert(o::ctrl_mode == SSL_CTRL_MODE);
static_assert(o::ctrl_set_sess_cache_mode == SSL_CTRL_SET_SESS_CACHE_MODE);
static_assert(o::ctrl_set_tlsext_hostname == SSL_CTRL_SET_TLSEXT_HOSTNAME);
static_assert(o::ctrl_set_min_proto_version == SSL_CTRL_SET_MIN_PROTO_VERSION);
static_assert(o::ctrl_set_max_proto_version == SSL_CTRL_SET_MAX_PROTO_VERSION);
static_assert(o::mode_auto_retry == SSL_MODE_AUTO_RETRY);
static_assert(o::mode_release_buffers == SSL_MODE_RELEASE_BUFFERS);
static_assert(o::sess_cache_off == SSL_SESS_CACHE_OFF);
static_assert(o::tls1_2_version == TLS1_2_VERSION);
static_assert(o::tls1_3_version == TLS1_3_VERSION);
static_assert(o::tlsext_nametype_host_name == TLSEXT_NAMETYPE_host_name);
static_assert(o::op_no_ticket == SSL_OP_NO_TICKET);
static_assert(o::op_no_compression == SSL_OP_NO_COMPRESSION);
static_assert(o::op_cipher_server_preference == SSL_OP_CIPHER_SERVER_PREFERENCE);
static_assert(o::op_no_renegotiation == SSL_OP_NO_RENEGOTIATION);
static_assert(o::verify_none == SSL_VERIFY_NONE);
static_assert(o::verify_peer == SSL_VERIFY_PEER);
static_assert(o::verify_fail_if_no_peer_cert == SSL_VERIFY_FAIL_IF_NO_PEER_CERT);
static_assert(o::filetype_pem == SSL_FILETYPE_PEM);
static_assert(o::check_flag_no_partial_wildcards == X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
static_assert(o::v_ok == X509_V_OK);
static_assert(o::v_err_cert_rejected == X509_V_ERR_CERT_REJECTED);
static_assert(o::error_none == SSL_ERROR_NONE && o::error_ssl == SSL_ERROR_SSL);
static_assert(o::error_want_read == SSL_ERROR_WANT_READ);
static_assert(o::error_want_write == SSL_ERROR_WANT_WRITE);
static_assert(o::error_syscall == SSL_ERROR_SYSCALL);
static_assert(o::error_zero_return == SSL_ERROR_ZERO_RETURN);
static_assert(o::tlsext_err_ok == SSL_TLSEXT_ERR_OK);
static_assert(o::tlsext_err_alert_fatal == SSL_TLSEXT_ERR_ALERT_FATAL);
static_assert(o::npn_negotiated == OPENSSL_NPN_NEGOTIATED);
static_assert(o::cb_read_alert == SSL_CB_READ_ALERT);
static_assert(o::cb_write_alert == SSL_CB_WRITE_ALERT);
static_assert(o::bio_ctrl_eof == BIO_CTRL_EOF && o::bio_ctrl_flush == BIO_CTRL_FLUSH);
static_assert(o::bio_type_source_sink == BIO_TYPE_SOURCE_SINK);
static_assert(o::bio_flags_read == BIO_FLAGS_READ);
static_assert(o::bio_flags_should_retry == BIO_FLAGS_SHOULD_RETRY);
static_assert(o::bio_flags_retry_all ==
              (BIO_FLAGS_READ | BIO_FLAGS_WRITE | BIO_FLAGS_IO_SPECIAL | BIO_FLAGS_SHOULD_RETRY));

TEST(openssl_header_test, declares_what_the_real_headers_do) {
    SUCCEED() << "compared while compiling";
}

#else

TEST(openssl_header_test, declares_what_the_real_headers_do) {
    GTEST_SKIP() << "no OpenSSL headers here to compare with";
}

#endif

}  // namespace
}  // namespace libp
