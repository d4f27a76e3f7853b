#include <kit/resource_limits.h>

#include <kit/value_text.h>

#include <libp/os.h>
#include <libp/process.h>
#include <libp/types.h>

#include <algorithm>
#include <string_view>

namespace libp::app {

namespace {

constexpr std::size_t least_window = 8 * kib;
constexpr std::size_t most_window = 256 * kib;
constexpr std::size_t default_conns = 1000;
constexpr std::size_t most_splice_pipes = 64;
// stdin, stdout, stderr, the poller and its wake-up, the signal pipe, name look-ups, and second
// connects that race the first.
constexpr std::size_t own_fds = 20;
constexpr std::size_t select_fds = 1024;  // FD_SETSIZE

}  // namespace

resource_limits limits_for(const resource_request& request) {
    std::size_t taken = own_fds + request.reserved;
    std::size_t fds = request.fds > taken ? request.fds - taken : 0;
    resource_limits limits;
    if (request.splice && os_has_splice)
        limits.splice_pipes = std::clamp<std::size_t>(fds / 32, 1, most_splice_pipes);
    fds -= std::min(fds, 2 * limits.splice_pipes);

    std::size_t by_fds = std::max<std::size_t>(1, fds / 2);
    // Half is shared evenly; the other half goes to whoever moves bulk.
    std::size_t shared = request.max_memory / 2;
    std::size_t by_memory = std::max<std::size_t>(1, shared / (2 * least_window));
    std::size_t wanted = request.max_conns ? request.max_conns : default_conns;
    limits.max_conns = std::min({wanted, by_fds, by_memory});
    limits.plenty = request.max_memory - shared;
    std::size_t share = shared / (2 * limits.max_conns);
    limits.window = std::clamp(share / kib * kib, least_window, most_window);

    if (request.max_conns > limits.max_conns)
        limits.warning = by_fds <= by_memory
                             ? "the descriptor limit is " + std::to_string(request.fds)
                             : "--max-memory is " + size_text(request.max_memory);
    return limits;
}

const char* default_backend() noexcept {
    return os_has_epoll ? "epoll" : "select";
}

std::size_t usable_fds(const char* backend) {
    std::size_t limit = raise_fd_limit();
    return std::string_view(backend) == "select" ? std::min(limit, select_fds) : limit;
}

}  // namespace libp::app
