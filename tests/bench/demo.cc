// `make demo`: the main job on built-in defaults, shown to somebody.
//
//     bench-demo BIN_DIR
//
// Starts a striped pair of the real programs on loopback, sends a transfer through it with a
// progress line, checks what arrived, and prints what each subflow carried and the throughput
// beside a direct connection. Ends by itself, with status 0 only if every byte arrived.

#include <libp/clock.h>
#include <libp/crc32c.h>
#include <libp/process.h>
#include <libp/random.h>
#include <libp/signals.h>
#include <libp/socket.h>
#include <libp/terminal.h>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

extern char** environ;

namespace {

using namespace libp;

constexpr std::uint64_t transfer_size = 2000ull * 1000 * 1000;
constexpr std::size_t subflow_count = 4;  // tcp-striper's default
constexpr int patience_ms = 20'000;

[[noreturn]] void give_up(const std::string& what) {
    std::fprintf(stderr, "demo: %s\n", what.c_str());
    std::exit(1);
}

void wait_for(fd_type fd, short what) {
    pollfd p{fd, what, 0};
    if (poll(&p, 1, patience_ms) != 1) give_up("nothing moved for 20 seconds");
}

// -- the two programs -----------------------------------------------------------------------------

// One of our programs, with its stderr in a pipe. Stopped, by pid, when it goes out of scope.
class child {
  public:
    child(const std::string& program, std::vector<std::string> arguments) {
        int announce[2], log[2];
        if (pipe(announce) != 0 || pipe(log) != 0) give_up("no pipes");
        arguments.insert(arguments.begin(), program);
        arguments.insert(arguments.end(), {"--announce", "3"});
        std::vector<char*> argv;
        for (auto& a : arguments)
            argv.push_back(a.data());
        argv.push_back(nullptr);
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        // Through a high number first: the pipe's own end may be 3 already, and a dup2 onto itself
        // keeps close-on-exec.
        posix_spawn_file_actions_adddup2(&actions, announce[1], 30);
        posix_spawn_file_actions_adddup2(&actions, log[1], 2);
        for (const int fd : {announce[0], announce[1], log[0], log[1]}) {
            posix_spawn_file_actions_addclose(&actions, fd);
        }
        posix_spawn_file_actions_adddup2(&actions, 30, 3);
        posix_spawn_file_actions_addclose(&actions, 30);
        const int failed =
            posix_spawn(&pid_, program.c_str(), &actions, nullptr, argv.data(), environ);
        posix_spawn_file_actions_destroy(&actions);
        close(announce[1]);
        close(log[1]);
        if (failed) give_up("cannot start " + program);
        log_.reset(log[0]);
        const std::string line = read_line(announce[0]);  // "listen tcp 127.0.0.1:43211"
        close(announce[0]);
        if (line.empty()) give_up(program + " did not start: " + read_line(log_.get()));
        address_ = line.substr(line.rfind(' ') + 1);
        fcntl(log_.get(), F_SETFL, O_NONBLOCK);
    }
    ~child() {
        kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
    }
    child(const child&) = delete;
    child& operator=(const child&) = delete;

    const std::string& address() const { return address_; }

    // Asks for a status block and returns its lines about subflows.
    std::vector<std::string> subflows() {
        kill(pid_, SIGUSR1);
        std::vector<std::string> lines;
        while (lines.size() < subflow_count) {
            const std::string line = read_line(log_.get());
            if (line.empty()) give_up("the client went away");
            if (line.find(" status subflow=") != std::string::npos) lines.push_back(line);
        }
        return lines;
    }

  private:
    static std::string read_line(fd_type fd) {
        std::string line;
        for (char c;;) {
            wait_for(fd, POLLIN);
            if (read(fd, &c, 1) <= 0 || c == '\n') return line;
            line += c;
        }
    }

