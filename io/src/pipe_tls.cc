#include <libp/assert.h>
#include <libp/pipe_state.h>
#include <libp/pipe_tls.h>
#include <libp/socket_address.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "tls_settings.h"

namespace libp {
namespace {

// Read from below, and decrypted, at most so much at once.
constexpr std::size_t read_size = 128 * kib;
constexpr std::size_t least_room = 512, most_room = 64 * kib;
constexpr std::size_t least_batch = 16 * kib, usual_batch = 128 * kib, most_batch = 256 * kib;
constexpr std::size_t record_size = 16 * kib;  // the most payload of a record
constexpr std::size_t record_overhead = 64;    // more than any suite adds
// What OpenSSL may write by itself (handshakes, alerts, key updates) while nothing leaves below.
constexpr std::size_t own_writes_bound = 1 * mib;
constexpr duration close_grace = 1s;

class tls_pipe final : public io_pipe, tls_transport {
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
        lower_->describe(out);
    }
    std::string peer_identity() const override { return identity_; }

    io_result recv(chain& to, std::size_t max) override;
    io_result send(chain& from) override;
    void send_fin() override;
    void reset() override;
    void keep_unsent(std::size_t bytes) override {
        batch_ = std::clamp(bytes, least_batch, most_batch);
        lower_->keep_unsent(bytes);
    }

  private:
    // closing: close_notify came, and the end of the pipe below is awaited.
    enum class input : std::uint8_t { open, closing, fin, broken };

    const openssl::functions& call() const noexcept { return notes_.by.call(); }
    bool is_client() const noexcept { return !notes_.by.options().server; }

    std::size_t take(char* to, std::size_t size) override;
    bool ended() const override { return lower_over_; }
    bool give(bytes data) override;
    void refill();

    void prepare();
    void expect_name();
    void shake();
    void greet();
    std::string identify() const;

    bool more_at_hand() const noexcept;
    void pull(std::size_t want);
    bool decrypt(std::size_t room);
    void stop_input(int result);
    bool encrypt(chain& from);
    void flush();
    void say_close();
    void settle();
    void drain_lower();

    void on_lower(io_flags risen);
    void on_limit();
    void follow_lower();
    error why_failed() const;
    void refuse(error e);
    void fail_with(error e);
    void give_up(error e);

    pipe_state state_;
    std::unique_ptr<io_pipe> lower_;
    tls_notes notes_;
    ssl_st* ssl_ = nullptr;
    const std::string name_;
    std::string identity_;
    timer limit_;  // of the handshake; later, of the wait for the end of the pipe below
    std::size_t batch_ = usual_batch;

