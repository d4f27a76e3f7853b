#pragma once

// What tests of TLS share: the library, certificates and keys made on the spot, and pairs of pipes
// with TLS between them.

#include <libp/pipe_tls.h>

#include <memory>
#include <string>

#include "support/pipe_pair.h"

namespace libp {

// A folder with certificates (tests/support/certificates.sh) and key files, removed at exit.
class tls_world {
  public:
    static tls_world& shared();

    // Why no test of TLS can run here; empty: they can. And those that need certificates.
    const std::string& missing() const noexcept { return library_.why(); }
    const std::string& missing_certificates() const noexcept { return no_certificates_; }

    const tls_library& library() const noexcept { return library_; }
    std::string file(const std::string& name) const { return folder_ + "/" + name; }
    // A key file of that text, for its owner only.
    std::string key_file(const std::string& name, const std::string& text) const;

    // Ends that share a key.
    const tls_credentials& key_client() const noexcept { return *key_client_; }
    const tls_credentials& key_server() const noexcept { return *key_server_; }

    // "server.pem" and "server.key" of the folder; nothing demanded.
    tls_options server(const std::string& name = "server") const;
    // Trusts "authority.pem".
    tls_options client() const;
    std::unique_ptr<tls_credentials> make(const tls_options& options) const;

  private:
    tls_world();
    ~tls_world();

    tls_library library_;
    std::string folder_, no_certificates_;
    std::unique_ptr<tls_credentials> key_client_, key_server_;
};

// A client and a server with a shared key over what `lower` makes.
pair_maker over_tls(pair_maker lower);

}  // namespace libp
