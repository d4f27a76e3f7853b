#pragma once

// Name resolution off the loop: getaddrinfo(3) blocks for as long as DNS takes, so it runs on worker threads.
//
// resolve() returns at once; the callback is called later, exactly once, ON A WORKER THREAD: it should do nothing but
// post the result to its loop. A numeric address or UNIX path never needs the resolver.
// (If the system has no thread for the first request, resolve() itself calls back, with a limit: posting works there too.)
// Destroying the resolver does not wait for a getaddrinfo that hangs: pending callbacks are dropped, and none is running or will run
// once the destructor has returned. So a callback must not destroy its resolver.

#include <libp/result.h>
#include <libp/socket_address.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace libp {

class resolver {
  public:
    // The addresses in the order the system prefers (RFC 6724). Errors: resolve_failed, with a resolve_trouble.
    using answer = result<std::vector<socket_address>>;
    using callback = std::function<void(answer)>;

    // `workers`: how many names may be looked up at once. Threads start with the first request.
    explicit resolver(unsigned workers = 4);
    ~resolver();
    resolver(const resolver&) = delete;
    resolver& operator=(const resolver&) = delete;

    // `host` a name or a numeric address, `service` a number or a service name, TCP.
    // An empty host with `passive` is the wildcard, without it loopback.
    void resolve(std::string host, std::string service, bool passive, callback done);

  private:
    struct shared;
    std::shared_ptr<shared>
        shared_;  // the worker threads' share outlives a resolver whose name server hangs
    unsigned workers_;
};

// Blocking, for start-up only.
resolver::answer resolve_now(const std::string& host, const std::string& service, bool passive);

}  // namespace libp
