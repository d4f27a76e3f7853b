#pragma once

// The pipe over two plain descriptors, one to read from and one to write to: stdin and stdout, a
// pipe(2) pair, a terminal, a file. A stream pipe; ready from the start.
//
// The end of input is the FIN received. send_fin() closes the output descriptor; a socket is shut
// down for writing first, because others may hold it open (stdin and stdout may well be one
// socket). A TCP connection is reset by an abort; other such descriptors know no reset: they are
// closed, and the other side cannot tell. Output that nobody reads any more breaks the pipe with
// peer_reset when it is next written to; the program must have called ignore_write_signals().
//
// A descriptor that cannot be watched (a regular file) is taken to be always ready. O_NONBLOCK is
// set while the pipe lives and put back after, because the flag is shared with whoever else has the
// file open; where input and output are one open file it is put back when the input closes.

#include <libp/event_loop.h>
#include <libp/fd.h>
#include <libp/io_pipe.h>

#include <memory>

namespace libp {

// Owns both. `in` and `out` may be duplicates of one descriptor.
std::unique_ptr<io_pipe> make_fd_pipe(event_loop& loop, unique_fd in, unique_fd out);

}  // namespace libp
