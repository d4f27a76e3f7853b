#include <e2e/forwarder.h>

#include <algorithm>
#include <cerrno>

#include <poll.h>
#include <sys/socket.h>

namespace libp::e2e {

namespace {

constexpr std::size_t lane_size = 64 * kib;

bool would_block(ssize_t n) {
    return n < 0 && (errno == EAGAIN || errno == EINTR);
}

}  // namespace

forwarder::forwarder(const std::string& to) : to_(to) {
    expect(!set_nonblocking(listener_.fd(), true), "O_NONBLOCK");
    thread_ = std::thread([this] { run(); });
}

forwarder::~forwarder() {
    stop_ = true;
    thread_.join();
}

bool forwarder::cut_busiest() {
    std::lock_guard lock(mutex_);
    auto busiest = std::max_element(links_.begin(), links_.end(), [](const link& a, const link& b) {
        return a.carried < b.carried;
    });
    if (busiest == links_.end()) return false;
    cut(*busiest);
    links_.erase(busiest);
    live_ = links_.size();
    return true;
}

void forwarder::cut_all() {
    std::lock_guard lock(mutex_);
    to_.clear();
    for (link& l : links_)
        cut(l);
    links_.clear();
    live_ = 0;
}

void forwarder::open(const std::string& to) {
    std::lock_guard lock(mutex_);
    to_ = to;
}

void forwarder::run() {
    while (!stop_)
        turn();
}

void forwarder::turn() {
    std::vector<pollfd> polled;
    {
        std::lock_guard lock(mutex_);
        for (link& l : links_) {
            for (int i : {0, 1}) {
                const lane &in = l.lanes[i], &out = l.lanes[1 - i];
                bool wants_in = !in.fin && in.begin == in.end, wants_out = out.begin != out.end;
                polled.push_back(
                    {l.ends[i].get(),
                     static_cast<short>((wants_in ? POLLIN : 0) | (wants_out ? POLLOUT : 0)), 0});
            }
        }
    }
    polled.push_back({listener_.fd(), POLLIN, 0});
    // The time limit is for stop_, and for links cut meanwhile.
    if (poll(polled.data(), polled.size(), 20) <= 0) return;

    std::lock_guard lock(mutex_);
    std::size_t at = 0;
    for (link& l : links_) {
        // A link that was cut between the two locks shifted the rest: their turn comes again at
        // once.
        if (at + 2 >= polled.size() || polled[at].fd != l.ends[0].get()) break;
        short near = polled[at].revents, far = polled[at + 1].revents;
        at += 2;
        l.dead = !move(l, 0, near) || !move(l, 1, far);
        if (l.dead) cut(l);
    }
    links_.remove_if(
        [](const link& l) { return l.dead || (l.lanes[0].fin_passed && l.lanes[1].fin_passed); });
    if (polled.back().revents) accept_one();
    live_ = links_.size();
}

void forwarder::accept_one() {
    unique_fd in(::accept4(listener_.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!in) return;
    link l;
    l.ends[0] = std::move(in);
    if (to_.empty()) return cut(l);
    socket_address to = parse_address(to_);
    l.ends[1] = make_socket(to);
    // Loopback: connecting is decided at once.
    if (::connect(l.ends[1].get(), to.raw(), static_cast<socklen_t>(to.raw_size())) != 0 ||
        set_nonblocking(l.ends[1].get(), true))
        return cut(l);
    for (lane& d : l.lanes)
        d.buffer.resize(lane_size);
    links_.push_back(std::move(l));
}

// From ends[from] to the other end. False: the link is broken.
bool forwarder::move(link& l, int from, short in) {
    lane& d = l.lanes[from];
    int source = l.ends[from].get(), sink = l.ends[1 - from].get();
    constexpr short trouble = POLLERR | POLLHUP;
    if ((in & (POLLIN | trouble)) && !d.fin && d.begin == d.end) {
        ssize_t n = recv(source, d.buffer.data(), d.buffer.size(), 0);
        if (n < 0 && !would_block(n)) return false;
        d.begin = 0;
        d.end = n > 0 ? static_cast<std::size_t>(n) : 0;
        d.fin = n == 0;
    }
    if (d.begin != d.end) {
        ssize_t n =
            ::send(sink, d.buffer.data() + d.begin, d.end - d.begin, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && !would_block(n)) return false;
        if (n > 0) {
            d.begin += static_cast<std::size_t>(n);
            l.carried += static_cast<std::uint64_t>(n);
            carried_ += static_cast<std::uint64_t>(n);
        }
    }
    if (d.fin && d.begin == d.end && !d.fin_passed) {
        d.fin_passed = true;
        return shutdown(sink, SHUT_WR) == 0;
    }
    return true;
}

void forwarder::cut(link& l) {
    for (unique_fd& end : l.ends) {
        linger at_once{1, 0};
        // A socket that is gone already needs no RST.
        if (end) setsockopt(end.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        end.reset();
    }
}

}  // namespace libp::e2e