    chain in_;     // received and not yet decrypted
    chain plain_;  // decrypted and not yet received from here
    chain out_;    // encrypted and not yet sent
    std::size_t out_reserve_ = 0;
    input input_ = input::open;
    error lower_why_{};        // lower_over_ by a break; none: by a FIN
    bool lower_over_ = false;  // nothing more comes from below, but what is in in_
    bool shaken_ = false;
    bool close_came_ = false;  // the peer's close_notify
    bool close_went_ = false;  // ours is in out_, or further
    bool grace_over_ = false;
};

tls_pipe::tls_pipe(event_loop& loop, std::unique_ptr<io_pipe> lower,
                   const tls_credentials& credentials, const tls_pipe_options& options)
    : state_(loop),
      lower_(std::move(lower)),
      notes_{.by = credentials, .transport = *this},
      name_(options.name),
      limit_(loop, delegate<void()>::to<&tls_pipe::on_limit>(*this)) {
    check(lower_->kind() == io_kind::stream, "tls needs a stream below");
    limit_.arm_in(options.handshake_timeout);
    prepare();
    lower_->attach(io_handler::to<&tls_pipe::on_lower>(*this));
    follow_lower();
}

tls_pipe::~tls_pipe() {
    const tls_call_scope scope(notes_);
    call().SSL_free(ssl_);
}

void tls_pipe::prepare() {
    const tls_call_scope scope(notes_);
    ssl_ = call().SSL_new(notes_.by.settings());
    bio_st* bio = ssl_ ? call().BIO_new(notes_.by.transport()) : nullptr;
    check(bio != nullptr, "no memory for a TLS connection");
    call().BIO_set_init(bio, 1);
    call().SSL_set_bio(ssl_, bio, bio);
    if (is_client()) {
        expect_name();
        call().SSL_set_connect_state(ssl_);
    } else {
        call().SSL_set_accept_state(ssl_);
    }
}

void tls_pipe::expect_name() {
    if (name_.empty()) {
        check(!notes_.by.needs_name(), "a TLS client that verifies needs the server's name");
        return;
    }
    const bool is_ip = bool(socket_address::from_ip(name_, 0));
    bool taken = true;
    if (!is_ip) {
        std::string name = name_;  // OpenSSL copies it, but does not say so in its type
        taken = call().SSL_ctrl(ssl_, openssl::ctrl_set_tlsext_hostname,
                                openssl::tlsext_nametype_host_name, name.data()) == 1;
    }
    if (notes_.by.needs_name()) {
        call().SSL_set_hostflags(ssl_, openssl::check_flag_no_partial_wildcards);
        taken = taken && (is_ip ? call().X509_VERIFY_PARAM_set1_ip_asc(call().SSL_get0_param(ssl_),
                                                                       name_.c_str())
                                : call().SSL_set1_host(ssl_, name_.c_str())) == 1;
    }
    // A name that no server can have: nobody may pass for it.
    if (!taken) give_up({reason::invalid});
}

// -- what OpenSSL stands on -------------------------------------------------------------------------

std::size_t tls_pipe::take(char* to, std::size_t size) {
    if (in_.empty()) refill();
    const std::size_t n = in_.copy_out({reinterpret_cast<std::uint8_t*>(to), size});
    in_.drop_front(n);
    return n;
}

void tls_pipe::refill() {
    if (lower_over_ || !lower_->has(io_flag::readable)) return;
    const io_result r = lower_->recv(in_, read_size);
    if (r.status != io_status::fin && r.status != io_status::broken) return;
    lower_over_ = true;
    lower_why_ = r.why;
}

bool tls_pipe::give(bytes data) {
    if (out_.size() + data.size() > own_writes_bound) return false;
    out_.append_copy(state_.loop().blocks(), data, std::min(out_reserve_, most_batch));
    out_reserve_ -= std::min(out_reserve_, data.size());
    return true;
}

// -- the handshake ----------------------------------------------------------------------------------

void tls_pipe::shake() {
    const tls_call_scope scope(notes_);
    call().ERR_clear_error();
    const int result = call().SSL_do_handshake(ssl_);
    if (result == 1) return greet();
    if (call().SSL_get_error(ssl_, result) == openssl::error_want_read) return;
    if (lower_over_ && in_.empty() && notes_.alert_read == 0) {
        // It went away in the middle, and did not say why.
        return give_up(lower_why_ ? lower_why_ : error{reason::peer_reset});
    }
    refuse(why_failed());
}

void tls_pipe::greet() {
    // A server with a certificate in the place of the key has none of our trust, but let that not hang on one check.
    if (notes_.by.uses_keys() && call().SSL_session_reused(ssl_) != 1)
        return refuse({reason::wrong_key});
    shaken_ = true;
    identity_ = identify();
    limit_.cancel();
    state_.raise(io_flag::ready);
    state_.loop().progress();
}

std::string tls_pipe::identify() const {
    const tls_options& options = notes_.by.options();
    if (notes_.by.uses_keys())
        return "key " + (is_client() ? notes_.by.first_key()->id : notes_.key_id);
    if (is_client()) return options.verify || !options.pins.empty() ? "verified" : "unverified";
    x509_st* certificate = call().SSL_get1_peer_certificate(ssl_);
    if (!certificate) return "anybody";
    std::string who;
    if (!options.pins.empty() && notes_.pin) {
        who = notes_.pin->to_string();
    } else {
        char subject[512] = "";
        call().X509_NAME_oneline(call().X509_get_subject_name(certificate), subject,
                                 sizeof subject);
        who = std::string("certificate ") + subject;
    }
    call().X509_free(certificate);
    return who;
}

// What became of the handshake, or of the connection, by the alerts of both ends and the certificate's verification.
error tls_pipe::why_failed() const {
    const tls_options& options = notes_.by.options();
    const long verified = call().SSL_get_verify_result(ssl_);
    const bool judged = notes_.pin && (!is_client() || options.verify || !options.pins.empty());
    if (!shaken_ && notes_.alert_read == 0 && judged && verified != openssl::v_ok)
        return {reason::bad_certificate, static_cast<int>(verified)};
    const int alert = notes_.alert_read ? notes_.alert_read : notes_.alert_written;
    const bool of_keys = !shaken_ && notes_.by.uses_keys();
    switch (alert) {
        case 47:   // illegal_parameter: a binder that was made with another key
        case 109:  // missing_extension: a greeting without a key
            return {of_keys ? reason::wrong_key : reason::protocol_error};
        case 40:  // handshake_failure
        case 42:  // this and those that follow are about certificates
        case 43:
        case 44:
        case 45:
        case 46:
        case 48:
        case 49:   // access_denied
        case 51:   // decrypt_error
        case 115:  // unknown_psk_identity
        case 116:  // certificate_required
            if (of_keys) return {reason::wrong_key};
            return {reason::auth_failed, alert};
        default:
            return {reason::protocol_error};
    }
}

void tls_pipe::refuse(error e) {
    tls_refusal r;
    r.why = e;
    r.server = !is_client();
    lower_->describe(r.peer);
    r.name = name_;
    r.key_id = notes_.key_id;
    r.detail = tls_error_text(call());
    if (e.why == reason::wrong_key && r.server && !notes_.key_id.empty() && !notes_.key_known)
        r.detail = "no key of that id";
    if (e.why == reason::bad_certificate) r.pin = notes_.pin;
    const tls_credentials& by = notes_.by;
    give_up(e);
    by.refused(r);
}

// -- recv -------------------------------------------------------------------------------------------

io_result tls_pipe::recv(chain& to, std::size_t max) {
    check(max > 0, "recv of nothing");
    if (has(io_flag::fin_rcvd)) return io_result::fin();
    if (plain_.empty() && shaken_) {
        pull(std::min(max, read_size));
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
    return !in_.empty() || lower_over_ || lower_->has(io_flag::readable) ||
           call().SSL_pending(ssl_) > 0;
}

// Decrypts until there are `want` bytes, or no more for now, or for ever.
void tls_pipe::pull(std::size_t want) {
    const tls_call_scope scope(notes_);
    while (input_ == input::open && plain_.size() < want) {
        if (in_.empty()) refill();
        const std::size_t expected =
            in_.size() + static_cast<std::size_t>(call().SSL_pending(ssl_));
        if (!decrypt(std::clamp(expected, least_room, most_room))) return;
    }
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
        in_.clear();
        return settle();
    }
    const bool cut = lower_over_ && in_.empty() && notes_.alert_read == 0;
    if (!cut) {
        const error e = why_failed();
        return e.why == reason::auth_failed ? refuse(e) : give_up(e);
    }
    if (!lower_why_) return give_up({reason::missing_close});
    input_ = input::broken;
    fail_with(lower_why_);
}

// -- send -------------------------------------------------------------------------------------------

io_result tls_pipe::send(chain& from) {
    if (has(io_flag::broken)) return io_result::broken(why());
    check(!has(io_flag::fin_wanted), "send after send_fin");
    if (from.empty()) return io_result::moved(0);
    if (!has(io_flag::writable)) return io_result::again();
    const std::size_t offered = from.size();
    flush();
    while (!has(io_flag::broken) && !from.empty() && out_.empty()) {
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
    while (!from.empty() && out_.size() < batch_) {
        const slice& first = from[0];
        const std::uint8_t* data = first.data;
        std::size_t n = std::min(first.size, record_size);
        if (n < record_size && from.slices() > 1) {
            n = from.copy_out(together);
            data = together;
        }
        const std::size_t left = std::min(from.size(), batch_ - out_.size());
        out_reserve_ = left + (left / record_size + 1) * record_overhead;
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
    if (!out_.empty() && lower_->has(io_flag::writable)) {
        const io_result r = lower_->send(out_);
        if (r.status == io_status::broken) return fail_with(r.why);
    }
    if (!out_.empty() || !close_went_) return;
    lower_->send_fin();  // twice is once
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
    const bool said = close_went_ && out_.empty() && lower_->has(io_flag::fin_sent);
    const bool both = said && close_came_;
    bool over = true;
    if (both) {
        drain_lower();
        over = lower_over_ || lower_->has(io_flag::broken) || grace_over_;
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
    if (lower_over_ || !lower_->has(io_flag::readable)) return;
    refill();
    if (in_.empty()) return;
    in_.clear();
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
    if (!shaken_ && lower_->has(io_flag::ready)) shake();
    if (has(io_flag::broken)) return;
    flush();
    if (shaken_ && input_ == input::open && !has(io_flag::readable) && more_at_hand()) {
        pull(1);
        if (!plain_.empty() || input_ != input::open) state_.raise(io_flag::readable);
    }
    if (lower_->has(io_flag::broken)) fail_with(lower_->why());
    flush();
    if (shaken_ && out_.empty() && lower_->has(io_flag::writable)) state_.raise(io_flag::writable);
    if (!has(io_flag::broken)) settle();
}

// The pipe below broke. What it still has, and what is here, can be received; nothing can be sent. That does not matter where
// all was said both ways.
void tls_pipe::fail_with(error e) {
    if (has(io_flag::broken)) return;
    if (close_came_ && close_went_ && out_.empty() && lower_->has(io_flag::fin_sent))
        return settle();
    // An alert that came before the break is the better reason.
    if (!shaken_)
        shake();
    else if (input_ == input::open)
        pull(plain_.size() + 1);
    if (has(io_flag::broken)) return;
    limit_.cancel();
    out_.clear();
    state_.break_with(e);
    if (!has(io_flag::fin_rcvd)) state_.raise(io_flag::readable);
}

// This pipe breaks by itself: the peer gets the alert that says so, if it takes it, and sees the pipe below break.
void tls_pipe::give_up(error e) {
    if (has(io_flag::broken)) return;
    if (!out_.empty() && lower_->has(io_flag::writable)) {
        // It may fail: the pipe below is reset next in any case.
        std::ignore = lower_->send(out_);
    }
    limit_.cancel();
    in_.clear();
    out_.clear();
    input_ = input::broken;
    state_.break_with(e);
    if (!has(io_flag::fin_rcvd)) state_.raise(io_flag::readable);
    lower_->reset();
}

void tls_pipe::reset() {
    plain_.clear();
    out_.clear();
    give_up({reason::local_abort});
    in_.clear();
    input_ = input::broken;
    lower_->reset();
}

}  // namespace

std::unique_ptr<io_pipe> make_tls_pipe(event_loop& loop, std::unique_ptr<io_pipe> lower,
                                       const tls_credentials& credentials,
                                       const tls_pipe_options& options) {
    return std::make_unique<tls_pipe>(loop, std::move(lower), credentials, options);
}

}  // namespace libp
