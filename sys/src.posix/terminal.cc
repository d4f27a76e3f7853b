#include <libp/number.h>
#include <libp/terminal.h>

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>

// The size of a window is not in POSIX.1-2008, but wherever there are windows this is how to ask.
#if __has_include(<sys/ioctl.h>)
#include <sys/ioctl.h>
#endif

namespace libp {

bool is_terminal(fd_type fd) noexcept {
    return isatty(fd) == 1;
}

unique_fd open_terminal_again(fd_type fd) noexcept {
    char name[256];
    if (ttyname_r(fd, name, sizeof name) != 0) return {};
    return unique_fd(open(name, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
}

int terminal_width([[maybe_unused]] fd_type fd) noexcept {
    constexpr int usual_width = 80;
#ifdef TIOCGWINSZ
    winsize window{};
    if (ioctl(fd, TIOCGWINSZ, &window) == 0 && window.ws_col > 0) return window.ws_col;
#endif
    if (const char* columns = std::getenv("COLUMNS")) {
        if (const auto width = number_of<int>(columns); width && *width > 0) return *width;
    }
    return usual_width;
}

}  // namespace libp
