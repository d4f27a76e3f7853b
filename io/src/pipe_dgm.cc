#include <libp/assert.h>
#include <libp/endian.h>
#include <libp/pipe_dgm.h>
#include <libp/pipe_state.h>
#include <libp/varint.h>

#include <algorithm>
#include <utility>

#include "tls_record.h"

namespace libp {
namespace {

// Read from below at most this much at once.
constexpr std::size_t read_size = 256 * kib;

class dgm_pipe final : public io_pipe {
  public:
    dgm_pipe(event_loop& loop, std::unique_ptr<io_pipe> lower, const dgm_options& options);

    io_kind kind() const noexcept override { return io_kind::datagram; }
    std::size_t max_datagram() const noexcept override { return options_.max_datagram; }
    void attach(io_handler handler) override { state_.attach(handler); }
    io_flags state() const noexcept override { return state_.levels(); }
    error why() const noexcept override { return state_.why(); }
    void describe(std::string& out) const override {
        out += "dgm < ";
        lower_->describe(out);
    }
    std::string peer_identity() const override { return lower_->peer_identity(); }

    io_result recv(chain& to, std::size_t max) override;
    io_result send(chain& from) override;
    void send_fin() override;
    void reset() override;
    void keep_unsent(std::size_t bytes) override { lower_->keep_unsent(bytes); }
    bool get_tcp_state(tcp_state& to) const noexcept override { return lower_->get_tcp_state(to); }

  private:
    enum class input : std::uint8_t { open, fin, broken };  // what came behind the bytes in in_

    bool whole_datagram();
    bool is_tls_alert() const noexcept;
    bool is_tls_greeting(std::size_t size) const noexcept;
    void pull();
    void flush();
    void on_lower(io_flags risen);
    void follow_lower();
    void fail_with(error e);
    void give_up(error e);

    pipe_state state_;
    std::unique_ptr<io_pipe> lower_;
    const dgm_options options_;

    chain in_;  // received; if have_length_, begins with the body of the next datagram
    std::size_t length_ = 0;
    bool have_length_ = false;
    input input_ = input::open;
    bool fresh_ = true;     // no datagram has come
    bool greeted_ = false;  // the first was as a TLS client's greeting is

