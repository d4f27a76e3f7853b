#include "tls_wire.h"

#include <algorithm>

namespace libp {
namespace {

constexpr std::size_t read_size = 128 * kib;
constexpr std::size_t most_block = 256 * kib;
// What OpenSSL may write by itself (handshakes, alerts, key updates) while nothing leaves below.
constexpr std::size_t own_writes_bound = 1 * mib;

}  // namespace

std::size_t tls_wire::take(char* to, std::size_t size) {
    if (in_.empty()) refill();
    const std::size_t n = in_.copy_out({reinterpret_cast<std::uint8_t*>(to), size});
    in_.drop_front(n);
    return n;
}

void tls_wire::refill() {
    if (over_ || allowed_ == 0 || !lower_->has(io_flag::readable)) return;
    const io_result r = lower_->recv(in_, std::min(read_size, allowed_));
    allowed_ -= std::min(allowed_, r.bytes);
    // What came before was taken: in_ was empty.
    if (first_size_ < sizeof first_)
        first_size_ += in_.copy_out(std::span(first_).subspan(first_size_));
    if (r.ok() && r.bytes == 0) {
        lower_->reset();
        over_ = true;
        why_ = {reason::protocol_error};
    }
    if (r.status != io_status::fin && r.status != io_status::broken) return;
    over_ = true;
    why_ = r.why;
}

bool tls_wire::give(bytes data) {
    if (out_.size() + data.size() > own_writes_bound) return false;
    out_.append_copy(loop_.blocks(), data, std::min(reserve_, most_block));
    reserve_ -= std::min(reserve_, data.size());
    return true;
}

error tls_wire::flush() {
    const std::size_t most = lower_->max_datagram();
    while (!out_.empty() && lower_->has(io_flag::writable)) {
        io_result r;
        if (out_.size() <= most) {
            r = lower_->send(out_);
        } else {
            chain datagram;
            out_.share(datagram, 0, most);
            r = lower_->send(datagram);
            if (r.ok()) out_.drop_front(most);
        }
        if (r.status == io_status::broken) return r.why;
        if (!r.ok()) break;
    }
    return {};
}

}  // namespace libp
