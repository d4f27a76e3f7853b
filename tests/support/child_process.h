#pragma once

// A program under test, run as a child of the test.
//
// Its stderr goes to a file without a name, where log() reads it; its stdin and stdout are
// /dev/null. It inherits no other descriptor of the test's: a socket that lived on in a child would
// never be seen to close. A child that is still running when its object dies is killed, by pid.
//
// A child that dies of a signal nobody here sent, or that has a sanitizer's report in its log,
// fails the test that runs when its object dies.

#include <libp/fd.h>
#include <libp/time.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace libp {

// How long a test waits for something that is bound to happen before it calls that a failure.
duration test_patience() noexcept;

// Asks `done` until it says yes or time is up, for conditions that have no event to wait for.
// Returns its last answer.
template <class Condition>
bool wait_until(Condition done, duration patience = test_patience());

struct child_setup {
    bool announces = false;       // adds --announce, for address()
    std::size_t descriptors = 0;  // RLIMIT_NOFILE, hard and soft; 0: ours
};

class child_process {
  public:
    // A program without a slash is one of this build's: it is in the folder of the test program.
    // Throws std::runtime_error when it cannot be started.
    explicit child_process(std::vector<std::string> command, const child_setup& setup = {});
    ~child_process();
    child_process(const child_process&) = delete;
    child_process& operator=(const child_process&) = delete;

    pid_t pid() const noexcept { return pid_; }
    // The first address it announced: "127.0.0.1:43211", "/tmp/x/sock". Waits for it; throws when
    // none comes.
    const std::string& address();
    void signal(int number) noexcept;
    // How it ended: its exit status, or 128 and the signal's number. Nothing: it still runs when
    // `patience` is over.
    std::optional<int> wait(duration patience = test_patience());
    // Everything it wrote to stderr so far.
    std::string log() const;
    bool wait_for_log(std::string_view text, duration patience = test_patience()) const;
    // CPU time it used so far, all threads.
    duration cpu_time() const noexcept;
    // The command line, for messages.
    std::string to_string() const;

  private:
    bool reap(bool block) noexcept;

    std::vector<std::string> command_;
    unique_fd log_, announcement_;
    std::string address_;
    pid_t pid_ = -1;
    std::optional<int> status_;
    int signal_sent_ = 0;
};

// A folder of this build's programs.
std::string program_folder();

// Waits a moment, a few milliseconds: the pace of wait_until.
void short_nap() noexcept;
instant test_now() noexcept;

template <class Condition>
bool wait_until(Condition done, duration patience) {
    for (instant deadline = test_now() + patience; !done(); short_nap())
        if (test_now() >= deadline) return done();
    return true;
}

}  // namespace libp
