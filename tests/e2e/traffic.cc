#include <e2e/traffic.h>
#include <support/seed.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <list>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include <poll.h>
#include <sys/socket.h>

namespace libp::e2e {

namespace {

constexpr std::size_t number_size = 8;
constexpr std::size_t largest_chunk = 200'000;

// What one end of connection `number` sends: the number, then its pattern.
class content {
  public:
    content(std::uint64_t seed, std::uint64_t number, bool from_client)
        : number_(number), pattern_(seed * 1'000'003 + number * 2 + from_client) {}

    void fill(std::uint64_t offset, mutable_bytes out) const {
        pattern_.fill(offset, out);
        std::uint8_t raw[number_size];
        std::memcpy(raw, &number_, sizeof raw);
        for (std::size_t i = 0; i < out.size() && offset + i < number_size; ++i)
            out[i] = raw[offset + i];
    }

    bool matches(std::uint64_t offset, bytes data) const {
        std::uint8_t raw[number_size];
        std::memcpy(raw, &number_, sizeof raw);
        for (; !data.empty() && offset < number_size; ++offset, data = data.subspan(1))
            if (data[0] != raw[offset]) return false;
        return pattern_.matching(offset, data) == data.size();
    }

  private:
    std::uint64_t number_;
    pattern pattern_;
};

// One end of a connection.
struct flow_end {
    unique_fd fd;
    bool is_client = false;
    std::optional<std::uint64_t> number;  // a target's end learns it from its first bytes
    std::uint64_t sent = 0, received = 0;
    bool fin_sent = false, fin_received = false;
    std::vector<std::uint8_t> first{};  // of the target's end, until the number is complete

    bool over() const { return !fd || (fin_sent && fin_received); }
};

void set_nonblocking_or_throw(int fd) {
    expect(!set_nonblocking(fd, true), "O_NONBLOCK");
}

class traffic {
  public:
    traffic(const std::string& address, target& server, const traffic_plan& plan)
        : to_(parse_address(address)), server_(server), plan_(plan), random_(plan.seed) {
        buffer_.resize(largest_chunk);
        set_nonblocking_or_throw(server.fd());
    }

    traffic_report run() {
        for (std::uint64_t i = 0; i < plan_.connections; ++i)
            start(i);
        instant moved = test_now();
        while (!all_over()) {
            if (turn()) moved = test_now();
            expect(test_now() - moved < test_patience(),
                   "nothing moves any more: " + report().to_string());
        }
        return report();
    }

    traffic_report report() const {
        traffic_report r = report_;
        for (std::uint64_t n : client_exact_)
            r.exact += server_exact_.count(n);
        return r;
    }

  private:
    void start(std::uint64_t number) {
        flow_end& e = ends_.emplace_back();
        e.is_client = true;
        e.number = number;
        e.fd = make_socket(to_);
        set_nonblocking_or_throw(e.fd.get());
        if (::connect(e.fd.get(), to_.raw(), static_cast<socklen_t>(to_.raw_size())) != 0 &&
            errno != EINPROGRESS)
            broke(e, errno);
    }

    bool all_over() const {
        return client_exact_.size() + given_up_ == plan_.connections &&
               std::all_of(ends_.begin(), ends_.end(), [](auto& e) { return e.over(); });
    }

    bool turn() {
        if (!going_) going_ = !plan_.go || plan_.go(accepted_);
        if (going_)
            for (std::uint64_t number : std::exchange(waiting_, {}))
                start(number);
        std::vector<pollfd> polled{{server_.fd(), POLLIN, 0}};
        std::vector<flow_end*> owners{nullptr};
        for (flow_end& e : ends_) {
            if (e.over()) continue;
            short wanted =
                static_cast<short>((e.fin_received ? 0 : POLLIN) | (may_send(e) ? POLLOUT : 0));
            polled.push_back({e.fd.get(), wanted, 0});
            owners.push_back(&e);
        }
        int n = poll(polled.data(), polled.size(), going_ ? 100 : 10);
        if (n <= 0) return false;
        bool moved = polled[0].revents && accept_all();
        for (std::size_t i = 1; i < polled.size(); ++i)
            if (polled[i].revents) moved |= serve(*owners[i]);
        ends_.remove_if([](const flow_end& e) { return e.over(); });
        return moved;
    }

    bool may_send(const flow_end& e) const {
        if (e.fin_sent || !e.number) return false;
        return going_ || (e.is_client && e.sent < number_size);
    }

