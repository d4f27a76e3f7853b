#include <libp/assert.h>
#include <libp/signals.h>

#include "os_calls.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <tuple>

namespace libp {

namespace {

constexpr int most_signals = 128;

// The one place in the program with global state, because a signal handler has nothing else to look
// at and the dispositions it stands for are the process's own.
//
// Invariant: the pipe holds one byte for every `waiting` signal, so it never overflows, however
// often a signal that is not being taken is repeated.
struct dispositions {
    std::atomic<fd_type> write_end{no_fd};
    std::array<std::atomic<bool>, most_signals> waiting{};
    std::array<struct sigaction, most_signals> old{};
};
dispositions now;

static_assert(std::atomic<fd_type>::is_always_lock_free);
static_assert(std::atomic<bool>::is_always_lock_free);

}  // namespace

extern "C" {

static void catch_signal(int number) {
    const int saved = errno;
    const auto byte = static_cast<unsigned char>(number);
    if (!now.waiting[byte].exchange(true)) {
        const fd_type to = now.write_end.load();
        // The pipe has room (the invariant). If the write fails all the same, the next signal tries
        // again.
        if (uninterrupted([&] { return write(to, &byte, 1); }) != 1) now.waiting[byte] = false;
    }
    errno = saved;
}

}  // extern "C"

signal_pipe::signal_pipe(std::initializer_list<int> signals) {
    std::tie(read_end_, write_end_) = open_pipe();
    check(bool(read_end_), "no descriptors left for the signal pipe");
    fd_type none = no_fd;
    check(now.write_end.compare_exchange_strong(none, write_end_.get()),
          "there is a signal_pipe already");
    for (int number : signals) {
        if (std::find(caught_.begin(), caught_.end(), number) != caught_.end()) continue;
        check(number > 0 && number < most_signals, "no such signal");
        now.waiting[static_cast<std::size_t>(number)] = false;
        struct sigaction action {};
        action.sa_handler = catch_signal;
        action.sa_flags = SA_RESTART;
        sigfillset(&action.sa_mask);
        check(sigaction(number, &action, &now.old[static_cast<std::size_t>(number)]) == 0,
              "a signal that cannot be caught");
        caught_.push_back(number);
    }
}

signal_pipe::~signal_pipe() {
    for (int number : caught_)
        check(sigaction(number, &now.old[static_cast<std::size_t>(number)], nullptr) == 0,
              "a disposition could not be put back");
    now.write_end = no_fd;
}

std::optional<int> signal_pipe::take() noexcept {
    unsigned char byte = 0;
    const ssize_t n = uninterrupted([&] { return read(read_end_.get(), &byte, 1); });
    if (n != 1) return std::nullopt;
    // A repeat up to here has merged with the one that is about to be handled.
    now.waiting[byte] = false;
    return byte;
}

void ignore_write_signals() noexcept {
    struct sigaction action {};
    action.sa_handler = SIG_IGN;
    check(sigaction(SIGPIPE, &action, nullptr) == 0, "SIGPIPE cannot be ignored");
#ifdef SIGXFSZ
    check(sigaction(SIGXFSZ, &action, nullptr) == 0, "SIGXFSZ cannot be ignored");
#endif
}

}  // namespace libp
