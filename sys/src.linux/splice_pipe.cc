#include <libp/assert.h>
#include <libp/splice_pipe.h>

#include "os_calls.h"

#include <fcntl.h>

#include <algorithm>
#include <tuple>

namespace libp {

namespace {

// Below this, splicing costs more than copying. It is also what a new kernel pipe holds, unless its
// owner is past fs.pipe-user-pages-soft and gets a stunted one.
constexpr std::size_t least_capacity = 64 * 1024;

std::size_t capacity_of(fd_type pipe) noexcept {
    const int now = fcntl(pipe, F_GETPIPE_SZ);
    return now > 0 ? static_cast<std::size_t>(now) : 0;
}

// Asks for `wanted`, then for half of that and so on until the system agrees or the pipe has as
// much already.
std::size_t enlarge(fd_type pipe, std::size_t wanted) noexcept {
    const std::size_t had = capacity_of(pipe);
    for (std::size_t size = wanted; size > had; size /= 2)
        if (fcntl(pipe, F_SETPIPE_SZ, static_cast<int>(size)) != -1) return capacity_of(pipe);
    return had;
}

io_result failed() noexcept {
    if (errno == EAGAIN) return io_result::again();
    // EINVAL: one of the two cannot splice. Its owner copies instead.
    if (errno == EINVAL) return io_result::broken({reason::unsupported, EINVAL});
    return io_result::broken(last_error());
}

constexpr unsigned how = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;

}  // namespace

result<splice_pipe> splice_pipe::make(std::size_t want_capacity) {
    splice_pipe made;
    std::tie(made.read_end_, made.write_end_) = open_pipe();
    if (!made.read_end_) return last_error();
    made.capacity_ = enlarge(made.write_end_.get(), std::min<std::size_t>(want_capacity, 1 << 30));
    if (made.capacity_ < std::min(want_capacity, least_capacity)) return error{reason::limit};
    return made;
}

io_result splice_pipe::fill(fd_type from, std::size_t max) noexcept {
    check(max > 0, "a fill of nothing would look like the end");
    const std::size_t n = std::min(max, capacity_ - held_);
    if (n == 0) return io_result::again();
    const ssize_t moved =
        uninterrupted([&] { return splice(from, nullptr, write_end_.get(), nullptr, n, how); });
    // The pipe may be full before `capacity_`: every fragment of a packet takes a whole slot. Then,
    // as with an empty socket, the kernel says EAGAIN, and held() > 0 tells the caller to drain
    // first.
    if (moved < 0) return failed();
    if (moved == 0) return io_result::fin();
    held_ += static_cast<std::size_t>(moved);
    return io_result::moved(static_cast<std::size_t>(moved));
}

io_result splice_pipe::drain(fd_type to) noexcept {
    check(held_ > 0, "an empty splice_pipe was drained");
    const ssize_t moved =
        uninterrupted([&] { return splice(read_end_.get(), nullptr, to, nullptr, held_, how); });
    if (moved < 0) return failed();
    check(moved > 0, "the kernel lost what a splice_pipe held");
    held_ -= static_cast<std::size_t>(moved);
    return io_result::moved(static_cast<std::size_t>(moved));
}

}  // namespace libp
