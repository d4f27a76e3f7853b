#pragma once

// A stream of a session, or a flow of datagrams, as an io_pipe. It holds no bytes while it lives:
// they are in the engine until recv() takes them, and again once send() took them. When it breaks
// it keeps what had arrived in order.
//
// Life of one that we open: it waits for a session (on its node's list), is bound to one when the
// engine has opened it, and takes bytes from then on; is ready when the far end accepted, and lets
// go of the session when both directions have ended or it broke. One that the peer opened begins
// bound and becomes ready, and takes bytes, by accept().

#include <libp/event_loop.h>
#include <libp/list.h>
#include <libp/pipe_state.h>
#include <libp/stripe/node.h>

#include <memory>

namespace libp::stripe {

class session;

class striped_stream final : public stream_pipe {
  public:
    striped_stream(event_loop& loop, const open_request& request) noexcept
        : state_(loop), datagrams_(request.datagrams), ttl_(request.ttl) {}
    ~striped_stream() override;

    io_kind kind() const noexcept override {
        return datagrams_ ? io_kind::datagram : io_kind::stream;
    }
    std::size_t max_datagram() const noexcept override;
    void attach(io_handler handler) override { state_.attach(handler); }
    io_flags state() const noexcept override { return state_.levels(); }
    io_result recv(chain& to, std::size_t max) override;
    io_result send(chain& from) override;
    void send_fin() override;
    void reset() override;
    error why() const noexcept override { return state_.why(); }
    void describe(std::string& out) const override;

    void accept() override;
    void refuse(error why) override;
    std::uint32_t session_number() const noexcept override { return session_number_; }
    compact_address peer() const noexcept override;

    // -- what its node and session do with it ------------------------------------------------

    // Of ours: what it asks for, until it is ready. It breaks if that takes longer than `most`: for
    // `trouble` (or session_lost) where it has no session by then, timed_out where the far end has
    // not answered.
    void ask(open_request request, duration most, const error& trouble);
    const open_request& request() const noexcept { return wish_->request; }
    // `ours`: we asked for it; the far end has to accept.
    void bind(session& to, stream_id id, bool ours);

    void on_ready();
    void on_readable();
    void on_writable();
    void on_fin_acked();
    // The session has forgotten it already. `unread` had arrived before.
    void on_broken(error why, chain unread);
    // The same, but nothing is missing: behind `unread` comes its end.
    void on_completed(chain unread);

    std::size_t unread() const noexcept { return unread_.size(); }

    // On its node's list while it waits for a session, or has bytes left from one that is over.
    list_hook hook;

  private:
    struct wish {
        open_request request;
        const error& trouble;
        timer late;
    };
    void on_late();
    io_result send_datagram(chain& from);
    io_result recv_broken(chain& to, std::size_t max);
    io_result recv_completed(chain& to, std::size_t max);
    void let_go() noexcept;
    void ended_one_way() noexcept;

    pipe_state state_;
    const bool datagrams_;
    const duration ttl_;
    session* session_ = nullptr;  // none: not bound yet, over, or broken
    std::unique_ptr<wish> wish_;  // while it is neither ready nor broken
    chain unread_;
    stream_id id_ = 0;
    std::uint32_t session_number_ = 0;
    bool ours_ = true;
    bool early_data_ = false;  // readable before ready
    bool completed_ = false;   // unread_, and then the end
};

}  // namespace libp::stripe
