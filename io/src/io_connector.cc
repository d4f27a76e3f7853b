#include <libp/io_connector.h>
#include <libp/number.h>
#include <libp/pipe_socket.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <utility>

#include "happy_eyeballs.h"

namespace libp {

namespace {

// How soon to try a UNIX socket again whose listener has its backlog full: connect(2) does not wait
// there.
constexpr duration busy_pause = 20ms;

bool is_busy(const socket_address& to, error e) noexcept {
    return to.family() == address_family::unix_path &&
           (e.os_errno == EAGAIN || e.os_errno == EWOULDBLOCK);
}

bool is_connected(fd_type fd) noexcept {
    return peer_address(fd).family() != address_family::none;
}

// The address that needs no resolver, if `to` is one. Errors: a UNIX path that is none here.
result<std::optional<socket_address>> address_of(const endpoint& to) {
    if (to.is_unix()) {
        result<socket_address> at = socket_address::from_path(to.unix_path);
        if (!at) return at.error();
        return std::optional(*at);
    }
    if (const auto port = number_of<std::uint16_t>(to.where.port))
        if (result<socket_address> at = socket_address::from_ip(to.where.host, *port))
            return std::optional(*at);
    return std::optional<socket_address>();
}

}  // namespace

struct io_connector::core {
    core(event_loop& on, const connector_options& wanted, done on_done);
    ~core();

    void begin();
    void resolve();
    void resolved(resolver::answer found);
    void stop_resolving() noexcept;
    void try_addresses(std::vector<socket_address> found);
    void advance();
    bool start(std::size_t index);
    void succeed(std::size_t index, unique_fd fd);
    void finish(result<std::unique_ptr<io_pipe>> outcome);
    void on_timeout();

    // A connect(2) under way.
    struct attempt {
        attempt(core& of, std::size_t i, unique_fd socket) noexcept
            : owner(of), index(i), fd(std::move(socket)) {}
        void on_ready(flags<io_ready>) { owner.decided(*this); }
        core& owner;
        std::size_t index;
        unique_fd fd;
        io_watch watch;
    };
    void decided(attempt& a);

    // Where the resolver's thread leaves its answer, and the one object here that two threads hold:
    // the connector may be gone, and its loop with it, before the answer comes. Hence the
    // shared_ptr, and the lock: while `home` is set its loop is alive, because whoever clears it
    // holds the lock.
    struct mailbox {
        std::mutex lock;
        core* home = nullptr;
    };
    static void deliver(const std::shared_ptr<mailbox>& box, resolver::answer found);

    event_loop& loop;
    resolver* names = nullptr;  // not with addresses that were given
    endpoint to;
    connector_options options;
    done call;

    std::shared_ptr<mailbox> box;
    resolver::lookup name;
    std::vector<socket_address> addresses;  // given, or found
    happy_eyeballs race{0, duration{0}};
    std::vector<std::unique_ptr<attempt>> attempts;
    socket_address connected;

