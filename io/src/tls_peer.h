#pragma once

// Who the peer of a TLS connection has to be, who it has proved to be, and what became of it when
// it did not. Private to io.

#include <libp/error.h>

#include <string>

#include "tls_settings.h"

namespace libp {

// Client: has the server's name sent, and checked where the credentials demand one. False: no
// server can have that name.
bool expect_tls_name(const tls_notes& notes, ssl_st* connection, const std::string& name);

// After the handshake, as io_pipe::peer_identity has it.
std::string tls_peer_identity(const tls_notes& notes, const ssl_st* connection);

// What became of the handshake, or of a connection after it (`shaken`), by the alerts of both ends
// and the certificate's verification.
error why_tls_failed(const tls_notes& notes, const ssl_st* connection, bool shaken);

// For logs: called before anything else of OpenSSL is, so that its words are those of this failure.
tls_refusal tls_refusal_of(const tls_notes& notes, error why, const std::string& name);

}  // namespace libp
