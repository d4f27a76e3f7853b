#include <libp/assert.h>
#include <libp/pipe_state.h>
#include <libp/pipe_tls.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "tls_connection.h"

namespace libp {
namespace {

// Decrypted at most so much at once.
constexpr std::size_t pull_size = 128 * kib;
// Read from below in one go; the little where the last time nothing came of it.
constexpr std::size_t usual_read = 128 * kib, little_read = 16 * kib;
constexpr std::size_t least_room = 512, most_room = 64 * kib;
constexpr std::size_t least_batch = 16 * kib, usual_batch = 128 * kib, most_batch = 256 * kib;
constexpr duration close_grace = 1s;

class tls_pipe final : public io_pipe {
  public:
    tls_pipe(event_loop& loop, std::unique_ptr<io_pipe> lower, const tls_credentials& credentials,
             const tls_pipe_options& options);

    io_kind kind() const noexcept override { return io_kind::stream; }
    void attach(io_handler handler) override { state_.attach(handler); }
    io_flags state() const noexcept override { return state_.levels(); }
    error why() const noexcept override { return state_.why(); }
    void describe(std::string& out) const override {
        out += "tls < ";
        lower().describe(out);
    }
    std::string peer_identity() const override { return identity_; }

    io_result recv(chain& to, std::size_t max) override;
    io_result send(chain& from) override;
    void send_fin() override;
    void reset() override;
    void keep_unsent(std::size_t bytes) override {
        batch_ = std::clamp(bytes, least_batch, most_batch);
        lower().keep_unsent(bytes);
    }
    bool get_tcp_state(tcp_state& to) const noexcept override { return lower().get_tcp_state(to); }

  private:
    // closing: close_notify came, and the end of the pipe below is awaited.
    enum class input : std::uint8_t { open, closing, fin, broken };

    using outcome = tls_connection::outcome;

    io_pipe& lower() noexcept { return wire_.lower(); }
    const io_pipe& lower() const noexcept { return wire_.lower(); }

    void shake();
    void greet();

    bool more_at_hand() const noexcept;
    void allow_reading();
    void pull(std::size_t want);
    bool decrypt(std::size_t room);
    void stop_input(outcome why);
    void flush();
    void say_close();
    void settle();
    void drain_lower();

    void on_lower(io_flags risen);
    void on_again() { on_lower({}); }
    void on_limit();
    void follow_lower();
    void refuse(error e);
    void fail_with(error e);
    void give_up(error e);

    pipe_state state_;
    tls_wire wire_;
    tls_connection connection_;
    std::string identity_;
    deferred again_;  // when more was at hand than could be read in one go
    timer limit_;     // of the handshake; later, of the wait for the end of the pipe below
    std::size_t batch_ = usual_batch;