    deferred first;
    timer next;     // the race's next attempt, or a busy UNIX socket's next try
    timer timeout;  // of everything
};

io_connector::core::core(event_loop& on, const connector_options& wanted, done on_done)
    : loop(on),
      options(wanted),
      call(on_done),
      first(on, delegate<void()>::to<&core::begin>(*this)),
      next(on, delegate<void()>::to<&core::advance>(*this)),
      timeout(on, delegate<void()>::to<&core::on_timeout>(*this)) {
    first.schedule();
    if (options.timeout > duration{0}) timeout.arm_in(options.timeout);
}

io_connector::core::~core() {
    stop_resolving();
}

void io_connector::core::begin() {
    if (!names) return try_addresses(interleave_families(addresses));
    result<std::optional<socket_address>> at = address_of(to);
    if (!at) return finish(at.error());
    if (*at) return try_addresses({**at});
    resolve();
}

// -- resolving ------------------------------------------------------------------------------------

void io_connector::core::resolve() {
    box = std::make_shared<mailbox>();
    box->home = this;
    name =
        names->resolve(to.where.host, to.where.port, false,
                       [mine = box](resolver::answer found) { deliver(mine, std::move(found)); });
}

void io_connector::core::stop_resolving() noexcept {
    if (!box) return;
    name = {};
    std::lock_guard held(box->lock);
    box->home = nullptr;
}

// On the resolver's thread; what it posts runs on the loop's.
void io_connector::core::deliver(const std::shared_ptr<mailbox>& box, resolver::answer found) {
    std::lock_guard held(box->lock);
    if (!box->home) return;
    box->home->loop.post([box, found = std::move(found)] {
        // Only this thread clears `home`: no lock is needed to read it here, and none may be held,
        // because the connector may die in what follows.
        if (core* home = box->home) home->resolved(found);
    });
}

void io_connector::core::resolved(resolver::answer found) {
    if (!found) return finish(found.error());
    if (found->empty()) return finish(error{reason::resolve_failed, 0});
    try_addresses(interleave_families(*found));
}

// -- connecting -----------------------------------------------------------------------------------

void io_connector::core::try_addresses(std::vector<socket_address> found) {
    addresses = std::move(found);
    if (options.admit) {
        std::erase_if(addresses, [this](const socket_address& a) { return !options.admit(a); });
        if (addresses.empty()) return finish(error{reason::not_allowed});
    }
    race = happy_eyeballs(addresses.size(), options.stagger);
    if (options.connect_within > duration{0})
        timeout.arm(std::min(timeout.due(), loop.now() + options.connect_within));
    advance();
}

void io_connector::core::advance() {
    while (std::optional<std::size_t> index = race.begin(loop.now()))
        if (!start(*index)) return;
    if (race.lost()) return finish(race.why());
    next.arm(race.due());
}

// False: there is nothing more to do now. It has succeeded (and may be gone), or tries the same
// address again in a while.
bool io_connector::core::start(std::size_t index) {
    result<unique_fd> fd = start_connect(addresses[index], options.socket);
    if (!fd && is_busy(addresses[index], fd.error())) {
        race = happy_eyeballs(addresses.size(), options.stagger);  // a UNIX socket is the only one
        next.arm_in(busy_pause);
        return false;
    }
    if (!fd) {
        race.failed(index, fd.error());
        return true;
    }
    // On this machine the other end has answered before connect(2) returns: no need to wait to be
    // told.
    if (addresses[index].is_loopback() && is_connected(fd->get())) {
        succeed(index, *std::move(fd));
        return false;
    }
    auto a = std::make_unique<attempt>(*this, index, std::move(*fd));
    error e = a->watch.open(loop, a->fd.get(), io_watch::callback::to<&attempt::on_ready>(*a),
                            io_interest::write);
    if (e) {
        race.failed(index, e);
        return true;
    }
    attempts.push_back(std::move(a));
    return true;
}

void io_connector::core::decided(attempt& a) {
    std::size_t index = a.index;
    error e = take_error(a.fd.get());
    a.watch.close();
    if (!e) return succeed(index, std::move(a.fd));

    std::erase_if(attempts, [&](const std::unique_ptr<attempt>& x) { return x.get() == &a; });
    race.failed(index, e);
    advance();
}

// -- the end --------------------------------------------------------------------------------------

void io_connector::core::succeed(std::size_t index, unique_fd fd) {
    connected = addresses[index];
    // Options are refinements: a connection that cannot have them works without, and one that is
    // dead already says so when it is first used.
    tcp_options wanted = options.tcp;
    // A peer on this machine cannot vanish without the kernel saying so.
    if (connected.is_loopback()) wanted.keepalive_idle = duration{0};
    (void)set_tcp_options(fd.get(), wanted);
    finish(make_socket_pipe(loop, std::move(fd), connected));
}

void io_connector::core::on_timeout() {
    finish(error{reason::timed_out, 0});
}

// Nothing of the connector is touched after the call: it may be destroyed there.
void io_connector::core::finish(result<std::unique_ptr<io_pipe>> outcome) {
    attempts.clear();
    next.cancel();
    timeout.cancel();
    stop_resolving();
    call(std::move(outcome));
}

// -- the interface --------------------------------------------------------------------------------

io_connector::io_connector(event_loop& loop, resolver& names, const endpoint& to,
                           const connector_options& options, done call)
    : core_(std::make_unique<core>(loop, options, call)) {
    core_->names = &names;
    core_->to = to;
}

io_connector::io_connector(event_loop& loop, std::vector<socket_address> addresses,
                           const connector_options& options, done call)
    : core_(std::make_unique<core>(loop, options, call)) {
    check(!addresses.empty(), "a connector without an address");
    core_->addresses = std::move(addresses);
}

io_connector::~io_connector() = default;

const socket_address& io_connector::connected_to() const noexcept {
    return core_->connected;
}

}  // namespace libp
