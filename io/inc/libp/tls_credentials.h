#pragma once

// What one end of TLS connections has to show and what it demands of the other: certificates,
// authorities, pinned keys, shared keys. Made once, at start-up, from files; many pipes use it,
// each holding what was current when it was made.
//
//  -- who may talk to whom --
//
//     client       verifies the server's certificate by `authorities` and by name; or, with pins,
//                  takes exactly the public keys that are pinned, whoever certified them and
//                  whatever names they have; or, not verifying, takes anyone
//     server       shows a certificate. Demands one from the client when there are
//                  client_authorities, or pins, to check it by
//     shared keys  no certificates: TLS 1.3 with a pre-shared key and an ephemeral Diffie-Hellman
//                  exchange, so that a key which is stolen later opens no recorded traffic. A
//                  client uses the first key of its file; a server takes any of its, and knows each
//                  client by the id of its key
//
// TLS 1.3 alone unless 1.2 is asked for. No renegotiation, compression, tickets, resumption or
// early data.
//
// Files are read when the object is made, and again by reload(); when that fails what was current
// stays. A file of shared keys that every user of the system may read is refused.

#include <libp/delegate.h>
#include <libp/error.h>
#include <libp/tls_key.h>
#include <libp/tls_library.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace libp {

struct tls_options {
    bool server = false;
    std::string certificate{};  // PEM file: our own, and what leads from it to an authority
    std::string private_key{};  // PEM file; empty: the certificate's file has it
    std::string authorities{};  // client: PEM file or folder of whom to trust; empty: the system's
    // Server: the same for clients' certificates; empty: none is demanded.
    std::string client_authorities{};
    std::vector<tls_pin> pins{};
    bool verify = true;  // client: check the server's certificate at all; a pin is checked always
    // File of tls_key lines; all of the above but `server` is then nothing.
    std::string shared_keys{};
    std::string protocol{};  // ALPN: what is spoken inside; empty: not said
    bool allow_tls12 = false;
};

// Why credentials cannot be had: for people, with the file's name, without any secret.
struct tls_fault {
    std::string what{};        // "/etc/x.pem: permission denied"
    bool exposed = false;      // a key file that everybody may read
    bool not_allowed = false;  // a file that this process may not read
};

// A handshake that failed, for logs: what a pipe's error cannot hold.
struct tls_refusal {
    error why{};
    bool server = false;         // we are
    std::string peer;            // which connection: the pipe below, described
    std::string name;            // client: who the server was to be
    std::string key_id;          // server: the shared key that the client named
    std::string detail;          // in OpenSSL's words
    std::optional<tls_pin> pin;  // of a certificate that did not verify
};

class tls_credentials {
  public:
    using refusal_handler = delegate<void(const tls_refusal&)>;

    // nullptr: `wrong` says why. The library is usable and outlives this, this outlives its pipes.
    static std::unique_ptr<tls_credentials> make(const tls_library& library,
                                                 const tls_options& options, tls_fault& wrong);
    ~tls_credentials();
    tls_credentials(const tls_credentials&) = delete;
    tls_credentials& operator=(const tls_credentials&) = delete;

    // Reads the files again. Connections there are go on with what they began with. False: nothing
    // has changed.
    bool reload(tls_fault& wrong);
    // Called, from the loop, whenever a handshake of a pipe with these credentials fails. May not
    // touch the pipe.
    void on_refusal(refusal_handler call) noexcept { refused_ = call; }

    const tls_options& options() const noexcept { return options_; }
    // A server that lets in only clients that prove who they are, by a shared key or a certificate.
    bool knows_clients() const noexcept;
    // A client that verifies by authorities has to know the server's name.
    bool needs_name() const noexcept;

    // -- for its pipes -----------------------------------------------------------------------

    const openssl::functions& call() const noexcept { return library_.call(); }
    // The current settings; a connection made from them keeps them alive.
    ssl_ctx_st* settings() const noexcept { return settings_; }
    // How OpenSSL reaches the pipe below.
    const bio_method_st* transport() const noexcept { return transport_; }
    const tls_key* find_key(std::string_view id) const noexcept;
    const tls_key* first_key() const noexcept { return keys_.empty() ? nullptr : &keys_[0]; }
    // A secret that no peer has.
    const tls_key& nobodys_key() const noexcept { return nobodys_key_; }
    bool uses_keys() const noexcept { return !options_.shared_keys.empty(); }
    // How many pipes with these credentials there are: each is counted from its making to its end.
    std::size_t pipes() const noexcept { return pipes_; }
    void count_pipe() const noexcept { ++pipes_; }
    void discount_pipe() const noexcept { --pipes_; }
    void refused(const tls_refusal& what) const {
        if (refused_) refused_(what);
    }

  private:
    tls_credentials(const tls_library& library, const tls_options& options);

    const tls_library& library_;
    const tls_options options_;
    bio_method_st* const transport_;
    ssl_ctx_st* settings_ = nullptr;
    std::vector<tls_key> keys_;
    tls_key nobodys_key_;
    mutable std::size_t pipes_ = 0;
    refusal_handler refused_;
};

}  // namespace libp