    chain out_;  // the rest of the datagram the lower pipe took only part of
};

dgm_pipe::dgm_pipe(event_loop& loop, std::unique_ptr<io_pipe> lower, const dgm_options& options)
    : state_(loop), lower_(std::move(lower)), options_(options) {
    check(lower_->kind() == io_kind::stream, "dgm needs a stream below");
    check(options_.max_datagram <= varint_max, "a datagram bound that no varint can say");
    lower_->attach(io_handler::to<&dgm_pipe::on_lower>(*this));
    follow_lower();
}

// -- recv -----------------------------------------------------------------------------------------

io_result dgm_pipe::recv(chain& to, std::size_t) {
    if (has(io_flag::fin_rcvd)) return io_result::fin();
    pull();
    if (whole_datagram()) {
        const std::size_t n = std::exchange(length_, 0);
        have_length_ = false;
        if (std::exchange(fresh_, false)) greeted_ = is_tls_greeting(n);
        in_.move_front(to, n);
        // The rest may be no whole datagram: then the next recv says again.
        const bool more = !in_.empty() || lower_->has(io_flag::readable) || input_ != input::open;
        if (!more) state_.lower(io_flag::readable);
        return io_result::moved(n);
    }
    state_.lower(io_flag::readable);
    if (input_ == input::open) return io_result::again();
    if (has(io_flag::broken)) return io_result::broken(why());
    state_.raise(io_flag::fin_rcvd);
    return io_result::fin();
}

// Whether all of the next datagram is here. Reads its length first; one above the bound breaks the
// pipe.
bool dgm_pipe::whole_datagram() {
    if (!have_length_) {
        std::uint8_t head[varint_max_size];
        std::uint64_t length = 0;
        const std::size_t got = in_.copy_out(head);
        const std::size_t size = got == 0 ? 0 : read_varint({head, got}, length);
        if (size == 0) return false;
        if (length > options_.max_datagram) {
            give_up({reason::oversize});
            return false;
        }
        in_.drop_front(size);
        length_ = static_cast<std::size_t>(length);
        have_length_ = true;
    }
    return in_.size() >= length_;
}

// All that came is what a server that speaks TLS says to one that does not: as datagrams it is one
// that was cut.
bool dgm_pipe::is_tls_alert() const noexcept {
    std::uint8_t said[sizeof tls_alert - 1] = {};
    return fresh_ && have_length_ && length_ == tls_alert[0] && in_.size() == sizeof said &&
           in_.copy_out(said) == sizeof said && std::equal(said, said + 5, tls_alert + 1);
}

// The first datagram, of that size, is how a TLS client begins: a handshake record (22, its
// "length"), of some version 3.x, that holds all of a ClientHello (1).
bool dgm_pipe::is_tls_greeting(std::size_t size) const noexcept {
    std::uint8_t said[8] = {};
    return size == 22 && in_.copy_out(said) == sizeof said && said[0] == 3 && said[1] <= 3 &&
           said[4] == 1 && said[5] == 0 && load_be16(said + 6) + 4 == load_be16(said + 2);
}

// Receives from below until there is a whole datagram, or no more for now, or for ever.
void dgm_pipe::pull() {
    while (input_ == input::open && !whole_datagram() && input_ == input::open) {
        // Until its length is here a datagram may be as long as any; where it is, all that came
        // lies in it, and it is not whole.
        const std::size_t body = have_length_ ? length_ : options_.max_datagram;
        const std::size_t wanted = dgm_memory(body) - in_.size();
        const io_result r = lower_->recv(in_, std::min(wanted, read_size));
        switch (r.status) {
            case io_status::ok:
                break;
            case io_status::again:
                return;
            case io_status::fin:
                if (in_.empty() && !have_length_)
                    input_ = input::fin;
                else
                    give_up({reason::truncated});
                break;
            case io_status::broken:
                fail_with(r.why);
                input_ = input::broken;
                break;
        }
    }
}

// -- send -----------------------------------------------------------------------------------------

io_result dgm_pipe::send(chain& from) {
    if (has(io_flag::broken)) return io_result::broken(why());
    check(!has(io_flag::fin_wanted), "send after send_fin");
    const std::size_t n = from.size();
    if (n > options_.max_datagram) {
        give_up({reason::oversize});
        return io_result::broken(why());
    }
    if (!has(io_flag::writable)) return io_result::again();

    std::uint8_t head[varint_max_size];
    const std::size_t head_size = write_varint(head, n);
    out_.append_copy(state_.loop().blocks(), {head, head_size});
    out_.append(std::move(from));
    flush();
    if (has(io_flag::broken)) return io_result::broken(why());
    return io_result::moved(n);
}

void dgm_pipe::send_fin() {
    if (has(io_flag::broken) || has(io_flag::fin_wanted)) return;
    state_.raise(io_flag::fin_wanted);
    flush();
}

// Passes down what was taken, then the FIN behind it; keeps writable true to that.
void dgm_pipe::flush() {
    if (has(io_flag::broken)) return;
    if (!out_.empty() && lower_->has(io_flag::writable)) {
        const io_result r = lower_->send(out_);
        if (r.status == io_status::broken) return fail_with(r.why);
    }
    if (!out_.empty() || !lower_->has(io_flag::writable)) state_.lower(io_flag::writable);
    if (out_.empty() && has(io_flag::fin_wanted)) {
        lower_->send_fin();  // twice is once
        if (lower_->has(io_flag::fin_sent)) state_.raise(io_flag::fin_sent);
    }
}

void dgm_pipe::reset() {
    give_up({reason::local_abort});
}

// -- events from below ----------------------------------------------------------------------------

void dgm_pipe::on_lower(io_flags) {
    follow_lower();
    state_.deliver();
}

void dgm_pipe::follow_lower() {
    if (lower_->has(io_flag::ready)) state_.raise(io_flag::ready);
    if (lower_->has(io_flag::broken)) {
        if (fresh_) pull();  // what came may say why
        fail_with(lower_->why());
    }
    flush();
    if (out_.empty() && lower_->has(io_flag::writable)) state_.raise(io_flag::writable);
    if (input_ != input::open || has(io_flag::readable)) return;  // all is said, or can be received
    if (lower_->has(io_flag::readable)) {
        pull();
        if (whole_datagram() || input_ != input::open) state_.raise(io_flag::readable);
    }
}

// The lower pipe broke. What it still has, and what is here, can be received; nothing can be sent.
void dgm_pipe::fail_with(error e) {
    if (has(io_flag::broken)) return;
    out_.clear();
    // What goes wrong behind a greeting was never datagrams.
    const bool is_tls = is_tls_alert() || (greeted_ && e.why != reason::local_abort);
    state_.break_with(is_tls ? error{reason::tls_wanted} : e);
}

// This pipe breaks by itself: the lower one is reset, so that the peer sees it, and nothing more is
// received.
void dgm_pipe::give_up(error e) {
    fail_with(e);
    in_.clear();
    have_length_ = false;
    input_ = input::broken;
    lower_->reset();
}

}  // namespace

std::unique_ptr<io_pipe> make_dgm_pipe(event_loop& loop, std::unique_ptr<io_pipe> lower,
                                       const dgm_options& options) {
    return std::make_unique<dgm_pipe>(loop, std::move(lower), options);
}

}  // namespace libp
