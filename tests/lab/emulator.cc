// The network of the lab: K paths between two network namespaces, moved packet by packet in user space, because the
// kernels that tests run on rarely have netem.
//
//     lab-emulator PATH...
//
// makes two anonymous namespaces, "client" and "server", with a TUN device pathN in each for the N-th PATH, and carries
// IPv4 packets between the two devices of a path. When they are there it prints "ready PID CLIENT SERVER": the
// namespaces are /proc/PID/fd/CLIENT and /proc/PID/fd/SERVER and vanish with their last process. Addresses and routes
// are the caller's. Commands come in by stdin, one a line; its end, or SIGTERM, ends the emulator.
//
//     PATH      RATE/DELAY/QUEUE[,loss=X][,jitter=MS][,flow=RATE][,flowqueue=BYTES][,seed=N]
//               Mbit/s (0: no limit), ms one way, bytes (K and M are understood). loss is a fraction, or 1%.
//               flow: every flow (5-tuple) is held to this rate in a queue of its own, then enters the path's.
//               Each value may be UP:DOWN, where up is from client to server.
//     path N down|freeze|refuse|up    N is 1.. or all. down: silence, what is in flight is lost too. freeze: nothing
//                                     moves, nothing is lost but to full queues. refuse: every packet is answered with a
//                                     TCP reset. up ends them.
//     path N cut                      a TCP reset for every flow seen so far, to whichever end sends next; new flows pass
//     path N rate|delay|queue|loss|jitter|flow|flowqueue VALUE
//     in SECONDS COMMAND
//     after BYTES COMMAND             when so much TCP payload was delivered, both directions together
//     stats                           prints what the end prints: counters as one line of JSON
//
// The model of a direction: random loss, [a flow's queue served at the flow's rate,] the path's drop-tail queue served
// at the path's rate, then the delay, in order. A packet's times follow from its arrival and from those before it,
// not from when this process happened to run: a late turn delays a packet a little and never lowers the rate. Sizes are
// those of the IP packets.

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <deque>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace {

using nanos = std::int64_t;
constexpr nanos never = std::numeric_limits<nanos>::max();
constexpr std::size_t mtu = 1500;
// Packets are moved at most this often, as a network card spares its host an interrupt for each of them.
constexpr nanos turn = 250'000;

nanos clock_now() {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1'000'000'000LL + t.tv_nsec;
}

void pause_until(nanos at) {
    const timespec t{at / 1'000'000'000, at % 1'000'000'000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, nullptr);
}

[[noreturn]] void die(const char* what) {
    std::fprintf(stderr, "lab-emulator: %s: %s\n", what, std::strerror(errno));
    std::exit(1);
}

// -- packets ---------------------------------------------------------------------------------------

struct packet {
    nanos at;  // when it arrived at what holds it, or is due to leave it
    std::size_t size;
    std::size_t payload;  // of TCP
    std::unique_ptr<std::uint8_t[]> data;
};

// A TCP connection as both directions name it: the client's end first.
using flow_key = std::tuple<std::uint32_t, std::uint32_t, std::uint16_t, std::uint16_t>;

struct header {
    iphdr ip;
    std::optional<tcphdr> tcp;
    std::size_t payload = 0;
};

std::optional<header> parse(const std::uint8_t* data, std::size_t size) {
    header h{};
    if (size < sizeof h.ip) return {};
    std::memcpy(&h.ip, data, sizeof h.ip);
    const std::size_t ip_size = h.ip.ihl * 4u;
    if (h.ip.version != 4 || ip_size < sizeof h.ip || ip_size > size) return {};
    if (h.ip.protocol == IPPROTO_TCP && size >= ip_size + sizeof(tcphdr)) {
        h.tcp.emplace();
        std::memcpy(&*h.tcp, data + ip_size, sizeof(tcphdr));
        const std::size_t headers = ip_size + h.tcp->doff * 4u;
        h.payload = size > headers ? size - headers : 0;
    }
    return h;
}

flow_key key_of(const header& h, bool up) {
    const std::uint16_t from = h.tcp ? h.tcp->source : 0, to = h.tcp ? h.tcp->dest : 0;
    return up ? flow_key{h.ip.saddr, h.ip.daddr, from, to}
              : flow_key{h.ip.daddr, h.ip.saddr, to, from};
}

std::uint16_t checksum(const std::uint8_t* data, std::size_t size, std::uint32_t sum) {
    for (std::size_t i = 0; i + 1 < size; i += 2)
        sum += static_cast<std::uint32_t>(data[i] << 8 | data[i + 1]);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return htons(static_cast<std::uint16_t>(~sum));
}

// The reset that a host without this connection would answer the packet with.
std::array<std::uint8_t, 40> reset_for(const header& h) {
    std::array<std::uint8_t, 40> out{};
    iphdr ip{};
    ip.version = 4;
    ip.ihl = 5;
    ip.tot_len = htons(40);
    ip.ttl = 64;
    ip.protocol = IPPROTO_TCP;
    ip.saddr = h.ip.daddr;
    ip.daddr = h.ip.saddr;
    tcphdr tcp{};
    tcp.source = h.tcp->dest;
    tcp.dest = h.tcp->source;
    tcp.doff = 5;
    tcp.rst = 1;
    if (h.tcp->ack) {
        tcp.seq = h.tcp->ack_seq;
    } else {
        tcp.ack = 1;
        tcp.ack_seq = htonl(ntohl(h.tcp->seq) + static_cast<std::uint32_t>(h.payload) + h.tcp->syn);
    }
    std::memcpy(out.data(), &ip, 20);
    ip.check = checksum(out.data(), 20, 0);
    std::memcpy(out.data() + 20, &tcp, 20);
    const std::uint32_t pseudo = (ntohl(ip.saddr) >> 16) + (ntohl(ip.saddr) & 0xffff) +
                                 (ntohl(ip.daddr) >> 16) + (ntohl(ip.daddr) & 0xffff) +
                                 IPPROTO_TCP + 20;
    tcp.check = checksum(out.data() + 20, 20, pseudo);
    std::memcpy(out.data(), &ip, 20);
    std::memcpy(out.data() + 20, &tcp, 20);
    return out;
}

// -- a queue served at a rate ----------------------------------------------------------------------

class shaper {
  public:
    bool empty() const { return queue_.empty(); }
    nanos next() const { return queue_.empty() ? never : head_done_; }

    // False: the queue was full, the packet is gone.
    bool offer(packet p, double rate, std::size_t limit) {
        if (limit > 0 && held_ + p.size > limit) return false;
        held_ += p.size;
        queue_.push_back(std::move(p));
        if (queue_.size() == 1) serve_head(rate);
        return true;
    }

    // The packet whose last bit has left by `now`; `at` says when.
    std::optional<packet> take(nanos now, double rate) {
        if (next() > now) return {};
        packet p = std::move(queue_.front());
        queue_.pop_front();
        held_ -= p.size;
        p.at = head_done_;
        if (!queue_.empty()) serve_head(rate);
        return p;
    }

    void resume(nanos now) { head_done_ = std::max(head_done_, now); }
    std::size_t clear() {
        held_ = 0;
        const std::size_t n = queue_.size();
        queue_.clear();
        return n;
    }

  private:
    void serve_head(double rate) {
        const packet& p = queue_.front();
        head_done_ = std::max(head_done_, p.at);
        if (rate > 0) head_done_ += static_cast<nanos>(static_cast<double>(p.size) * 8000 / rate);
    }

    std::deque<packet> queue_;
    std::size_t held_ = 0;
    nanos head_done_ = 0;
};

// -- one direction of a path -----------------------------------------------------------------------

struct settings {
    double rate = 0, delay = 0, queue = 0, loss = 0, jitter = 0;
    double flow = 0, flowqueue = 256 * 1024, seed = 1;

    double* named(std::string_view name) {
        if (name == "rate") return &rate;
        if (name == "delay") return &delay;
        if (name == "queue") return &queue;
        if (name == "loss") return &loss;
        if (name == "jitter") return &jitter;
        if (name == "flow") return &flow;
        if (name == "flowqueue") return &flowqueue;
        if (name == "seed") return &seed;
        return nullptr;
    }
};

struct counters {
    std::uint64_t packets = 0, bytes = 0, payload = 0;  // delivered
    std::uint64_t lost = 0, overflowed = 0, silenced = 0, resets = 0;
};

enum class condition { up, down, frozen, refusing };

class link {
  public:
    link(const settings& s, bool up, int from, int to)
        : set(s), up_(up), from_(from), to_(to), random_(static_cast<std::uint64_t>(s.seed)) {}

    settings set;
    const counters& counted() const { return count_; }
    int input() const { return from_; }

    // Reads what the sending device has, not without end: the other paths want their turn.
    void receive(nanos now) {
        for (int i = 0; i < 128; ++i) {
            packet p{now, 0, 0, std::make_unique_for_overwrite<std::uint8_t[]>(mtu)};
            const ssize_t n = read(from_, p.data.get(), mtu);
            if (n <= 0) return;
            p.size = static_cast<std::size_t>(n);
            arrive(std::move(p));
        }
    }

    void advance(nanos now) {
        if (condition_ == condition::frozen) return;
        for (auto& [key, f] : flows_) {
            while (auto p = f.queue.take(now, set.flow))
                enter_line(std::move(*p));
        }
        while (auto p = line_.take(now, set.rate)) {
            const double spread = set.jitter > 0 ? unit_(random_) * set.jitter : 0;
            p->at += static_cast<nanos>((set.delay + spread) * 1e6);
            if (!flying_.empty()) p->at = std::max(p->at, flying_.back().at);
            flying_.push_back(std::move(*p));
        }
        for (; !flying_.empty() && flying_.front().at <= now; flying_.pop_front())
            deliver(flying_.front());
    }

    nanos next() const {
        if (condition_ == condition::frozen) return never;
        nanos at = std::min(line_.next(), flying_.empty() ? never : flying_.front().at);
        if (set.flow > 0)
            for (const auto& [key, f] : flows_)
                at = std::min(at, f.queue.next());
        return at;
    }

    void become(condition c, nanos now) {
        if (c == condition::down || c == condition::refusing) {
            count_.silenced += line_.clear() + flying_.size();
            flying_.clear();
            for (auto& [key, f] : flows_)
                count_.silenced += f.queue.clear();
        }
        if (condition_ == condition::frozen) {
            line_.resume(now);
            for (auto& [key, f] : flows_)
                f.queue.resume(now);
        }
        condition_ = c;
    }

    void cut(const std::vector<flow_key>& keys) {
        for (const auto& k : keys)
            flows_[k].cut = true;
    }
    std::vector<flow_key> seen() const {
        std::vector<flow_key> all;
        for (const auto& [key, f] : flows_)
            all.push_back(key);
        return all;
    }

  private:
    struct flow {
        shaper queue;
        bool cut = false;
    };

    void arrive(packet p) {
        const auto h = parse(p.data.get(), p.size);
        if (!h) return;
        p.payload = h->payload;
        if (condition_ == condition::down) {
            ++count_.silenced;
            return;
        }
        flow& f = flows_[key_of(*h, up_)];
        if (f.cut || condition_ == condition::refusing) return refuse(*h);
        if (set.loss > 0 && unit_(random_) < set.loss) {
            ++count_.lost;
            return;
        }
        if (set.flow <= 0 && f.queue.empty()) return enter_line(std::move(p));
        if (!f.queue.offer(std::move(p), set.flow, static_cast<std::size_t>(set.flowqueue)))
            ++count_.overflowed;
    }

    void enter_line(packet p) {
        if (!line_.offer(std::move(p), set.rate, static_cast<std::size_t>(set.queue)))
            ++count_.overflowed;
    }

    void refuse(const header& h) {
        if (!h.tcp || h.tcp->rst) return;
        const auto answer = reset_for(h);
        ++count_.resets;
        // A device that takes no packet loses it, as a network may.
        if (write(from_, answer.data(), answer.size()) < 0) ++count_.lost;
    }

    void deliver(const packet& p) {
        if (write(to_, p.data.get(), p.size) < 0) {
            ++count_.lost;
            return;
        }
        ++count_.packets;
        count_.bytes += p.size;
        count_.payload += p.payload;
    }

    bool up_;
    int from_, to_;
    condition condition_ = condition::up;
    std::map<flow_key, flow> flows_;
    shaper line_;
    std::deque<packet> flying_;
    counters count_;
    std::mt19937_64 random_;
    std::uniform_real_distribution<double> unit_;
};

struct path {
    path(const settings& u, const settings& d, int client, int server)
        : up(u, true, client, server), down(d, false, server, client) {}
    link up, down;
};

// -- what is written on the command line and in commands -------------------------------------------

bool number(std::string_view text, double& out) {
    const std::string copy(text);
    char* end = nullptr;
    out = std::strtod(copy.c_str(), &end);
    const std::string_view unit = end;
    if (unit == "K") out *= 1024;
    if (unit == "M") out *= 1024 * 1024;
    if (unit == "%") out /= 100;
    return end != copy.c_str() && out >= 0 &&
           (unit.empty() || unit == "K" || unit == "M" || unit == "%");
}

// VALUE or UP:DOWN
bool assign(settings& up, settings& down, std::string_view name, std::string_view value) {
    const auto colon = value.find(':');
    const auto second = colon == value.npos ? value : value.substr(colon + 1);
    double *a = up.named(name), *b = down.named(name);
    return a && number(value.substr(0, colon), *a) && number(second, *b);
}

bool parse_path(std::string_view text, settings& up, settings& down) {
    const char* positional[] = {"rate", "delay", "queue"};
    const auto comma = text.find(',');
    std::string_view shape = text.substr(0, comma);
    for (const char* name : positional) {
        const auto slash = shape.find('/');
        if (!assign(up, down, name, shape.substr(0, slash))) return false;
        shape = slash == shape.npos ? "0" : shape.substr(slash + 1);
    }
    while (text.find(',') != text.npos) {
        text = text.substr(text.find(',') + 1);
        const std::string_view option = text.substr(0, text.find(','));
        const auto equals = option.find('=');
        if (equals == option.npos) return false;
        if (!assign(up, down, option.substr(0, equals), option.substr(equals + 1))) return false;
    }
    return true;
}

// -- the devices -----------------------------------------------------------------------------------

int open_tun(std::size_t n) {
    const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) die("/dev/net/tun");
    ifreq request{};
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    std::snprintf(request.ifr_name, sizeof request.ifr_name, "path%zu", n);
    if (ioctl(fd, TUNSETIFF, &request) != 0) die("TUNSETIFF");
    return fd;
}

