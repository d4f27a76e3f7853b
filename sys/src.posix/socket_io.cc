#include <libp/assert.h>
#include <libp/socket.h>

#include "os_calls.h"

#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

namespace libp {

namespace {

#ifdef IOV_MAX
constexpr std::size_t system_most = IOV_MAX;
#else
constexpr std::size_t system_most = 16;  // _XOPEN_IOV_MAX: what every system grants
#endif
constexpr std::size_t most_slices = std::min<std::size_t>(64, system_most);
constexpr std::size_t most_buffers = std::min<std::size_t>(16, system_most);

#ifdef PIPE_BUF
constexpr std::size_t pipe_takes_whole = PIPE_BUF;
#else
constexpr std::size_t pipe_takes_whole = _POSIX_PIPE_BUF;
#endif

struct vectors {
    iovec at[most_slices];
    std::size_t count = 0;

    explicit vectors(std::span<const mutable_bytes> buffers) noexcept {
        for (const mutable_bytes& b : buffers.first(std::min(buffers.size(), most_buffers)))
            if (!b.empty()) at[count++] = {b.data(), b.size()};
        check(count > 0, "receiving into no room would look like the end");
    }
    vectors(const chain& data, std::size_t max) noexcept {
        check(!data.empty() && max > 0, "sending nothing");
        for (std::size_t i = 0; i < data.slices() && count < most_slices && max > 0; ++i) {
            const bytes piece = data[i].view().first(std::min(data[i].size, max));
            max -= piece.size();
            // iovec is for both directions; a send does not write through it.
            at[count++] = {const_cast<std::uint8_t*>(piece.data()), piece.size()};
        }
    }
    msghdr message() noexcept {
        msghdr m{};
        m.msg_iov = at;
        m.msg_iovlen = static_cast<decltype(m.msg_iovlen)>(count);
        return m;
    }
};

io_result failed() noexcept {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return io_result::again();
    return io_result::broken(last_error());
}

io_result received(ssize_t n) noexcept {
    if (n > 0) return io_result::moved(static_cast<std::size_t>(n));
    return n == 0 ? io_result::fin() : failed();
}

io_result sent(ssize_t n) noexcept {
    return n >= 0 ? io_result::moved(static_cast<std::size_t>(n)) : failed();
}

// A terminal that hung up fails with EIO; so does a bad disk, which must not be taken for an end.
// Asking isatty(3) would not do, it fails on a terminal that hung up.
bool hung_up(fd_type fd) noexcept {
    if (errno != EIO) return false;
    struct stat file {};
    const bool terminal = fstat(fd, &file) == 0 && S_ISCHR(file.st_mode);
    errno = EIO;
    return terminal;
}

}  // namespace

io_result receive(fd_type fd, std::span<const mutable_bytes> buffers) noexcept {
    vectors to(buffers);
    msghdr message = to.message();
    return received(uninterrupted([&] { return recvmsg(fd, &message, 0); }));
}

io_result transmit(fd_type fd, const chain& data, std::size_t max) noexcept {
    vectors from(data, max);
    const msghdr message = from.message();
    return sent(uninterrupted([&] { return sendmsg(fd, &message, MSG_NOSIGNAL); }));
}

io_result read_from(fd_type fd, std::span<const mutable_bytes> buffers) noexcept {
    const vectors to(buffers);
    const ssize_t n = uninterrupted([&] { return readv(fd, to.at, static_cast<int>(to.count)); });
    if (n < 0 && hung_up(fd)) return io_result::fin();
    return received(n);
}

io_result write_to(fd_type fd, const chain& data, std::size_t max) noexcept {
    const vectors from(data, max);
    const ssize_t n =
        uninterrupted([&] { return writev(fd, from.at, static_cast<int>(from.count)); });
    if (n < 0 && hung_up(fd)) return io_result::broken({reason::peer_reset, EIO});
    return sent(n);
}

io_result write_at_once(fd_type fd, std::string_view text) noexcept {
    check(!text.empty(), "writing nothing");
    pollfd to{fd, POLLOUT, 0};
    if (uninterrupted([&] { return poll(&to, 1, 0); }) <= 0) return io_result::again();
    const std::size_t size = std::min(text.size(), pipe_takes_whole);
    return sent(uninterrupted([&] { return write(fd, text.data(), size); }));
}

}  // namespace libp
