#pragma once

// A program under test, run as its users run it: a process with its own descriptors, limits and
// signals.
//
//     spawned_program proxy({.program = "tcp-proxy", .arguments = {"-r", "127.0.0.1:0", target}});
//     std::string address = proxy.wait_announced();
//     ...
//     proxy.signal(SIGTERM);
//     EXPECT_EQ(proxy.wait_exit(), 0);
//
// Every wait ends after `test_patience` at the latest. A child that is still there when its object
// dies is killed, by pid.

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

namespace libp::app {

inline constexpr std::chrono::seconds test_patience{20};

// Where the programs under test are: $LIBP_BIN, or the folder this test program is in.
std::string program_folder();

struct spawn_options {
    std::string program;  // in program_folder(), unless it has a slash
    std::vector<std::string> arguments;
    bool announce = false;     // adds --announce for wait_announced()
    std::size_t fd_limit = 0;  // RLIMIT_NOFILE, soft and hard; 0: as this process
};

class spawned_program {
  public:
    explicit spawned_program(const spawn_options& options);
    ~spawned_program();
    spawned_program(const spawned_program&) = delete;
    spawned_program& operator=(const spawned_program&) = delete;

    int pid() const noexcept { return pid_; }
    void signal(int number) const;

    // The exit status; 128 + the signal that ended it; -1: it did not end in time.
    int wait_exit(std::chrono::milliseconds patience = test_patience);
    // The first address it announces ("127.0.0.1:43211"); empty: it ended or took too long.
    std::string wait_announced();
    // Reads its stderr until a line contains `text` and returns that line; empty: it does not come.
    // Lines before it stay in errors().
    std::string wait_error_line(const std::string& text);

    // stdin: writes all of it, and closes it.
    bool write_input(const std::string& data);
    void close_input();
    // stdout: until `size` bytes came, or its end (size npos).
    std::string read_output(std::size_t size = static_cast<std::size_t>(-1));
    // All of stderr so far; after wait_exit, everything there was.
    std::string errors();
    // CPU time it has used.
    double cpu_seconds() const;

  private:
    bool read_some(int fd, std::string& to, std::chrono::steady_clock::time_point until);

    int pid_ = -1;
    int status_ = -1;
    bool reaped_ = false;
    int input_ = -1, output_ = -1, errors_ = -1, announced_ = -1;
    std::string error_text_;
    std::size_t error_looked_at_ = 0;
};

// The value of `key` in a line of a log; empty: it has none.
std::string field_of(const std::string& line, const std::string& key);

// Runs it to its end.
struct run_result {
    int status = -1;
    std::string output;
    std::string errors;
};
run_result run_program(const spawn_options& options);
run_result run_program(const std::string& program, const std::vector<std::string>& arguments);

}  // namespace libp::app
