#pragma once

// One connection as OpenSSL has it: plain bytes on this side, the pipe below (tls_wire) on the
// other. Private to io.
//
// It takes one step at a time and says what came of it. What that means for a pipe's flags is the
// pipe's business (pipe_tls.cc).

#include <libp/chain.h>

#include <string>

#include "tls_peer.h"
#include "tls_wire.h"

namespace libp {

class tls_connection {
  public:
    // wait: nothing more is to be had before something comes from below. closed: the peer said
    // close_notify.
    enum class outcome : std::uint8_t { done, wait, closed, failed };

    // `wire` outlives it. Client: `name` as tls_pipe_options has it.
    tls_connection(tls_wire& wire, const tls_credentials& credentials, const std::string& name);
    ~tls_connection();
    tls_connection(const tls_connection&) = delete;
    tls_connection& operator=(const tls_connection&) = delete;

    const tls_credentials& credentials() const noexcept { return notes_.by; }
    bool is_client() const noexcept { return !notes_.by.options().server; }

    // Client: has the server's name sent and checked. False: no server can have that name.
    bool expect_name();

    outcome shake();
    // Behind the handshake: whether the peer proved that it has the key, where keys are used.
    bool trusts() const;
    // ... and who it is.
    std::string identity() const { return tls_peer_identity(notes_, ssl_); }

    // At most `room` bytes, to the end of `to`. done: it was not enough room.
    outcome decrypt(block_pool& blocks, std::size_t room, chain& to);
    // Bytes that are decrypted and wait for decrypt().
    std::size_t pending() const noexcept;
    // Off the front of `from`, in records as full as they can be, until as much as `batch` waits on
    // the wire.
    outcome encrypt(chain& from, std::size_t batch);
    // Says close_notify.
    outcome close();

    // The peer said why it gives up.
    bool alerted() const noexcept { return notes_.alert_read != 0; }
    // What a step failed of: before the handshake was done, or behind it.
    error why_failed(bool shaken) const;
    tls_refusal refusal(error why) const { return tls_refusal_of(notes_, why, name_); }

  private:
    const openssl::functions& call() const noexcept { return notes_.by.call(); }
    outcome outcome_of(int result) const;

    tls_wire& wire_;
    tls_notes notes_;
    const std::string name_;
    ssl_st* ssl_;
};

}  // namespace libp
