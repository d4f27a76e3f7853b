#pragma once

// Sockets, as the layers above need them: everything non-blocking, close-on-exec and free of
// SIGPIPE; EINTR is retried here; every failure comes back as an `error` or a `broken` with its
// reason worked out.
//
//  -- receiving and sending --
//
// receive() and transmit() move bytes between a socket and memory: one system call each, whatever
// it moves. A receive that fills less than it was given has emptied the socket (for now): calling
// again at once would only learn EAGAIN, so do not. The same with a transmit that takes less than
// it was given. Room for nothing and data of no bytes are bugs (checked): both would look like
// something else. After an error the socket is broken for good; callers keep that fact, the system
// does not (SO_ERROR clears on read).
//
//  -- ending --
//
// shutdown_write() sends FIN. close_with_reset() makes the peer see an error where the transport
// can express one: TCP sends RST (SO_LINGER with zero timeout). UNIX sockets have no RST: their
// peer sees ECONNRESET only if bytes were left unread here, else a plain end; a stack that must
// tell a cut from an end puts framing on top of UNIX sockets.

#include <libp/chain.h>
#include <libp/fd.h>
#include <libp/io_result.h>
#include <libp/result.h>
#include <libp/socket_address.h>
#include <libp/time.h>

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace libp {

// -- making sockets ------------------------------------------------------------------------------

struct listen_options {
    int backlog = 1024;
    bool v6_only = false;  // [::] also takes IPv4 otherwise, where the system can
};

// Binds and listens. TCP gets SO_REUSEADDR. A UNIX path that exists is connected to first, by a
// socket of a type that nobody who listens there gets as a connection: if that is *refused*, and
// the file is a socket, it is a left-over and is removed; in every other case (it is somebody's, it
// is no socket, we may not look) the error is address_in_use or permission and nothing is touched.
result<unique_fd> listen_on(const socket_address& at, const listen_options& options = {});

struct accept_result {
    io_status status = io_status::again;  // ok, again (nobody there, or it went away), broken
    unique_fd fd;
    socket_address peer;
    error why{};  // limit: out of descriptors or memory (EMFILE, ENFILE, ENOBUFS, ENOMEM)
};
accept_result accept_from(fd_type listener);

struct connect_options {
    std::optional<socket_address> source;  // bind(2) to this first
    std::string device;                    // SO_BINDTODEVICE; unsupported where there is none
};
// Starts connecting. The socket becomes writable when it is decided; then ask take_error(). What is
// decided at once is an error here: refused (also a UNIX path that does not exist), limit (out of
// descriptors or memory, or a UNIX listener whose queue is full: worth trying again later),
// unreachable, permission ...
result<unique_fd> start_connect(const socket_address& to, const connect_options& options = {});

// A connected pair of UNIX stream sockets.
result<std::pair<unique_fd, unique_fd>> socket_pair();

// -- bytes ---------------------------------------------------------------------------------------

// Reads into the buffers in order (at most 16). fin on a clean end.
io_result receive(fd_type fd, std::span<const mutable_bytes> buffers) noexcept;
// Writes from the front of `data`, at most `max` bytes and 64 slices; the chain is not changed.
io_result transmit(fd_type fd, const chain& data,
                   std::size_t max = static_cast<std::size_t>(-1)) noexcept;
// The same two for descriptors that need not be sockets (read(2), write(2)). A terminal that hung
// up reads as fin and writes as peer_reset. write_to() has no MSG_NOSIGNAL: the program must have
// called ignore_write_signals().
io_result read_from(fd_type fd, std::span<const mutable_bytes> buffers) noexcept;
io_result write_to(fd_type fd, const chain& data,
                   std::size_t max = static_cast<std::size_t>(-1)) noexcept;
// For what others write to as well (stderr), where O_NONBLOCK would be theirs too: writes from the
// front of `text` if that does not block, else `again`. One poll and one write of at most PIPE_BUF
// bytes (4096 on Linux, 512 anywhere), which a pipe that says it has room takes whole; only
// somebody else's write between the two could make it wait. A terminal may have room for half a
// line and then wait: see open_terminal_again() in terminal.h. The program must have called
// ignore_write_signals().
io_result write_at_once(fd_type fd, std::string_view text) noexcept;

// -- state ---------------------------------------------------------------------------------------

error shutdown_write(fd_type fd) noexcept;
void close_with_reset(unique_fd fd) noexcept;
// Whether close(), also at process death, sends RST (SO_LINGER 0) or the pending bytes and a FIN.
// No effect without a connection.
void reset_on_close(fd_type fd, bool on) noexcept;
// Takes SO_ERROR, which clears it. No error: reason::none.
error take_error(fd_type fd) noexcept;
socket_address local_address(fd_type fd) noexcept;
socket_address peer_address(fd_type fd) noexcept;

struct tcp_options {
    bool no_delay = true;
    // reset_on_close(), from the beginning: what a program leaves behind that is killed shall not
    // look finished. Who ends a stream in order takes it back before he does.
    bool reset_on_close = true;
    duration keepalive_idle = 30s;  // 0: not set; on a new socket it is off
    duration keepalive_interval = 10s;
    int keepalive_count = 3;
    // TCP_USER_TIMEOUT (RFC 5482) where there is one; 0: the system's default. Linux ends a
    // connection whose peer answers but does not read for that long, too: measured, a full window
    // counts as unacknowledged data.
    duration user_timeout{0};
    // The longest that TCP waits between two retransmissions (TCP_RTO_MAX_MS, Linux 6.15), where
    // that can be said: 1 to 120 s; 0: the system's default. Its wait doubles each time, so that a
    // network that was down for long is tried again only long after it is back.
    duration rto_max{0};
    // TCP_CONGESTION where there is one, such as "bbr"; empty: the system's default. See
    // check_congestion_control().
    std::string congestion_control = {};
};
// Options a system lacks are skipped; UNIX sockets ignore all of them.
error set_tcp_options(fd_type fd, const tcp_options& options) noexcept;
// Whether this process may use a congestion control of that name. Errors: invalid (there is none),
// permission, unsupported.
error check_congestion_control(const std::string& name) noexcept;
// Whether this process may bind sockets to a device (SO_BINDTODEVICE). Errors: invalid (there is no
// such device), permission, unsupported.
error check_device(const std::string& name) noexcept;
// How many bytes that were sent may wait in the system without having left the machine; with more
// the socket is not writable. Nothing where there is no such thing (it is TCP_NOTSENT_LOWAT), and
// for UNIX sockets.
error limit_unsent(fd_type fd, std::size_t bytes) noexcept;

// What the system knows of a TCP connection's way to the peer.
struct tcp_state {
    duration rtt{0};      // smoothed
    duration rtt_min{0};  // the least of the last minutes
    // Bytes that wait in this machine because TCP's window does not let them go.
    std::size_t unsent = 0;
};
// False: it is not TCP, nothing was measured yet, or the system does not tell (Linux does, by
// TCP_INFO).
bool get_tcp_state(fd_type fd, tcp_state& to) noexcept;

}  // namespace libp
