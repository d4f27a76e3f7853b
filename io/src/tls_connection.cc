#include "tls_connection.h"

#include <algorithm>
#include <new>
#include <utility>

namespace libp {
namespace {

constexpr std::size_t record_size = 16 * kib;  // the most payload of a record
constexpr std::size_t record_overhead = 64;    // more than any suite adds

}  // namespace

tls_connection::tls_connection(tls_wire& wire, const tls_credentials& credentials,
                               const std::string& name)
    : wire_(wire),
      notes_{.by = credentials, .transport = wire},
      name_(name),
      ssl_(call().SSL_new(credentials.settings())) {
    bio_st* bio = ssl_ ? call().BIO_new(credentials.transport()) : nullptr;
    if (!bio) {
        call().SSL_free(ssl_);
        throw std::bad_alloc();
    }
    const tls_call_scope scope(notes_);
    call().BIO_set_init(bio, 1);
    call().SSL_set_bio(ssl_, bio, bio);
    if (is_client())
        call().SSL_set_connect_state(ssl_);
    else
        call().SSL_set_accept_state(ssl_);
    credentials.count_pipe();
}

tls_connection::~tls_connection() {
    const tls_call_scope scope(notes_);
    call().SSL_free(ssl_);
    notes_.by.discount_pipe();
}

bool tls_connection::expect_name() {
    const tls_call_scope scope(notes_);
    return expect_tls_name(notes_, ssl_, name_);
}

tls_connection::outcome tls_connection::outcome_of(int result) const {
    switch (call().SSL_get_error(ssl_, result)) {
        case openssl::error_want_read:
            return outcome::wait;
        case openssl::error_zero_return:
            return outcome::closed;
        default:
            return outcome::failed;
    }
}

tls_connection::outcome tls_connection::shake() {
    const tls_call_scope scope(notes_);
    call().ERR_clear_error();
    const int result = call().SSL_do_handshake(ssl_);
    return result == 1 ? outcome::done : outcome_of(result);
}

// A server with a certificate in the place of the key has none of our trust, nor has whoever
// guesses nobody's key: let that not hang on one check.
bool tls_connection::trusts() const {
    if (!notes_.by.uses_keys()) return true;
    return call().SSL_session_reused(ssl_) == 1 && (is_client() || notes_.key_known);
}

std::size_t tls_connection::pending() const noexcept {
    return static_cast<std::size_t>(call().SSL_pending(ssl_));
}

tls_connection::outcome tls_connection::decrypt(block_pool& blocks, std::size_t room, chain& to) {
    const tls_call_scope scope(notes_);
    block_ref into = blocks.take(room);
    std::size_t used = 0;
    outcome all = outcome::done;
    while (used < room && all == outcome::done) {
        std::size_t got = 0;
        call().ERR_clear_error();
        const int result = call().SSL_read_ex(ssl_, into->data() + used, room - used, &got);
        if (result == 1)
            used += got;
        else
            all = outcome_of(result);
    }
    if (used * 4 < into->capacity()) {
        to.append_copy(blocks, {into->data(), used});
    } else {
        into->set_used(used);
        const std::uint8_t* data = into->data();
        to.append(slice{std::move(into), data, used});
    }
    return all;
}

tls_connection::outcome tls_connection::encrypt(chain& from, std::size_t batch) {
    const tls_call_scope scope(notes_);
    std::uint8_t together[record_size];
    while (!from.empty() && wire_.unsent() < batch) {
        const slice& first = from[0];
        const std::uint8_t* data = first.data;
        std::size_t n = std::min(first.size, record_size);
        if (n < record_size && from.slices() > 1) {
            n = from.copy_out(together);
            data = together;
        }
        const std::size_t left = std::min(from.size(), batch - wire_.unsent());
        wire_.reserve(left + (left / record_size + 1) * record_overhead);
        std::size_t taken = 0;
        call().ERR_clear_error();
        if (call().SSL_write_ex(ssl_, data, n, &taken) != 1) return outcome::failed;
        from.drop_front(n);
    }
    return outcome::done;
}

tls_connection::outcome tls_connection::close() {
    const tls_call_scope scope(notes_);
    call().ERR_clear_error();
    // 0: ours is said; 1: the peer's has come already.
    return call().SSL_shutdown(ssl_) < 0 ? outcome::failed : outcome::done;
}

error tls_connection::why_failed(bool shaken) const {
    const error e = why_tls_failed(notes_, ssl_, shaken);
    return e.why == reason::protocol_error && !shaken && wire_.strange() ? error{reason::no_tls}
                                                                         : e;
}

}  // namespace libp
