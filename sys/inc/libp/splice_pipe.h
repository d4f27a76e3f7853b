#pragma once

// Moving bytes from one socket to another inside the kernel: splice(2) through a kernel pipe.
//
// A splice_pipe is such a kernel pipe: fill() takes bytes from a socket into it, drain() gives them
// to another socket, held() is what is in between. Measured here over loopback, a 256 KiB to 1 MiB
// pipe halves the relay's CPU per byte against read/write with 64 KiB; a 64 KiB one gains much
// less.
//
// Kernel pipes are scarce (the pages of all of a user's pipes together are limited,
// fs.pipe-user-pages-soft), so they are lent from a pool and only while bytes are in flight: take()
// one when a flow proves bulky, give it back when it is empty. Where the system refuses a large
// pipe a smaller one is used; where it refuses any, or has no splice at all, take() says no and the
// caller copies.

#include <libp/fd.h>
#include <libp/io_result.h>
#include <libp/result.h>

#include <cstddef>
#include <memory>
#include <vector>

namespace libp {

class splice_pipe {
  public:
    // Errors: unsupported, limit.
    static result<splice_pipe> make(std::size_t want_capacity);

    // Moves up to min(max, room), max > 0, bytes from the socket into the pipe. again: the socket
    // is empty, or the pipe has no room: check held() to tell. fin: clean end.
    io_result fill(fd_type from, std::size_t max) noexcept;
    // Moves what it can from the pipe, which must hold something, to the socket. again: the socket
    // is full. splice(2) has no MSG_NOSIGNAL: the program must have called ignore_write_signals().
    io_result drain(fd_type to) noexcept;
    std::size_t held() const noexcept { return held_; }
    std::size_t capacity() const noexcept { return capacity_; }

  private:
    splice_pipe() = default;
    unique_fd read_end_, write_end_;
    std::size_t held_ = 0;
    std::size_t capacity_ = 0;
};

// Keeps a few empty pipes for the next taker and bounds how many there are at once.
class splice_pool {
  public:
    explicit splice_pool(std::size_t most = 64, std::size_t capacity = mib_1) noexcept
        : most_(most), capacity_(capacity) {}

    // An empty pipe, or nullptr: none to be had now.
    std::unique_ptr<splice_pipe> take();
    // An emptied pipe is kept (a few) or closed; one that still holds bytes (its flow broke) is
    // closed.
    void give_back(std::unique_ptr<splice_pipe> pipe) noexcept;

  private:
    static constexpr std::size_t mib_1 = 1024 * 1024;
    std::size_t most_;
    std::size_t capacity_;
    std::size_t lent_ = 0;
    bool refused_ = false;
    std::vector<std::unique_ptr<splice_pipe>> idle_;
};

}  // namespace libp
