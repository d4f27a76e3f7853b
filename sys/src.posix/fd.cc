#include <libp/fd.h>

#include "os_calls.h"

#include <fcntl.h>
#include <unistd.h>

namespace libp {

void unique_fd::reset(fd_type fd) noexcept {
    const fd_type old = std::exchange(fd_, fd);
    // Not retried on EINTR: the descriptor may be gone already, and its number somebody else's.
    if (old != no_fd) close(old);
}

error set_nonblocking(fd_type fd, bool on) noexcept {
    const int old = fcntl(fd, F_GETFL);
    if (old == -1) return last_error();
    const int wanted = on ? old | O_NONBLOCK : old & ~O_NONBLOCK;
    if (wanted != old && fcntl(fd, F_SETFL, wanted) == -1) return last_error();
    return {};
}

bool is_nonblocking(fd_type fd) noexcept {
    const int now = fcntl(fd, F_GETFL);
    return now != -1 && (now & O_NONBLOCK) != 0;
}

bool fd_is_open(fd_type fd) noexcept {
    return fcntl(fd, F_GETFD) != -1;
}

}  // namespace libp
