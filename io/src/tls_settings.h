#pragma once

// What OpenSSL is told once for all connections of a tls_credentials, and what its callbacks learn
// of one connection. Private to io.

#include <libp/tls_credentials.h>

#include <optional>
#include <string>
#include <utility>

namespace libp {

// What OpenSSL reads from and writes to.
class tls_transport {
  public:
    // Copies what there is, up to `size` bytes; 0: nothing now, or never again (see ended()).
    virtual std::size_t take(char* to, std::size_t size) = 0;
    virtual bool ended() const = 0;
    // Takes it all; false: it is too much.
    virtual bool give(bytes data) = 0;

  protected:
    ~tls_transport() = default;
};

// Of one connection.
struct tls_notes {
    const tls_credentials& by;
    tls_transport& transport;
    int alert_read = 0;  // the last one each way; 0: none
    int alert_written = 0;
    std::optional<tls_pin> pin{};  // of the certificate that the peer showed
    std::string key_id{};          // server: which key the client named
    bool key_known = false;
};

// Around every call that may call back: some of OpenSSL's callbacks are given nothing that leads to
// our object, so the connection that this thread is inside of is noted here.
class tls_call_scope {
  public:
    explicit tls_call_scope(tls_notes& notes) noexcept : outer_(std::exchange(current_, &notes)) {}
    ~tls_call_scope() { current_ = outer_; }
    tls_call_scope(const tls_call_scope&) = delete;
    tls_call_scope& operator=(const tls_call_scope&) = delete;

    static tls_notes& current() noexcept { return *current_; }

  private:
    static thread_local tls_notes* current_;
    tls_notes* outer_;
};

// A BIO method whose BIOs read and write by the current connection's transport.
bio_method_st* make_tls_transport_method(const openssl::functions& call);

// nullptr: `wrong` says why.
ssl_ctx_st* make_tls_settings(const tls_credentials& of, tls_fault& wrong);

// Of a file that the system does not let us read: why, in its own words.
tls_fault tls_unreadable(const std::string& file, int os_errno);

// The newest of OpenSSL's reasons, in its words without its numbers: "tlsv1 alert unknown ca".
std::string tls_error_text(const openssl::functions& call);

}  // namespace libp
