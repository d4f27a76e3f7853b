// The network of the lab: K paths between two network namespaces, moved packet by packet in user
// space, because the kernels that tests run on rarely have netem.
//
//     lab-emulator PATH...
//
// makes two anonymous namespaces, "client" and "server", with a TUN device pathN in each for the
// N-th PATH (path_settings.h tells how it is written), and carries IPv4 packets between the two
// devices of a path (link.h). When they are there it prints "ready PID CLIENT SERVER": the
// namespaces are /proc/PID/fd/CLIENT and /proc/PID/fd/SERVER and vanish with their last process.
// Addresses and routes are the caller's. Commands come in by stdin, one a line; its end, or
// SIGTERM, ends the emulator.
//
//     path N down|freeze|refuse|up    N is 1.. or all. down: silence, what is in flight is lost
//                                     too. freeze: nothing moves, nothing is lost but to full
//                                     queues. refuse: every packet is answered with a TCP reset. up
//                                     ends them.
//     path N cut                      a TCP reset for every flow seen so far, to whichever end
//                                     sends next; new flows pass
//     path N rate|delay|queue|loss|jitter|flow|flowqueue VALUE
//     in SECONDS COMMAND
//     after BYTES COMMAND             when so much TCP payload was delivered, both directions
//                                     together
//     stats                           prints what the end prints: counters as one line of JSON

#include "lab/link.h"
#include "lab/path_settings.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <deque>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

using namespace lab;

namespace {

// Packets are moved at most this often, as a network card spares its host an interrupt for each of
// them.
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

// -- the devices ----------------------------------------------------------------------------------

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

// -- the emulator ---------------------------------------------------------------------------------

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
