#include <libp/assert.h>
#include <libp/pipe_state.h>
#include <libp/pipe_tls.h>

#include <algorithm>
#include <new>
#include <tuple>
#include <utility>

#include "tls_peer.h"
#include "tls_wire.h"

namespace libp {
namespace {

// Decrypted at most so much at once.
constexpr std::size_t pull_size = 128 * kib;
// Read from below in one go; the little where the last time nothing came of it.
constexpr std::size_t usual_read = 128 * kib, little_read = 16 * kib;
constexpr std::size_t least_room = 512, most_room = 64 * kib;
constexpr std::size_t least_batch = 16 * kib, usual_batch = 128 * kib, most_batch = 256 * kib;
constexpr std::size_t record_size = 16 * kib;  // the most payload of a record
constexpr std::size_t record_overhead = 64;    // more than any suite adds
constexpr duration close_grace = 1s;

class tls_pipe final : public io_pipe {
  public:
    tls_pipe(event_loop& loop, std::unique_ptr<io_pipe> lower, const tls_credentials& credentials,
             const tls_pipe_options& options);
    ~tls_pipe() override;

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

    const openssl::functions& call() const noexcept { return notes_.by.call(); }
    io_pipe& lower() noexcept { return wire_.lower(); }
    const io_pipe& lower() const noexcept { return wire_.lower(); }
    bool is_client() const noexcept { return !notes_.by.options().server; }

    void prepare();
    void shake();
    void greet();

    bool more_at_hand() const noexcept;
    void allow_reading();
    void pull(std::size_t want);
    bool decrypt(std::size_t room);
    void stop_input(int result);
    bool encrypt(chain& from);
    void flush();
    void say_close();
    void settle();
    void drain_lower();

    void on_lower(io_flags risen);
    void on_again() { on_lower({}); }
    void on_limit();
    void follow_lower();
    error why_failed() const {
        const error e = why_tls_failed(notes_, ssl_, shaken_);
        return e.why == reason::protocol_error && !shaken_ && wire_.strange()
                   ? error{reason::no_tls}
                   : e;
    }
    void refuse(error e);
    void fail_with(error e);
    void give_up(error e);

