#include <support/child_process.h>

#include <libp/assert.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

namespace libp {

namespace {

constexpr int announcement_fd = 3;

[[noreturn]] void fail(const std::string& what) {
    throw std::runtime_error(what + ": " + std::strerror(errno));
}

unique_fd unnamed_file() {
    const char* folder = std::getenv("TMPDIR");
    std::string path = std::string(folder && *folder ? folder : "/tmp") + "/libp-test-XXXXXX";
    unique_fd fd(mkostemp(path.data(), O_CLOEXEC | O_APPEND));
    if (!fd) fail("mkostemp " + path);
    if (unlink(path.c_str()) != 0) fail("unlink " + path);
    return fd;
}

// Between fork and exec: system calls only. A failure shows as exit status 127.
void place(int fd, int where) noexcept {
    // dup2 onto itself would leave close-on-exec set
    bool placed = fd == where ? fcntl(fd, F_SETFD, 0) == 0 : dup2(fd, where) == where;
    if (!placed) _exit(127);
}

[[noreturn]] void become(char* const* argv, int null, int log, int announcement,
                         const child_setup& setup) noexcept {
    if (setup.descriptors != 0) {
        rlimit limit{setup.descriptors, setup.descriptors};
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0) _exit(127);
    }
    place(null, 0);
    place(null, 1);
    place(log, 2);
    if (setup.announces) place(announcement, announcement_fd);
    execv(argv[0], argv);
    _exit(127);
}

bool has_report(const std::string& log) {
    return log.find("Sanitizer") != std::string::npos ||
           log.find("runtime error:") != std::string::npos;
}

}  // namespace

duration test_patience() noexcept {
    return debug_build ? 60s : 20s;
}

void short_nap() noexcept {
    std::this_thread::sleep_for(2ms);
}

instant test_now() noexcept {
    return instant(std::chrono::steady_clock::now().time_since_epoch());
}

std::string program_folder() {
    if (const char* given = std::getenv("BIN")) return given;
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path);
    if (n <= 0) fail("where the programs are (set BIN)");
    std::string_view self(path, static_cast<std::size_t>(n));
    return std::string(self.substr(0, self.rfind('/')));
}

child_process::child_process(std::vector<std::string> command, const child_setup& setup)
    : command_(std::move(command)), log_(unnamed_file()) {
    if (command_[0].find('/') == std::string::npos)
        command_[0] = program_folder() + "/" + command_[0];
    unique_fd announcement_writer;
    if (setup.announces) {
        command_.insert(command_.end(), {"--announce", std::to_string(announcement_fd)});
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) != 0) fail("pipe2");
        announcement_.reset(ends[0]);
        announcement_writer.reset(ends[1]);
    }
    unique_fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!null) fail("/dev/null");

    std::vector<char*> argv;
    for (std::string& argument : command_)
        argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ < 0) fail("fork");
    if (pid_ == 0) become(argv.data(), null.get(), log_.get(), announcement_writer.get(), setup);
}

child_process::~child_process() {
    if (!reap(false)) {
        signal(SIGKILL);
        reap(true);
    }
    std::string written = log();
    if (*status_ > 128 && signal_sent_ != *status_ - 128)
        ADD_FAILURE() << to_string() << " died of signal " << *status_ - 128 << "\n" << written;
    else if (has_report(written))
        ADD_FAILURE() << to_string() << " reported:\n" << written;
}

const std::string& child_process::address() {
    instant deadline = test_now() + test_patience();
    while (address_.empty()) {
        auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - test_now()).count();
        pollfd p{announcement_.get(), POLLIN, 0};
        char text[4096];
        ssize_t n = left > 0 && poll(&p, 1, static_cast<int>(left)) == 1
                        ? read(announcement_.get(), text, sizeof text)
                        : 0;
        if (n <= 0) throw std::runtime_error(to_string() + " announced nothing\n" + log());
        // Everything is announced in one write.
        std::string_view line(text, static_cast<std::size_t>(n));
        line = line.substr(0, line.find('\n'));
        address_ = line.substr(line.rfind(' ') + 1);
    }
    return address_;
}

void child_process::signal(int number) noexcept {
    if (reap(false)) return;
    signal_sent_ = number;
    if (kill(pid_, number) != 0) check(errno == ESRCH, "a child we may not signal");
}

bool child_process::reap(bool block) noexcept {
    int raw = 0;
    while (!status_) {
        pid_t who = waitpid(pid_, &raw, block ? 0 : WNOHANG);
        if (who == 0) return false;
        if (who < 0 && errno == EINTR) continue;
        check(who == pid_, "a child that is not ours");
        status_ = WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
    }
    return true;
}

std::optional<int> child_process::wait(duration patience) {
    wait_until([&] { return reap(false); }, patience);
    return status_;
}

std::string child_process::log() const {
    std::string all;
    char part[16 * 1024];
    for (ssize_t n; (n = pread(log_.get(), part, sizeof part, static_cast<off_t>(all.size()))) > 0;)
        all.append(part, static_cast<std::size_t>(n));
    return all;
}

bool child_process::wait_for_log(std::string_view text, duration patience) const {
    return wait_until([&] { return log().find(text) != std::string::npos; }, patience);
}

duration child_process::cpu_time() const noexcept {
    clockid_t clock;
    timespec t{};
    bool known = clock_getcpuclockid(pid_, &clock) == 0 && clock_gettime(clock, &t) == 0;
    check(known, "the CPU time of a child that is gone");
    return std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
}

std::string child_process::to_string() const {
    std::string text;
    for (const std::string& argument : command_)
        text += (text.empty() ? "" : " ") + argument;
    return text;
}

}  // namespace libp
