#pragma once

// A path that can be cut: forwards TCP connections to one address from a thread of its own, and
// breaks them (RST on both sides) when told to.

#include <e2e/peer.h>

#include <atomic>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace libp::e2e {

class forwarder {
  public:
    explicit forwarder(const std::string& to);
    ~forwarder();
    forwarder(const forwarder&) = delete;
    forwarder& operator=(const forwarder&) = delete;

    const std::string& address() const noexcept { return listener_.address(); }
    // Connections that stand now; bytes carried so far, all connections together.
    std::size_t live() const noexcept { return live_; }
    std::uint64_t carried() const noexcept { return carried_; }

    // Breaks the connection that carried the most since it began. False: there is none.
    bool cut_busiest();
    // Breaks all of them, and every new one until open().
    void cut_all();
    // New connections go to `to` from now on.
    void open(const std::string& to);

  private:
    // One direction: what was read and not yet written.
    struct lane {
        std::vector<std::uint8_t> buffer;
        std::size_t begin = 0, end = 0;
        bool fin = false, fin_passed = false;
    };
    struct link {
        unique_fd ends[2];
        lane lanes[2];  // lanes[i]: from ends[i] to the other
        std::uint64_t carried = 0;
        bool dead = false;
    };

    void run();
    void turn();
    void accept_one();
    bool move(link& l, int from, short in);
    static void cut(link& l);

    target listener_;
    std::mutex mutex_;  // guards what is below, but not the atomics
    std::string to_;    // empty: cut off
    std::list<link> links_;
    std::atomic<std::size_t> live_{0};
    std::atomic<std::uint64_t> carried_{0};
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

}  // namespace libp::e2e
