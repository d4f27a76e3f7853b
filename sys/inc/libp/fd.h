#pragma once

// A file descriptor with one owner.

#include <libp/error.h>
#include <libp/os.h>

#include <utility>

namespace libp {

// Owns a descriptor and closes it when it dies. close(2) failing is ignored: the descriptor is gone
// either way, and bytes whose delivery matters are confirmed by the protocol, not by close.
class unique_fd {
  public:
    unique_fd() noexcept = default;
    explicit unique_fd(fd_type fd) noexcept : fd_(fd) {}
    unique_fd(unique_fd&& other) noexcept : fd_(other.release()) {}
    unique_fd& operator=(unique_fd&& other) noexcept {
        reset(other.release());
        return *this;
    }
    ~unique_fd() { reset(); }

    explicit operator bool() const noexcept { return fd_ != no_fd; }
    fd_type get() const noexcept { return fd_; }
    fd_type release() noexcept { return std::exchange(fd_, no_fd); }
    void reset(fd_type fd = no_fd) noexcept;

  private:
    fd_type fd_ = no_fd;
};

// Turns O_NONBLOCK on or off. Note that the flag belongs to the open file, which stdin and stdout
// share with the shell: whoever sets it there puts it back.
error set_nonblocking(fd_type fd, bool on) noexcept;
bool is_nonblocking(fd_type fd) noexcept;
// Whether there is such a descriptor.
bool fd_is_open(fd_type fd) noexcept;

}  // namespace libp