    bool accept_all() {
        for (bool any = false;; any = true) {
            unique_fd fd(::accept4(server_.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
            if (!fd) {
                expect(errno == EAGAIN || errno == ECONNABORTED || errno == EINTR,
                       std::string("accept: ") + std::strerror(errno));
                return any;
            }
            ++accepted_;
            ends_.emplace_back().fd = std::move(fd);
        }
    }

    bool serve(flow_end& e) {
        bool moved = !e.fin_received && receive(e);
        if (!e.over() && may_send(e)) moved |= send(e);
        return moved;
    }

    bool receive(flow_end& e) {
        ssize_t n = recv(e.fd.get(), buffer_.data(), chunk_size(), 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
        if (n < 0) {
            broke(e, errno);
            return true;
        }
        if (n == 0) {
            e.fin_received = true;
            if (e.received != plan_.bytes)
                lied(e, "FIN after " + std::to_string(e.received) + " bytes");
            else
                settle(e);
            return true;
        }
        bytes data{buffer_.data(), static_cast<std::size_t>(n)};
        if (!e.number) data = learn_number(e, data);
        if (!e.number) return true;
        if (!content(plan_.seed, *e.number, !e.is_client).matches(e.received, data))
            lied(e, "a wrong byte after " + std::to_string(e.received));
        e.received += data.size();
        return true;
    }

    // Returns all bytes from the first on, once there are enough of them.
    bytes learn_number(flow_end& e, bytes data) {
        e.first.insert(e.first.end(), data.begin(), data.end());
        if (e.first.size() < number_size) return {};
        std::uint64_t number;
        std::memcpy(&number, e.first.data(), sizeof number);
        e.number = number;
        return {e.first.data(), e.first.size()};
    }

    bool send(flow_end& e) {
        std::uint64_t end = going_ ? plan_.bytes : number_size;
        std::size_t size =
            static_cast<std::size_t>(std::min<std::uint64_t>(chunk_size(), end - e.sent));
        if (size != 0) {
            content(plan_.seed, *e.number, e.is_client).fill(e.sent, {buffer_.data(), size});
            ssize_t n = ::send(e.fd.get(), buffer_.data(), size, MSG_NOSIGNAL);
            if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
            if (n < 0) {
                broke(e, errno);
                return true;
            }
            e.sent += static_cast<std::uint64_t>(n);
        }
        if (e.sent == plan_.bytes) {
            if (shutdown(e.fd.get(), SHUT_WR) != 0) {
                broke(e, errno);
                return true;
            }
            e.fin_sent = true;
            settle(e);
        }
        return true;
    }

    // From one byte to a lot, so that no reader and no writer can count on a size.
    std::size_t chunk_size() { return 1 + random_.below(random_.one_in(4) ? 100 : largest_chunk); }

    void settle(flow_end& e) {
        if (e.fin_sent && e.fin_received && e.received == plan_.bytes)
            (e.is_client ? client_exact_ : server_exact_).insert(*e.number);
    }

    void broke(flow_end& e, int why) {
        ++report_.broken;
        give_up(e, std::strerror(why));
    }

    void lied(flow_end& e, const std::string& what) {
        ++report_.false_ends;
        give_up(e, what);
    }

    void give_up(flow_end& e, const std::string& what) {
        if (report_.first_fault.empty())
            report_.first_fault = std::string(e.is_client ? "client " : "target of ") +
                                  (e.number ? std::to_string(*e.number) : "?") + ": " + what;
        e.fd.reset();
        if (!e.is_client) return;
        if (plan_.try_again)
            waiting_.push_back(*e.number);
        else
            ++given_up_;
    }

    socket_address to_;
    target& server_;
    const traffic_plan& plan_;
    test_random random_;
    std::vector<std::uint8_t> buffer_;
    std::list<flow_end> ends_;
    std::set<std::uint64_t> client_exact_, server_exact_;
    std::vector<std::uint64_t> waiting_;  // clients to start again, once going
    std::size_t given_up_ = 0;
    std::size_t accepted_ = 0;
    bool going_ = false;
    traffic_report report_;
};

}  // namespace

std::string traffic_report::to_string() const {
    return std::to_string(exact) + " exact, " + std::to_string(broken) + " ends broken, " +
           std::to_string(false_ends) + " false ends" +
           (first_fault.empty() ? "" : "; first: " + first_fault);
}

traffic_report run_traffic(const std::string& address, target& server, const traffic_plan& plan) {
    return traffic(address, server, plan).run();
}

void expect_exact_traffic(const std::string& address, target& server, const traffic_plan& plan) {
    traffic_report r = run_traffic(address, server, plan);
    expect(r.exact == plan.connections && r.broken == 0 && r.false_ends == 0,
           "of " + std::to_string(plan.connections) + " connections: " + r.to_string());
}

}  // namespace libp::e2e
