#pragma once

// Name resolution off the loop: getaddrinfo(3) blocks for as long as DNS takes, so it runs on
// worker threads.
//
// resolve() returns at once; the callback is called later, exactly once, ON A WORKER THREAD: it
// should do nothing but post the result to its loop. A numeric address or UNIX path never needs the
// resolver. (If the system has no thread for the first request, resolve() itself calls back, with a
// limit: posting works there too.) Destroying a lookup cancels its callback, unless that is already
// running; a name still queued is then never looked up. Destroying the resolver does not wait for a
// getaddrinfo that hangs: pending callbacks are dropped, and none is running or will run once the
// destructor has returned. So a callback must not destroy its resolver.

#include <libp/result.h>
#include <libp/socket_address.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace libp {

class resolver {
    struct shared;

  public:
    // The addresses in the order the system prefers (RFC 6724). Errors: resolve_failed, with a
    // resolve_trouble.
    using answer = result<std::vector<socket_address>>;
    using callback = std::function<void(answer)>;

    // A name that somebody waits for. May outlive the resolver.
    class lookup {
      public:
        lookup() noexcept = default;
        lookup(lookup&&) noexcept = default;
        lookup& operator=(lookup other) noexcept {
            of_.swap(other.of_);
            std::swap(id_, other.id_);
            return *this;
        }
        ~lookup();

      private:
        friend class resolver;
        lookup(const std::shared_ptr<shared>& of, std::uint64_t id) noexcept : of_(of), id_(id) {}
        std::weak_ptr<shared> of_;
        std::uint64_t id_ = 0;
    };

    // `workers`: how many names may be looked up at once. Threads start with the first request.
    explicit resolver(unsigned workers = 4);
    ~resolver();
    resolver(const resolver&) = delete;
    resolver& operator=(const resolver&) = delete;

    // `host` a name or a numeric address, `service` a number or a service name, TCP.
    // An empty host with `passive` is the wildcard, without it loopback.
    [[nodiscard]] lookup resolve(std::string host, std::string service, bool passive,
                                 callback done);
    // How many names are neither answered nor cancelled.
    std::size_t waiting() const;

  private:
    std::shared_ptr<shared>
        shared_;  // the worker threads' share outlives a resolver whose name server hangs
    unsigned workers_;
};

// Blocking, for start-up only.
resolver::answer resolve_now(const std::string& host, const std::string& service, bool passive);

}  // namespace libp
