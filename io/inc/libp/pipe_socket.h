#pragma once

// The pipe that is a connected stream socket: TCP or UNIX. A stream pipe; ready from the start.
//
// Bytes are received into blocks whose size follows the flow: 16 KiB to begin with, up to 256 KiB
// while reads fill them, so that an idle connection holds no buffer and a bulky one makes few
// system calls. A receive that came short is taken as the socket being empty: no second call only
// to hear EAGAIN. Nothing is kept on the sending side: what the kernel does not take stays with the
// caller.
//
// Interest in readiness is derived from the flags: reading is watched for while `readable` is down,
// writing while `writable` is down. A consumer that does not receive therefore costs nothing and
// holds the peer back through the kernel's window.
//
// keep_unsent() is TCP_NOTSENT_LOWAT where there is one: the system then says writable while less
// than that waits.
//
// reset() and an unfinished destruction send RST over TCP. A UNIX socket has no RST: its peer sees
// an error only if unread bytes were left here, otherwise a plain end. Where the program dies the
// system does the same for TCP, if it was told to (tcp_options::reset_on_close); send_fin() takes
// that back, for what was finished is to arrive. Put framing (pipe_dgm, stripe) over UNIX sockets
// where a cut must be told from an end.

#include <libp/event_loop.h>
#include <libp/io_pipe.h>
#include <libp/socket.h>

#include <memory>

namespace libp {

// `fd` is connected; the pipe owns it. TCP options are the business of whoever connected or
// accepted it, who also knows the `peer`; without one the system is asked.
std::unique_ptr<io_pipe> make_socket_pipe(event_loop& loop, unique_fd fd,
                                          const socket_address& peer = {});

}  // namespace libp
