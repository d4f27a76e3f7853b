#include <kit/resource_limits.h>

#include <kit/value_text.h>

#include <libp/os.h>
#include <libp/pipe_dgm.h>
#include <libp/pipe_tls.h>
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
// stdin, stdout, stderr (twice if it is a terminal), the poller and its wake-up, the signal pipe,
// name look-ups, and second connects that race the first.
constexpr std::size_t own_fds = 20;
constexpr std::size_t select_fds = 1024;  // FD_SETSIZE
// Of them, those that are opened before anybody is served, a listener, and one connection with its
// kernel pipe.
constexpr std::size_t fewest_fds = 13;

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
    std::size_t by_memory = std::max<std::size_t>(1, shared / (2 * least_window + request.overlay));
    std::size_t wanted = request.max_conns ? request.max_conns : default_conns;
    limits.max_conns = std::min({wanted, by_fds, by_memory});
    limits.plenty = request.max_memory - shared;
    std::size_t each = shared / limits.max_conns;
    std::size_t share = (each - std::min(each, request.overlay)) / 2;
    limits.window = std::clamp(share / kib * kib, least_window, most_window);

    if (request.max_conns > limits.max_conns)
        limits.warning = by_fds <= by_memory
                             ? "the descriptor limit is " + std::to_string(request.fds)
                             : "--max-memory is " + size_text(request.max_memory);
    return limits;
}

tls_limits tls_limits_for(const tls_request& request) {
    constexpr std::size_t most_strangers = 256;
    const std::size_t shares = std::max<std::size_t>(request.listeners, 1);
    tls_limits limits;
    limits.overlay = request.per_conn * tls_open_memory;
    if (request.listeners > 0)
        limits.strangers = std::clamp<std::size_t>(
            request.max_memory / 16 / tls_handshake_memory / shares, 1, most_strangers);
    const std::size_t fit = std::max<std::size_t>(1, request.max_memory / 8 / tls_open_memory);
    limits.subflows = std::min(request.subflows, fit) / shares;
    if (request.subflows > 0) limits.subflows = std::max<std::size_t>(limits.subflows, 1);
    limits.memory = std::min(request.max_memory / 2,
                             request.listeners * limits.strangers * tls_handshake_memory +
                                 shares * limits.subflows * tls_open_memory);
    return limits;
}

std::size_t datagram_memory(const stack_spec& end) {
    const layer_spec* dgm = end.filter("dgm");
    if (!dgm) return 0;
    const std::string* max = dgm->find("max");
    return dgm_memory(max ? parse_size(*max).value_or(0) : dgm_options{}.max_datagram);
}

std::size_t datagram_memory(const stack_spec& near, const stack_spec& far) {
    const std::size_t a = datagram_memory(near), b = datagram_memory(far);
    return a > 0 && b > 0 ? 2 * (a + b) : a + b;
}

startup_result check_datagrams(std::size_t needed, std::size_t max_memory) {
    if (needed <= max_memory / 4) return std::nullopt;
    return usage_error("a connection's datagrams need " + size_text(needed) +
                           ", more than a quarter of --max-memory",
                       "--max-memory " + size_text(4 * needed) +
                           ", or smaller ones: --max-datagram SIZE, in a spec dgm,max=SIZE");
}

startup_result check_descriptors() {
    const std::size_t limit = raise_fd_limit();
    const error why = check_fds(fewest_fds);
    if (!why) return std::nullopt;
    return startup_error{exit_code::os_error,
                         "descriptors: " + std::to_string(fewest_fds) +
                             " are needed to begin with, and the limit is " +
                             std::to_string(limit) + ": " + to_string(why),
                         "ulimit -n 1024"};
}

std::size_t usable_fds() {
    const std::size_t limit = raise_fd_limit();
    return os_has_epoll ? limit : std::min(limit, select_fds);
}

}  // namespace libp::app
