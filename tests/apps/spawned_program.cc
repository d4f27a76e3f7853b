#include <apps/spawned_program.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <stdexcept>
#include <thread>

namespace libp::app {

namespace {

using clock = std::chrono::steady_clock;

constexpr int announce_fd = 3;

struct pipe_ends {
    int read = -1, write = -1;
    pipe_ends() {
        int fds[2];
        if (pipe(fds) != 0) throw std::runtime_error("pipe");
        // Out of the way of the numbers the child gives them.
        read = fcntl(fds[0], F_DUPFD_CLOEXEC, 10);
        write = fcntl(fds[1], F_DUPFD_CLOEXEC, 10);
        close(fds[0]);
        close(fds[1]);
        if (read < 0 || write < 0) throw std::runtime_error("fcntl");
    }
};

void close_once(int& fd) {
    if (fd >= 0) close(fd);
    fd = -1;
}

bool ready(int fd, short events, clock::time_point until) {
    for (;;) {
        auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - clock::now());
        pollfd p{fd, events, 0};
        int n = poll(&p, 1, static_cast<int>(std::max<std::int64_t>(0, left.count())));
        if (n > 0) return true;
        if (n == 0 && clock::now() >= until) return false;
    }
}

// Between fork and exec: only calls that are safe there.
[[noreturn]] void become(const char* path, char* const* argv, const int (&fds)[4],
                         std::size_t fd_limit) {
    for (int i = 0; i < 4; ++i)
        if (fds[i] >= 0) dup2(fds[i], i);
    if (fd_limit) {
        rlimit limit{fd_limit, fd_limit};
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    execv(path, argv);
    _exit(127);
}

}  // namespace

std::string program_folder() {
    if (const char* folder = std::getenv("LIBP_BIN")) return folder;
    std::error_code none;
    auto self = std::filesystem::read_symlink("/proc/self/exe", none);
    return none ? "build/bin" : self.parent_path().string();
}

spawned_program::spawned_program(const spawn_options& options) {
    std::string path = options.program.find('/') == std::string::npos
                           ? program_folder() + "/" + options.program
                           : options.program;
    std::vector<std::string> words = options.arguments;
    words.insert(words.begin(), path);
    if (options.announce) {
        words.push_back("--announce");
        words.push_back(std::to_string(announce_fd));
    }
    std::vector<char*> argv;
    for (std::string& w : words)
        argv.push_back(w.data());
    argv.push_back(nullptr);

    std::signal(SIGPIPE, SIG_IGN);  // a child that ends does not end the test
    pipe_ends in, out, err, announced;
    pid_ = fork();
    if (pid_ < 0) throw std::runtime_error("fork");
    if (pid_ == 0) {
        std::signal(SIGPIPE, SIG_DFL);
        become(path.c_str(), argv.data(),
               {in.read, out.write, err.write, options.announce ? announced.write : -1},
               options.fd_limit);
    }
    for (int fd : {in.read, out.write, err.write, announced.write})
        close(fd);
    input_ = in.write;
    output_ = out.read;
    errors_ = err.read;
    announced_ = announced.read;
}

spawned_program::~spawned_program() {
    if (!reaped_) {
        kill(pid_, SIGKILL);
        int status = 0;
        waitpid(pid_, &status, 0);
    }
    for (int* fd : {&input_, &output_, &errors_, &announced_})
        close_once(*fd);
}

void spawned_program::signal(int number) const {
    if (!reaped_) kill(pid_, number);
}

int spawned_program::wait_exit(std::chrono::milliseconds patience) {
    auto until = clock::now() + patience;
    // Its stderr ends when it does. What nobody reads until then would be left out.
    while (read_some(errors_, error_text_, until)) {
    }
    while (!reaped_ && clock::now() < until) {
        int status = 0;
        if (waitpid(pid_, &status, WNOHANG) != pid_) {
            std::this_thread::yield();
            continue;
        }
        reaped_ = true;
        status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    return status_;
}

std::string spawned_program::wait_announced() {
    std::string text;
    auto until = clock::now() + test_patience;
    while (text.find('\n') == std::string::npos && read_some(announced_, text, until)) {
    }
    std::size_t end = text.find('\n');
    if (end == std::string::npos) return {};
    std::size_t start = text.rfind(' ', end);
    return text.substr(start + 1, end - start - 1);
}

std::string spawned_program::wait_error_line(const std::string& text) {
    auto until = clock::now() + test_patience;
    for (;;) {
        std::size_t end;
        while ((end = error_text_.find('\n', error_looked_at_)) != std::string::npos) {
            std::string line = error_text_.substr(error_looked_at_, end - error_looked_at_);
            error_looked_at_ = end + 1;
            if (line.find(text) != std::string::npos) return line;
        }
        if (!read_some(errors_, error_text_, until)) return {};
    }
}

bool spawned_program::write_input(const std::string& data) {
    auto until = clock::now() + test_patience;
    fcntl(input_, F_SETFL, O_NONBLOCK);
    std::size_t sent = 0;
    while (sent < data.size() && ready(input_, POLLOUT, until)) {
        ssize_t n = write(input_, data.data() + sent, data.size() - sent);
        if (n < 0 && errno != EAGAIN && errno != EINTR) break;
        if (n > 0) sent += static_cast<std::size_t>(n);
    }
    close_input();
    return sent == data.size();
}

void spawned_program::close_input() {
    close_once(input_);
}

std::string spawned_program::read_output(std::size_t size) {
    std::string text;
    auto until = clock::now() + test_patience;
    while (text.size() < size && read_some(output_, text, until)) {
    }
    return text;
}

std::string spawned_program::errors() {
    while (read_some(errors_, error_text_, clock::now())) {
    }
    return error_text_;
}

double spawned_program::cpu_seconds() const {
    clockid_t id;
    timespec t{};
    if (clock_getcpuclockid(pid_, &id) != 0 || clock_gettime(id, &t) != 0) return -1;
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

bool spawned_program::read_some(int fd, std::string& to, clock::time_point until) {
    if (fd < 0 || !ready(fd, POLLIN, until)) return false;
    char buffer[65536];
    ssize_t n = read(fd, buffer, sizeof buffer);
    if (n < 0) return errno == EINTR;
    to.append(buffer, static_cast<std::size_t>(n));
    return n > 0;
}

std::string field_of(const std::string& line, const std::string& key) {
    const std::size_t at = line.find(" " + key + "=");
    if (at == line.npos) return {};
    const std::size_t begin = at + key.size() + 2;
    return line.substr(begin, line.find_first_of(" \n", begin) - begin);
}

run_result run_program(const std::string& program, const std::vector<std::string>& arguments) {
    return run_program({.program = program, .arguments = arguments});
}

run_result run_program(const spawn_options& options) {
    spawned_program child(options);
    child.close_input();
    run_result r;
    r.output = child.read_output();
    r.status = child.wait_exit();
    r.errors = child.errors();
    return r;
}

}  // namespace libp::app