// Leaves this process in a new namespace with a device for each path.
int make_namespace(std::size_t paths, std::vector<int>& devices) {
    if (unshare(CLONE_NEWNET) != 0) die("unshare");
    for (std::size_t i = 1; i <= paths; ++i)
        devices.push_back(open_tun(i));
    const int ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (ns < 0) die("/proc/self/ns/net");
    return ns;
}

// -- the emulator ----------------------------------------------------------------------------------

volatile std::sig_atomic_t stopped = 0;

class emulator {
  public:
    void add(const settings& up, const settings& down, int client, int server) {
        paths_.emplace_back(up, down, client, server);
    }

    void run() {
        std::vector<pollfd> watched{{0, POLLIN, 0}};
        for (auto& p : paths_) {
            watched.push_back({p.up.input(), POLLIN, 0});
            watched.push_back({p.down.input(), POLLIN, 0});
        }
        sigset_t during_wait;
        sigemptyset(&during_wait);
        while (!stopped) {
            const nanos wait = std::clamp<nanos>(next() - clock_now(), 0, 1'000'000'000);
            const timespec timeout{wait / 1'000'000'000, wait % 1'000'000'000};
            if (ppoll(watched.data(), watched.size(), &timeout, &during_wait) < 0) {
                if (errno != EINTR) die("ppoll");
                continue;
            }
            const nanos now = clock_now();
            for (auto& p : paths_) {
                p.up.advance(now);
                p.down.advance(now);
            }
            for (std::size_t i = 0; i < paths_.size(); ++i) {
                if (watched[1 + 2 * i].revents) paths_[i].up.receive(now);
                if (watched[2 + 2 * i].revents) paths_[i].down.receive(now);
            }
            if (watched[0].revents && !read_commands(now)) return;
            run_due(now);
            pause_until(now + turn);
        }
    }

    void print() const {
        std::uint64_t up = 0, down = 0;
        std::string list;
        for (std::size_t i = 0; i < paths_.size(); ++i) {
            up += paths_[i].up.counted().payload;
            down += paths_[i].down.counted().payload;
            list += (i ? ", " : "") + std::string("{\"path\": ") + std::to_string(i + 1) +
                    ", \"up\": " + text_of(paths_[i].up.counted()) +
                    ", \"down\": " + text_of(paths_[i].down.counted()) + "}";
        }
        std::printf("{\"up_payload\": %llu, \"down_payload\": %llu, \"paths\": [%s]}\n",
                    static_cast<unsigned long long>(up), static_cast<unsigned long long>(down),
                    list.c_str());
        std::fflush(stdout);
    }

  private:
    static std::string text_of(const counters& c) {
        char line[300];
        std::snprintf(
            line, sizeof line,
            "{\"packets\": %llu, \"bytes\": %llu, \"payload\": %llu, \"lost\": %llu, "
            "\"overflowed\": %llu, \"silenced\": %llu, \"resets\": %llu}",
            static_cast<unsigned long long>(c.packets), static_cast<unsigned long long>(c.bytes),
            static_cast<unsigned long long>(c.payload), static_cast<unsigned long long>(c.lost),
            static_cast<unsigned long long>(c.overflowed),
            static_cast<unsigned long long>(c.silenced), static_cast<unsigned long long>(c.resets));
        return line;
    }

    nanos next() const {
        nanos at = due_.empty() ? never : due_.begin()->first;
        for (const auto& p : paths_)
            at = std::min({at, p.up.next(), p.down.next()});
        return at;
    }

    bool read_commands(nanos now) {
        char buffer[4096];
        const ssize_t n = read(0, buffer, sizeof buffer);
        if (n < 0) return errno == EAGAIN || errno == EINTR;
        if (n == 0) return false;
        typed_.append(buffer, static_cast<std::size_t>(n));
        for (std::size_t end; (end = typed_.find('\n')) != typed_.npos; typed_.erase(0, end + 1))
            obey(typed_.substr(0, end), now);
        return true;
    }

    void run_due(nanos now) {
        run_up_to(due_, now, now);
        std::uint64_t delivered = 0;
        for (const auto& p : paths_)
            delivered += p.up.counted().payload + p.down.counted().payload;
        run_up_to(due_after_, delivered, now);
    }

    template <class Key>
    void run_up_to(std::multimap<Key, std::string>& due, Key reached, nanos now) {
        while (!due.empty() && due.begin()->first <= reached) {
            const std::string command = due.begin()->second;
            due.erase(due.begin());
            obey(command, now);
        }
    }

    void obey(const std::string& command, nanos now) {
        std::istringstream words(command);
        std::string verb, which, what, value;
        words >> verb;
        if (verb.empty()) return;
        if (verb == "stats") return print();
        if (verb == "in" || verb == "after") {
            double amount = 0;
            std::string rest;
            if (!(words >> value) || !number(value, amount) ||
                !std::getline(words >> std::ws, rest))
                std::fprintf(stderr, "lab-emulator: cannot: %s\n", command.c_str());
            else if (verb == "in")
                due_.emplace(now + static_cast<nanos>(amount * 1e9), rest);
            else
                due_after_.emplace(static_cast<std::uint64_t>(amount), rest);
            return;
        }
        words >> which >> what >> value;
        bool done = false;
        for (std::size_t i = 0; verb == "path" && i < paths_.size(); ++i)
            if (which == "all" || which == std::to_string(i + 1))
                done |= change(paths_[i], what, value, now);
        if (!done) std::fprintf(stderr, "lab-emulator: cannot: %s\n", command.c_str());
    }

    static bool change(path& p, const std::string& what, const std::string& value, nanos now) {
        if (what == "cut") {
            p.up.cut(p.up.seen());
            p.down.cut(p.up.seen());
            return true;
        }
        for (const auto& [name, c] : {std::pair{"up", condition::up},
                                      {"down", condition::down},
                                      {"freeze", condition::frozen},
                                      {"refuse", condition::refusing}}) {
            if (what != name) continue;
            p.up.become(c, now);
            p.down.become(c, now);
            return true;
        }
        return assign(p.up.set, p.down.set, what, value);
    }

    std::deque<path> paths_;
    std::multimap<nanos, std::string> due_;
    std::multimap<std::uint64_t, std::string> due_after_;
    std::string typed_;
};

// Signals are seen only while the emulator waits.
void stop_on_signals() {
    struct sigaction action {};
    action.sa_handler = [](int) { stopped = 1; };
    sigset_t set;
    sigemptyset(&set);
    for (int s : {SIGTERM, SIGINT, SIGHUP}) {
        sigaction(s, &action, nullptr);
        sigaddset(&set, s);
    }
    sigprocmask(SIG_BLOCK, &set, nullptr);
}

// Ahead of the load on a busy machine where it is allowed; where not, packets are a little later.
void hurry() {
    sched_param p{};
    p.sched_priority = 1;
    if (sched_setscheduler(0, SCHED_RR, &p) != 0) prctl(PR_SET_TIMERSLACK, 1);
}

}  // namespace

int main(int argc, char** argv) {
    std::vector<std::pair<settings, settings>> specs;
    for (int i = 1; i < argc; ++i) {
        settings up, down;
        up.seed = 2 * i;
        down.seed = 2 * i + 1;
        if (!parse_path(argv[i], up, down)) {
            std::fprintf(stderr, "lab-emulator: not a path: %s\n", argv[i]);
            return 2;
        }
        specs.emplace_back(up, down);
    }
    if (specs.empty()) {
        std::fprintf(stderr, "usage: lab-emulator RATE/DELAY/QUEUE[,NAME=VALUE...]...\n");
        return 2;
    }
    const int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    std::vector<int> client_devices, server_devices;
    const int client = make_namespace(specs.size(), client_devices);
    const int server = make_namespace(specs.size(), server_devices);
    if (home < 0 || setns(home, CLONE_NEWNET) != 0) die("setns");

    emulator e;
    for (std::size_t i = 0; i < specs.size(); ++i)
        e.add(specs[i].first, specs[i].second, client_devices[i], server_devices[i]);
    stop_on_signals();
    hurry();
    std::printf("ready %d %d %d\n", getpid(), client, server);
    std::fflush(stdout);
    e.run();
    e.print();
    return 0;
}