    pipe_state state_;
    tls_wire wire_;
    tls_notes notes_;
    ssl_st* ssl_ = nullptr;
    const std::string name_;
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
      notes_{.by = credentials, .transport = wire_},
      name_(options.name),
      again_(loop, delegate<void()>::to<&tls_pipe::on_again>(*this)),
      limit_(loop, delegate<void()>::to<&tls_pipe::on_limit>(*this)) {
    credentials.count_pipe();
    limit_.arm_in(options.handshake_timeout);
    prepare();
    this->lower().attach(io_handler::to<&tls_pipe::on_lower>(*this));
    follow_lower();
}

tls_pipe::~tls_pipe() {
    const tls_call_scope scope(notes_);
    call().SSL_free(ssl_);
    notes_.by.discount_pipe();
}

void tls_pipe::prepare() {
    const tls_call_scope scope(notes_);
    ssl_ = call().SSL_new(notes_.by.settings());
    bio_st* bio = ssl_ ? call().BIO_new(notes_.by.transport()) : nullptr;
    if (!bio) throw std::bad_alloc();
    call().BIO_set_init(bio, 1);
    call().SSL_set_bio(ssl_, bio, bio);
    if (is_client()) {
        // A name that no server can have: nobody may pass for it.
        if (!expect_tls_name(notes_, ssl_, name_)) give_up({reason::invalid});
        call().SSL_set_connect_state(ssl_);
    } else {
        call().SSL_set_accept_state(ssl_);
    }
}

// -- the handshake ----------------------------------------------------------------------------------

void tls_pipe::shake() {
    const tls_call_scope scope(notes_);
    allow_reading();
    call().ERR_clear_error();
    const int result = call().SSL_do_handshake(ssl_);
    if (result == 1) return greet();
    if (call().SSL_get_error(ssl_, result) == openssl::error_want_read) {
        if (wire_.more_at_hand()) again_.schedule();
        return;
    }
    if (wire_.drained() && notes_.alert_read == 0) {
        // It went away in the middle, and did not say why.
        const error why = wire_.why_ended();
        return give_up(why ? why : error{reason::peer_reset});
    }
    refuse(why_failed());
}

void tls_pipe::greet() {
    // A server with a certificate in the place of the key has none of our trust, nor has whoever guesses nobody's key: let that not
    // hang on one check.
    const bool by_key = call().SSL_session_reused(ssl_) == 1 && (is_client() || notes_.key_known);
    if (notes_.by.uses_keys() && !by_key) return refuse({reason::wrong_key});
    shaken_ = true;
    identity_ = tls_peer_identity(notes_, ssl_);
    limit_.cancel();
    state_.raise(io_flag::ready);
    state_.loop().progress();
}

void tls_pipe::refuse(error e) {
    tls_refusal r = tls_refusal_of(notes_, e, name_);
    lower().describe(r.peer);
    const tls_credentials& by = notes_.by;
    // OpenSSL does not answer what is no TLS. An end of ours learns from this what is amiss.
    if (e.why == reason::no_tls && by.options().server) wire_.give(tls_alert);
    give_up(e);
    by.refused(r);
}

// -- recv -------------------------------------------------------------------------------------------

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
    return wire_.more_at_hand() || call().SSL_pending(ssl_) > 0;
}

// Decrypts until there are `want` bytes, or no more for now, or for ever.
void tls_pipe::pull(std::size_t want) {
    const tls_call_scope scope(notes_);
    const std::size_t had = plain_.size();
    allow_reading();
    while (input_ == input::open && plain_.size() < want) {
        if (wire_.received() == 0) wire_.refill();
        const std::size_t expected =
            wire_.received() + static_cast<std::size_t>(call().SSL_pending(ssl_));
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
    block_ref into = state_.loop().blocks().take(room);
    std::size_t used = 0;
    int result = 1;
    while (used < room) {
        std::size_t got = 0;
        call().ERR_clear_error();
        result = call().SSL_read_ex(ssl_, into->data() + used, room - used, &got);
        if (result != 1) break;
        used += got;
    }
    if (used * 4 < into->capacity()) {
        plain_.append_copy(state_.loop().blocks(), {into->data(), used});
    } else {
        into->set_used(used);
        const std::uint8_t* data = into->data();
        plain_.append(slice{std::move(into), data, used});
    }
    if (used > 0) state_.loop().progress();
    if (result == 1) return true;
    stop_input(result);
    return false;
}

// There is nothing to read: for now, or because this is the end.
void tls_pipe::stop_input(int result) {
    const int why = call().SSL_get_error(ssl_, result);
    if (why == openssl::error_want_read) return;
    if (why == openssl::error_zero_return) {
        close_came_ = true;
        input_ = input::closing;
        wire_.drop_received();
        return settle();
    }
    if (!wire_.drained() || notes_.alert_read != 0) {
        const error e = why_failed();
        return e.why == reason::auth_failed ? refuse(e) : give_up(e);
    }
    if (!wire_.why_ended()) return give_up({reason::missing_close});
    input_ = input::broken;
    fail_with(wire_.why_ended());
}

// -- send -------------------------------------------------------------------------------------------

io_result tls_pipe::send(chain& from) {
    if (has(io_flag::broken)) return io_result::broken(why());
    check(!has(io_flag::fin_wanted), "send after send_fin");
    if (from.empty()) return io_result::moved(0);
    if (!has(io_flag::writable)) return io_result::again();
    const std::size_t offered = from.size();
    flush();
    while (!has(io_flag::broken) && !from.empty() && wire_.unsent() == 0) {
        if (!encrypt(from)) break;
        flush();
    }
    if (has(io_flag::broken)) return io_result::broken(why());
    if (!from.empty()) state_.lower(io_flag::writable);
    const std::size_t taken = offered - from.size();
    return taken > 0 ? io_result::moved(taken) : io_result::again();
}

// A batch of records, as full as they can be. False: this pipe broke.
bool tls_pipe::encrypt(chain& from) {
    const tls_call_scope scope(notes_);
    std::uint8_t together[record_size];
    while (!from.empty() && wire_.unsent() < batch_) {
        const slice& first = from[0];
        const std::uint8_t* data = first.data;
        std::size_t n = std::min(first.size, record_size);
        if (n < record_size && from.slices() > 1) {
            n = from.copy_out(together);
            data = together;
        }
        const std::size_t left = std::min(from.size(), batch_ - wire_.unsent());
        wire_.reserve(left + (left / record_size + 1) * record_overhead);
        std::size_t taken = 0;
        call().ERR_clear_error();
        if (call().SSL_write_ex(ssl_, data, n, &taken) != 1) {
            give_up(why_failed());
            return false;
        }
        from.drop_front(n);
    }
    return true;
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
    const tls_call_scope scope(notes_);
    close_went_ = true;
    call().ERR_clear_error();
    const int result = call().SSL_shutdown(ssl_);
    // 0: ours is said; 1: the peer's has come already.
    if (result < 0) give_up(why_failed());
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

// -- events from below ------------------------------------------------------------------------------

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
    if (!shaken_ && lower().has(io_flag::ready) && (is_client() || wire_.more_at_hand())) shake();
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

// The pipe below broke. What it still has, and what is here, can be received; nothing can be sent. That does not matter where
// all was said both ways.
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
    if (!has(io_flag::fin_rcvd)) state_.raise(io_flag::readable);
}

// This pipe breaks by itself: the peer gets the alert that says so, if it takes it, and sees the pipe below break.
void tls_pipe::give_up(error e) {
    if (has(io_flag::broken)) return;
    // It may fail: the pipe below is reset next in any case.
    std::ignore = wire_.flush();
    limit_.cancel();
    wire_.drop_received();
    wire_.drop_unsent();
    input_ = input::broken;
    state_.break_with(e);
    if (!has(io_flag::fin_rcvd)) state_.raise(io_flag::readable);
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
