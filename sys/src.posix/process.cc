#include <libp/process.h>

#include "os_calls.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <vector>

namespace libp {

namespace {

constexpr rlim_t most_fds = 1'048'576;
constexpr std::size_t fewest_fds = 20;  // _POSIX_OPEN_MAX: what every system grants

double seconds_of(const timeval& t) noexcept {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
}

}  // namespace

std::size_t raise_fd_limit() noexcept {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) == -1) return fewest_fds;
    // RLIM_INFINITY compares as very large. A soft limit above ours is left alone.
    const rlim_t wanted = std::min(limit.rlim_max, most_fds);
    if (limit.rlim_cur < wanted) {
        limit.rlim_cur = wanted;
        // A refusal leaves the old limit, which is then the answer.
        if (setrlimit(RLIMIT_NOFILE, &limit) == -1) return fd_limit();
    }
    return fd_limit();
}

std::size_t fd_limit() noexcept {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) == -1) return fewest_fds;
    return static_cast<std::size_t>(std::min(limit.rlim_cur, most_fds));
}

error check_fds(std::size_t n) {
    std::vector<std::pair<unique_fd, unique_fd>> taken;
    while (2 * taken.size() < n) {
        auto two = open_pipe();
        if (!two.first) return last_error();
        taken.push_back(std::move(two));
    }
    return {};
}

void open_standard_fds() noexcept {
    int fd = 0;
    do {
        fd = open("/dev/null", O_RDONLY);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    // Without a /dev/null there is nothing better to put there.
    if (fd >= 0) close(fd);
}

std::string machine_identity() {
    std::string id;
    for (const char* path : {"/etc/machine-id", "/var/lib/dbus/machine-id"}) {
        std::ifstream file(path);
        if (file >> id && !id.empty()) break;
    }
    if (id.empty()) return id;
    char host[256] = {};
    // Without a host name the machine-id has to do.
    if (gethostname(host, sizeof host - 1) == 0) id += std::string("@") + host;
    return id;
}

bool owns_file(const std::string& path) noexcept {
    struct stat of {};
    return stat(path.c_str(), &of) == 0 && of.st_uid == geteuid();
}

double cpu_seconds() noexcept {
    rusage used{};
    if (getrusage(RUSAGE_SELF, &used) == -1) return 0;
    return seconds_of(used.ru_utime) + seconds_of(used.ru_stime);
}

int process_id() noexcept {
    return static_cast<int>(getpid());
}

}  // namespace libp
