#include <libp/resolver.h>

#include <libp/assert.h>

#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>

namespace libp {

namespace {

error trouble_of(int code) noexcept {
    switch (code) {
        case EAI_SERVICE:
            return {reason::resolve_failed, unknown_service};
        case EAI_AGAIN:
            return {reason::resolve_failed, no_answer};
        case EAI_FAIL:
        case EAI_MEMORY:
        case EAI_SYSTEM:
            return {reason::resolve_failed, resolver_failed};
        default:
            return {reason::resolve_failed, unknown_name};
    }
}

}  // namespace

resolver::answer resolve_now(const std::string& host, const std::string& service, bool passive) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_protocol = IPPROTO_TCP;
    hints.ai_flags = passive ? AI_PASSIVE : 0;
    addrinfo* found = nullptr;
    const int code = getaddrinfo(host.empty() ? nullptr : host.c_str(),
                                 service.empty() ? nullptr : service.c_str(), &hints, &found);
    if (code != 0) return trouble_of(code);

    std::vector<socket_address> addresses;
    for (const addrinfo* a = found; a != nullptr; a = a->ai_next) {
        const auto address = socket_address::from_raw(a->ai_addr, a->ai_addrlen);
        // A hosts file that names a host twice must not make us try its address twice.
        if (address.is_ip() && std::ranges::find(addresses, address) == addresses.end())
            addresses.push_back(address);
    }
    freeaddrinfo(found);
    if (addresses.empty()) return error{reason::resolve_failed, unknown_name};
    return addresses;
}

// What the resolver and its workers have between them. The callbacks stay here while a worker looks
// names up, so that the destructor can drop them without waiting for the worker.
//
// Invariants, under `mutex`:
//   - a callback is in `waiting`, or called (`calling` counts those), or done with;
//   - what is in `queue` is in `waiting`;
//   - once `closed`, `waiting` and `queue` are empty for good and no call begins.
struct resolver::shared {
    struct request {
        std::string host, service;
        bool passive;
    };

    std::mutex mutex;
    std::condition_variable work;            // a request came, or closed
    std::condition_variable returned;        // a callback returned
    std::map<std::uint64_t, request> queue;  // their turn has not come, oldest first
    std::map<std::uint64_t, callback> waiting;
    std::uint64_t next_id = 0;
    unsigned threads = 0;
    unsigned idle = 0;
    unsigned calling = 0;
    bool closed = false;

    void run();
    bool start_thread(const std::shared_ptr<shared>& self) noexcept;
};

void resolver::shared::run() {
    std::unique_lock lock(mutex);
    for (;;) {
        ++idle;
        work.wait(lock, [this] { return closed || !queue.empty(); });
        --idle;
        if (closed) return;
        const auto next = queue.extract(queue.begin());
        const request& r = next.mapped();

        lock.unlock();
        answer found = resolve_now(r.host, r.service, r.passive);
        lock.lock();

        const auto at = waiting.find(next.key());
        if (at == waiting.end()) continue;  // dropped
        callback done = std::move(at->second);
        waiting.erase(at);
        ++calling;
        lock.unlock();
        done(std::move(found));
        done = nullptr;  // what it captured may belong to the resolver's owner, who is waiting
        lock.lock();
        --calling;
        returned.notify_all();
    }
}

// Signals are the main thread's business: the worker starts with all of them blocked.
bool resolver::shared::start_thread(const std::shared_ptr<shared>& self) noexcept {
    sigset_t all, before;
    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0) return false;
    bool started = true;
    try {
        std::thread([self] { self->run(); }).detach();
    } catch (const std::system_error&) {
        started = false;
    }
    check(pthread_sigmask(SIG_SETMASK, &before, nullptr) == 0, "the signal mask was lost");
    return started;
}

resolver::resolver(unsigned workers) : shared_(std::make_shared<shared>()), workers_(workers) {
    check(workers > 0, "a resolver needs a worker");
}

resolver::~resolver() {
    std::map<std::uint64_t, callback> dropped;  // dies after the lock is gone: callbacks own things
    std::unique_lock lock(shared_->mutex);
    shared_->closed = true;
    shared_->queue.clear();
    dropped.swap(shared_->waiting);
    shared_->work.notify_all();
    shared_->returned.wait(lock, [this] { return shared_->calling == 0; });
}

resolver::lookup resolver::resolve(std::string host, std::string service, bool passive,
                                   callback done) {
    std::unique_lock lock(shared_->mutex);
    if (shared_->queue.size() >= shared_->idle && shared_->threads < workers_) {
        if (shared_->start_thread(shared_)) {
            ++shared_->threads;
        } else if (shared_->threads == 0) {
            lock.unlock();
            done(error{reason::limit, EAGAIN});
            return {};
        }
    }
    const std::uint64_t id = shared_->next_id++;
    shared_->waiting.emplace(id, std::move(done));
    shared_->queue.emplace(id, shared::request{std::move(host), std::move(service), passive});
    shared_->work.notify_one();
    return {shared_, id};
}

resolver::lookup::~lookup() {
    const std::shared_ptr<shared> of = of_.lock();
    if (!of) return;
    std::map<std::uint64_t, callback>::node_type dropped;  // dies after the lock is gone
    const std::lock_guard lock(of->mutex);
    of->queue.erase(id_);
    dropped = of->waiting.extract(id_);
}

std::size_t resolver::waiting() const {
    const std::lock_guard lock(shared_->mutex);
    return shared_->waiting.size();
}

}  // namespace libp