    pid_t pid_ = 0;
    unique_fd log_;
    std::string address_;
};

// -- the transfer ---------------------------------------------------------------------------------

struct receipt {
    std::uint64_t bytes = 0;
    std::uint32_t sum = 0;
    bool clean_end = false;
};

// Takes one connection and everything in it.
receipt take_one(fd_type listener) {
    wait_for(listener, POLLIN);
    const accept_result taken = accept_from(listener);
    std::vector<std::uint8_t> buffer(256 * kib);
    receipt got;
    for (;;) {
        const mutable_bytes room(buffer);
        const io_result r = receive(taken.fd.get(), {&room, 1});
        if (r.status == io_status::again) {
            wait_for(taken.fd.get(), POLLIN);
        } else if (r.ok()) {
            got.sum = crc32c(got.sum, {buffer.data(), r.bytes});
            got.bytes += r.bytes;
        } else {
            got.clean_end = r.status == io_status::fin;
            return got;
        }
    }
}

struct outcome {
    double seconds = 0;
    bool exact = false;
};

void show_progress(const char* name, std::uint64_t done, instant start) {
    static const bool terminal = is_terminal(2);
    if (!terminal) return;
    const double took = seconds(monotonic_now() - start);
    const int bar = static_cast<int>(40 * done / transfer_size);
    std::fprintf(stderr, "\r  %-8s [%.*s%*s] %3d %%  %6.2f GB/s ", name, bar,
                 "########################################", 40 - bar, "",
                 static_cast<int>(100 * done / transfer_size),
                 static_cast<double>(done) / 1e9 / std::max(took, 1e-9));
    if (done == transfer_size) std::fputc('\n', stderr);
    std::fflush(stderr);
}

// Sends the transfer to `to`, where in the end `listener` takes it.
outcome transfer(const char* name, const socket_address& to, fd_type listener) {
    receipt got;
    std::thread taker([&] { got = take_one(listener); });
    block_pool blocks;
    auto connecting = start_connect(to);
    if (!connecting) give_up("cannot connect: " + to_string(connecting.error()));
    const unique_fd fd = std::move(*connecting);
    wait_for(fd.get(), POLLOUT);

    // Random bytes in a block that is sent over and over, from a shifting place, so that a frame
    // out of order shows.
    block_ref source = blocks.take(256 * kib);
    fill_random({source->data(), source->capacity()});
    const instant start = monotonic_now();
    instant shown = start;
    std::uint32_t sum = 0;
    for (std::uint64_t sent = 0, shift = 0; sent < transfer_size;) {
        chain piece;
        const std::size_t size = static_cast<std::size_t>(
            std::min<std::uint64_t>(source->capacity() - shift, transfer_size - sent));
        piece.append({source, source->data() + shift, size});
        const io_result r = transmit(fd.get(), piece);
        if (r.status == io_status::again) {
            wait_for(fd.get(), POLLOUT);
        } else if (!r.ok()) {
            give_up("sending failed: " + to_string(r.why));
        } else {
            sum = crc32c(sum, {source->data() + shift, r.bytes});
            sent += r.bytes;
            shift = (shift + 4099) % (64 * kib);
        }
        if (monotonic_now() - shown > 100ms || sent == transfer_size) {
            shown = monotonic_now();
            show_progress(name, sent, start);
        }
    }
    if (const error e = shutdown_write(fd.get())) give_up("sending failed: " + to_string(e));
    taker.join();
    return {seconds(monotonic_now() - start),
            got.clean_end && got.bytes == transfer_size && got.sum == sum};
}

// -- what is shown --------------------------------------------------------------------------------

std::string value_of(const std::string& line, const std::string& key) {
    const std::size_t at = line.find(' ' + key + '=');
    if (at == std::string::npos) return "";
    const std::size_t begin = at + key.size() + 2;
    return line.substr(begin, line.find(' ', begin) - begin);
}

void show_subflows(const std::vector<std::string>& lines) {
    std::printf("\n  subflow    carried           share\n");
    std::vector<std::pair<std::string, double>> rows;
    double total = 0;
    for (const std::string& line : lines) {
        rows.emplace_back(value_of(line, "subflow"),
                          std::strtod(value_of(line, "sent").c_str(), nullptr));
        total += rows.back().second;
    }
    for (const auto& [id, bytes] : rows) {
        const double share = total > 0 ? bytes / total : 0;
        std::printf("  %-8s %9.1f MB  %5.1f %%  %.*s\n", id.c_str(), bytes / 1e6, 100 * share,
                    static_cast<int>(share * 50),
                    "##################################################");
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) give_up("usage: bench-demo BIN_DIR");
    ignore_write_signals();
    const std::string striper = std::string(argv[1]) + "/tcp-striper";
    auto here = listen_on(*socket_address::parse("127.0.0.1:0"));
    if (!here) give_up("cannot listen on loopback");
    const socket_address target = local_address(here->get());

    child server(striper, {"-s", "127.0.0.1:0", target.to_string()});
    child client(striper, {"-c", "127.0.0.1:0", server.address()});
    std::printf("tcp-striper demo: %.1f GB through a striped pair on loopback\n\n",
                transfer_size / 1e9);
    std::printf(
        "  this demo --> tcp-striper -c %s ==4 subflows==> tcp-striper -s %s --> this demo\n\n",
        client.address().c_str(), server.address().c_str());
    std::fflush(stdout);

    const outcome direct = transfer("direct", target, here->get());
    const outcome striped =
        transfer("striped", *socket_address::parse(client.address()), here->get());
    show_subflows(client.subflows());

    const double size = transfer_size / 1e9;
    std::printf(
        "\n  direct     %6.2f GB/s\n  striped    %6.2f GB/s   %.2f of direct, on one machine whose "
        "cores carry all of it\n",
        size / direct.seconds, size / striped.seconds, direct.seconds / striped.seconds);
    std::printf("  checksum   %s\n",
                direct.exact && striped.exact ? "verified: every byte, in order" : "DIFFERS");
    return direct.exact && striped.exact ? 0 : 1;
}