    chain plain_;  // decrypted and not yet received from here
    input input_ = input::open;
    bool barren_ = false;  // what was read last meant nothing to the consumer
    bool shaken_ = false;
    bool close_came_ = false;  // the peer's close_notify
    bool close_went_ = false;  // ours is on the wire, or waits for it
    bool grace_over_ = false;
};

tls_pipe::tls_pipe(event_loop& loop, std::unique_ptr<io_pipe> lower,
                   const tls_credentials& credentials, const tls_pipe_options& options)
    : state_(loop),
      wire_(loop, std::move(lower)),
      connection_(wire_, credentials, options.name),
      again_(loop, delegate<void()>::to<&tls_pipe::on_again>(*this)),
      limit_(loop, delegate<void()>::to<&tls_pipe::on_limit>(*this)) {
    limit_.arm_in(options.handshake_timeout);
    // A name that no server can have: nobody may pass for it.
    if (connection_.is_client() && !connection_.expect_name()) give_up({reason::invalid});
    this->lower().attach(io_handler::to<&tls_pipe::on_lower>(*this));
    follow_lower();
}

// -- the handshake --------------------------------------------------------------------------------

void tls_pipe::shake() {
    allow_reading();
    const outcome o = connection_.shake();
    if (o == outcome::done) return greet();
    if (o == outcome::wait) {
        if (wire_.more_at_hand()) again_.schedule();
        return;
    }
    if (wire_.drained() && !connection_.alerted()) {
        // It went away in the middle, and did not say why.
        const error why = wire_.why_ended();
        return give_up(why ? why : error{reason::peer_reset});
    }
    refuse(connection_.why_failed(shaken_));
}

void tls_pipe::greet() {
    if (!connection_.trusts()) return refuse({reason::wrong_key});
    shaken_ = true;
    identity_ = connection_.identity();
    limit_.cancel();
    state_.raise(io_flag::ready);
    state_.loop().progress();
}

void tls_pipe::refuse(error e) {
    tls_refusal r = connection_.refusal(e);
    lower().describe(r.peer);
    // OpenSSL does not answer what is no TLS. An end of ours learns from this what is amiss.
    if (e.why == reason::no_tls && r.server) wire_.give(tls_alert);
    give_up(e);
    connection_.credentials().refused(r);
}

// -- recv -----------------------------------------------------------------------------------------

io_result tls_pipe::recv(chain& to, std::size_t max) {
    check(max > 0, "recv of nothing");
    if (has(io_flag::fin_rcvd)) return io_result::fin();
    if (plain_.empty() && shaken_) {
        pull(std::min(max, pull_size));
        flush();
    }
    if (!plain_.empty()) {
        const std::size_t n = std::min(max, plain_.size());
        plain_.move_front(to, n);
        if (n < max && plain_.empty() && input_ == input::open && !more_at_hand())
            state_.lower(io_flag::readable);
        return io_result::moved(n);
    }
    if (!has(io_flag::broken)) settle();
    state_.lower(io_flag::readable);
    if (has(io_flag::broken)) return io_result::broken(why());
    if (input_ != input::fin) return io_result::again();
    state_.raise(io_flag::fin_rcvd);
    return io_result::fin();
}

bool tls_pipe::more_at_hand() const noexcept {
    return wire_.more_at_hand() || connection_.pending() > 0;
}

// Decrypts until there are `want` bytes, or no more for now, or for ever.
void tls_pipe::pull(std::size_t want) {
    const std::size_t had = plain_.size();
    allow_reading();
    while (input_ == input::open && plain_.size() < want) {
        if (wire_.received() == 0) wire_.refill();
        const std::size_t expected = wire_.received() + connection_.pending();
        if (expected == 0 && !wire_.ended()) break;
        if (!decrypt(std::clamp(expected, least_room, most_room))) break;
    }
    barren_ = plain_.size() == had;
    if (barren_ && input_ == input::open && wire_.more_at_hand()) again_.schedule();
}

// A pipe below that broke has no more than it holds.
void tls_pipe::allow_reading() {
    const bool all = lower().has(io_flag::broken);
    wire_.allow(all ? static_cast<std::size_t>(-1) : barren_ ? little_read : usual_read);
}

// One block's worth. False: that is all.
bool tls_pipe::decrypt(std::size_t room) {
    const std::size_t had = plain_.size();
    const outcome o = connection_.decrypt(state_.loop().blocks(), room, plain_);
    if (plain_.size() > had) state_.loop().progress();
    if (o == outcome::done) return true;
    stop_input(o);
    return false;
}

// There is nothing to read: for now, or because this is the end.
void tls_pipe::stop_input(outcome why) {
    if (why == outcome::wait) return;
    if (why == outcome::closed) {
        close_came_ = true;
        input_ = input::closing;
        wire_.drop_received();
        return settle();
    }
    if (!wire_.drained() || connection_.alerted()) {
        const error e = connection_.why_failed(shaken_);
        return e.why == reason::auth_failed ? refuse(e) : give_up(e);
    }
    if (!wire_.why_ended()) return give_up({reason::missing_close});
    input_ = input::broken;
    fail_with(wire_.why_ended());
}

// -- send -----------------------------------------------------------------------------------------

io_result tls_pipe::send(chain& from) {
    if (has(io_flag::broken)) return io_result::broken(why());
    check(!has(io_flag::fin_wanted), "send after send_fin");
    if (from.empty()) return io_result::moved(0);
    if (!has(io_flag::writable)) return io_result::again();
    const std::size_t offered = from.size();
    flush();
    while (!has(io_flag::broken) && !from.empty() && wire_.unsent() == 0) {
        if (connection_.encrypt(from, batch_) == outcome::failed)
            give_up(connection_.why_failed(shaken_));
        flush();
    }
    if (has(io_flag::broken)) return io_result::broken(why());
    if (!from.empty()) state_.lower(io_flag::writable);
    const std::size_t taken = offered - from.size();
    return taken > 0 ? io_result::moved(taken) : io_result::again();
}

void tls_pipe::send_fin() {
    if (has(io_flag::broken) || has(io_flag::fin_wanted)) return;
    state_.raise(io_flag::fin_wanted);
    flush();
}

// Passes down what is encrypted, then close_notify and the FIN behind it.
void tls_pipe::flush() {
    if (has(io_flag::broken)) return;
    if (shaken_ && has(io_flag::fin_wanted) && !close_went_) say_close();
    if (const error e = wire_.flush()) return fail_with(e);
    if (wire_.unsent() > 0 || !close_went_) return;
    lower().send_fin();  // twice is once
    settle();
}

void tls_pipe::say_close() {
    close_went_ = true;
    if (connection_.close() == outcome::failed) give_up(connection_.why_failed(shaken_));
}

// What has come to its end: see "FIN" in the header.
void tls_pipe::settle() {
    const bool said = close_went_ && wire_.unsent() == 0 && lower().has(io_flag::fin_sent);
    const bool both = said && close_came_;
    bool over = true;
    if (both) {
        drain_lower();
        over = wire_.ended() || lower().has(io_flag::broken) || grace_over_;
        if (over)
            limit_.cancel();
        else if (!limit_.armed())
            limit_.arm_in(close_grace);
    }
    if (said && over) state_.raise(io_flag::fin_sent);
    if (input_ == input::closing && over) {
        input_ = input::fin;
        state_.raise(io_flag::readable);
    }
}

// Behind close_notify nothing may come but the end.
void tls_pipe::drain_lower() {
    if (wire_.ended() || !lower().has(io_flag::readable)) return;
    wire_.allow(little_read);
    wire_.refill();
    if (wire_.received() == 0) return;
    wire_.drop_received();
    grace_over_ = true;
}

// -- events from below ----------------------------------------------------------------------------

void tls_pipe::on_lower(io_flags) {
    follow_lower();
    state_.deliver();
}

void tls_pipe::on_limit() {
    if (!shaken_) {
        give_up({reason::handshake_timeout});
    } else {
        grace_over_ = true;
        settle();
    }
    state_.deliver();
}

void tls_pipe::follow_lower() {
    // What may still be received the consumer knows of.
    if (has(io_flag::broken) || io_pipe::finished()) return;
    // A server does nothing, and OpenSSL takes no buffers, for a client that says nothing.
    if (!shaken_ && lower().has(io_flag::ready) &&
        (connection_.is_client() || wire_.more_at_hand()))
        shake();
    if (has(io_flag::broken)) return;
    flush();
    if (shaken_ && input_ == input::open && !has(io_flag::readable) && more_at_hand()) {
        pull(1);
        if (!plain_.empty() || input_ != input::open) state_.raise(io_flag::readable);
    }
    if (lower().has(io_flag::broken)) fail_with(lower().why());
    flush();
    if (shaken_ && wire_.unsent() == 0 && lower().has(io_flag::writable))
        state_.raise(io_flag::writable);
    if (!has(io_flag::broken)) settle();
}

// The pipe below broke. What it still has, and what is here, can be received; nothing can be sent.
// That does not matter where all was said both ways.
void tls_pipe::fail_with(error e) {
    if (has(io_flag::broken)) return;
    if (close_came_ && close_went_ && wire_.unsent() == 0 && lower().has(io_flag::fin_sent))
        return settle();
    // An alert that came before the break is the better reason.
    if (!shaken_)
        shake();
    else if (input_ == input::open)
        pull(plain_.size() + 1);
    if (has(io_flag::broken)) return;
    limit_.cancel();
    wire_.drop_unsent();
    state_.break_with(e);
}

// This pipe breaks by itself: the peer gets the alert that says so, if it takes it, and sees the
// pipe below break.
void tls_pipe::give_up(error e) {
    if (has(io_flag::broken)) return;
    // It may fail: the pipe below is reset next in any case.
    std::ignore = wire_.flush();
    limit_.cancel();
    wire_.drop_received();
    wire_.drop_unsent();
    input_ = input::broken;
    state_.break_with(e);
    lower().reset();
}

void tls_pipe::reset() {
    plain_.clear();
    wire_.drop_unsent();
    give_up({reason::local_abort});
    wire_.drop_received();
    input_ = input::broken;
    lower().reset();
}

}  // namespace

std::unique_ptr<io_pipe> make_tls_pipe(event_loop& loop, std::unique_ptr<io_pipe> lower,
                                       const tls_credentials& credentials,
                                       const tls_pipe_options& options) {
    return std::make_unique<tls_pipe>(loop, std::move(lower), credentials, options);
}

}  // namespace libp
