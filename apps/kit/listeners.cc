#include <kit/listeners.h>

#include <libp/pipe_socket.h>
#include <libp/resolver.h>

#include <utility>

namespace libp::app {

namespace {

// The system has no such address here, but may have the name's others.
bool not_here(const error& e) {
    return e.why == reason::unreachable || e.why == reason::unsupported || e.why == reason::system;
}

// "-c :80" to paste; who listens on one address alone shall not open his port to all because of
// that.
std::string with_port(socket_address at, char letter, unsigned port) {
    at.set_port(static_cast<std::uint16_t>(port));
    return std::string("-") + letter + " " +
           (at.is_wildcard() ? ":" + std::to_string(port) : at.to_string());
}

std::string hint_for(const socket_address& at, const error& e, char letter) {
    if (e.why == reason::address_in_use && at.is_ip())
        return "choose another port, e.g. " +
               with_port(at, letter, at.port() == 65535 ? 0 : at.port() + 1u);
    if (e.why == reason::address_in_use)
        return "is another one running? If not, and it is no socket: rm " + at.path();
    if (e.why == reason::permission && at.is_ip() && at.port() < 1024)
        return "ports below 1024 need privileges; choose another, e.g. " +
               with_port(at, letter, at.port() + 8000u);
    return {};
}

startup_error cannot_bind(const socket_address& at, const error& e, char letter) {
    return {exit_code::cannot_bind, "listen: " + at.to_string() + ": " + to_string(e),
            hint_for(at, e, letter)};
}

}  // namespace

startup_result addresses_to_bind(const stack_spec& at, std::vector<socket_address>& to) {
    const auto failed = [&at](exit_code code, const error& why) {
        return startup_error{code, "listen: " + at.address.to_string() + ": " + to_string(why), {}};
    };
    if (at.address.is_unix()) {
        const auto path = socket_address::from_path(at.address.unix_path);
        if (!path) return failed(exit_code::cannot_bind, path.error());
        to = {*path};
        return std::nullopt;
    }
    auto found = resolve_now(at.address.where.host, at.address.where.port, true);
    if (!found) return failed(exit_code::no_host, found.error());
    to = *std::move(found);
    return std::nullopt;
}

listeners::listeners(event_loop& loop, const log& out, const stack_spec& at, const tcp_options& tcp,
                     arrival arrived, const stack_tls& tls, const bounds& most)
    : loop_(loop),
      log_(out),
      spec_(at),
      tcp_(tcp),
      tls_(tls),
      arrived_(arrived),
      most_(most),
      strangers_(loop, most.strangers, handshakes::arrival::to<&listeners::on_shaken>(*this),
                 handshakes::loss::to<&listeners::on_lost>(*this)),
      trouble_quiet_(loop, delegate<void()>::to<&listeners::log_trouble>(*this)) {}

listeners::~listeners() = default;

startup_result listeners::bind(const socket_address& at, char letter, error& why) {
    auto fd = listen_on(at);
    why = fd ? error{} : fd.error();
    if (fd && os_accepted_inherit_options) why = set_tcp_options(fd->get(), tcp_);
    if (why) return cannot_bind(at, why, letter);
    if (const std::string path = at.path(); !path.empty() && path[0] != '@')
        files_.emplace_back(path);
    open_.push_back(std::make_unique<io_listener>(
        loop_, std::move(*fd), io_listener::accepted::to<&listeners::on_accept>(*this),
        delegate<void(error)>::to<&listeners::on_trouble>(*this)));
    return std::nullopt;
}

startup_result listeners::open(char letter) {
    std::vector<socket_address> found;
    if (auto e = addresses_to_bind(spec_, found)) return e;
    startup_result skipped;
    for (const socket_address& at : found) {
        error why;
        startup_result failed = bind(at, letter, why);
        if (failed && !not_here(why)) return failed;
        if (failed && !skipped) skipped = std::move(failed);
    }
    return open_.empty() ? skipped : std::nullopt;
}

std::vector<socket_address> listeners::addresses() const {
    std::vector<socket_address> all;
    for (const auto& l : open_)
        all.push_back(l->address());
    return all;
}

void listeners::log_open(std::string_view name) const {
    for (const socket_address& at : addresses())
        log_.write(log_level::info, "listen", {{"listener", name}, {"addr", at.to_string()}});
}

void listeners::pause() {
    strangers_.hold();
    for (auto& l : open_)
        l->pause();
}

void listeners::resume() {
    for (auto& l : open_)
        l->resume();
    strangers_.release();
}

void listeners::retry() {
    for (auto& l : open_)
        l->retry();
}

void listeners::close() {
    closed_ = true;
    files_.clear();
    for (auto& l : open_) {
        l->pause();
        loop_.retire(std::move(l));
    }
    open_.clear();
    trouble_quiet_.cancel();
    strangers_.clear();
}

void listeners::on_accept(unique_fd fd, const socket_address& peer) {
    if (closed_) return close_with_reset(std::move(fd));
    const auto paid = admit(peer);
    if (!paid) return turn_away(std::move(fd));
    if (!os_accepted_inherit_options) {
        // The connection is as good without; if it is dead already, the pipe will say so.
        std::ignore = set_tcp_options(fd.get(), tcp_);
    }
    auto pipe = wrap_in_filters(loop_, make_socket_pipe(loop_, std::move(fd), peer), spec_, tls_);
    if (tls_.credentials)
        strangers_.add(std::move(pipe), peer, *paid);
    else
        arrived_(std::move(pipe), peer);
}

std::optional<failure_budget::toll> listeners::admit(const socket_address& peer) {
    if (!tls_.credentials) return failure_budget::toll::nothing;
    // The oldest stranger makes room for another, so that he adds no pipe.
    if (tls_.credentials->pipes() >= most_.pipes && !strangers_.full()) return std::nullopt;
    return failures_.admit(peer, loop_.now());
}

void listeners::on_shaken(std::unique_ptr<io_pipe> pipe, const socket_address& peer,
                          failure_budget::toll paid) {
    failures_.proved(peer, paid, loop_.now());
    arrived_(std::move(pipe), peer);
}

// Whoever was refused has been told of by now, and who went away by himself is nobody's loss.
void listeners::on_lost(error why, const socket_address& peer) {
    if (why.why != reason::handshake_timeout) return;
    tls_refusal late;
    late.why = why;
    late.server = true;
    late.peer = peer.to_string();
    tls_.credentials->refused(late);
}

void listeners::turn_away(unique_fd fd) {
    close_with_reset(std::move(fd));
    ++turned_away_;
    if (loop_.now() < log_next_) return;
    log_.write(
        log_level::warn, "listen",
        {{"turned_away", std::exchange(turned_away_, 0)},
         {"why", "too many connections, or too many that do not get through the handshake"}});
    log_next_ = loop_.now() + 1s;
}

void listeners::on_trouble(error why) {
    if (why) {
        ++troubled_;
        trouble_ = why;
    } else {
        --troubled_;
    }
    if (!trouble_quiet_.armed()) log_trouble();
}

void listeners::log_trouble() {
    if (trouble_logged_ == (troubled_ > 0)) return;
    trouble_logged_ = !trouble_logged_;
    if (trouble_logged_)
        log_.write(log_level::warn, "listen", {{"paused", to_string(trouble_)}});
    else
        log_.write(log_level::info, "listen", {{"paused", "no longer"}});
    trouble_quiet_.arm_in(1s);
}

}  // namespace libp::app
