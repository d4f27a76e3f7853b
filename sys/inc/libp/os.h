// The porting specification of the system layer, and the only header of it that differs by system.
//
// A port supplies its own libp/os.h in sys/inc.$OS/ and the sources of sys/src.$OS/; nothing above
// sys includes a system header. The header must define, in namespace libp:
//
//   fd_type        what the system names an open socket or file with
//   no_fd          the value of fd_type that names nothing
//   os_name        "linux", "posix", ...: what --version prints
//   os_has_splice  true if splice_pipe (libp/splice_pipe.h) moves bytes without copying them; when
//                  false its make() returns reason::unsupported and everything works by copying
//   os_has_epoll   true if evl's epoll backend is there
//   os_accepted_inherit_options
//                  true if an accepted TCP socket has the options its listener had (no_delay,
//                  keepalive): they are then set once, not for every connection
//
// The functions a port implements are those declared in libp/fd.h, socket.h, socket_address.h,
// resolver.h, clock.h, random.h, signals.h, process.h and terminal.h. What those headers promise is
// the whole contract: non-blocking calls, EINTR never seen above sys, SIGPIPE never raised,
// close-on-exec on every descriptor, errors as libp::error with the reason worked out from the
// system's own code.
//
// A system that clears a reset socket's buffers (Windows) is allowed to: above sys a broken socket
// promises nothing about bytes not yet received.

#error "no libp/os.h for this system: set the include path to sys/inc.$OS before sys/inc"
