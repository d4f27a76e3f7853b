#pragma once

// The pipe below a TLS connection as OpenSSL sees it: what came from there and is not decrypted
// yet, and what is encrypted and has not left. Private to io.
//
// Datagrams below are a stream to it: each is sent as full as it may be, and what comes in them is
// strung together. One without a byte is no part of any stream and counts as an end by a break.

#include <libp/event_loop.h>
#include <libp/io_pipe.h>

#include <memory>

#include "tls_record.h"
#include "tls_settings.h"

namespace libp {

class tls_wire final : public tls_transport {
  public:
    tls_wire(event_loop& loop, std::unique_ptr<io_pipe> lower)
        : loop_(loop), lower_(std::move(lower)) {}

    io_pipe& lower() noexcept { return *lower_; }
    const io_pipe& lower() const noexcept { return *lower_; }

    // -- from below --

    std::size_t take(char* to, std::size_t size) override;
    bool ended() const override { return over_; }
    // Reads once from below, if there is anything and it is allowed.
    void refill();
    // So much may be read until this is said again: of what means nothing to the consumer (key
    // updates, alerts) OpenSSL would read and work through as much as the peer cares to send.
    void allow(std::size_t size) noexcept { allowed_ = size; }
    std::size_t received() const noexcept { return in_.size(); }
    bool more_at_hand() const noexcept {
        return !in_.empty() || over_ || lower_->has(io_flag::readable);
    }
    // The first bytes that came are not those of a TLS record.
    bool strange() const noexcept { return first_size_ == sizeof first_ && !is_tls_record(first_); }
    // Nothing comes any more, and all that came is decrypted.
    bool drained() const noexcept { return over_ && in_.empty(); }
    // Of the end: the break's reason; none: it was a FIN, or there was no end yet.
    error why_ended() const noexcept { return why_; }
    void drop_received() noexcept { in_.clear(); }

    // -- to below --

    bool give(bytes data) override;
    // So much will be given next: one block for it all.
    void reserve(std::size_t size) noexcept { reserve_ = size; }
    std::size_t unsent() const noexcept { return out_.size(); }
    // Passes down what is taken there. An error: of the pipe below, which broke.
    error flush();
    void drop_unsent() noexcept { out_.clear(); }

  private:
    event_loop& loop_;
    std::unique_ptr<io_pipe> lower_;
    chain in_;   // received and not yet decrypted
    chain out_;  // encrypted and not yet sent
    std::uint8_t first_[2] = {};
    std::size_t first_size_ = 0;
    std::size_t reserve_ = 0;
    std::size_t allowed_ = 0;
    error why_{};
    bool over_ = false;  // nothing more comes from below, but what is in in_
};

}  // namespace libp
