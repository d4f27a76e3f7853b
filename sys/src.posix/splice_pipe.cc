#include <libp/splice_pipe.h>

namespace libp {

// POSIX has nothing that moves bytes without copying them. make() says so, hence the rest is never
// reached.

result<splice_pipe> splice_pipe::make(std::size_t) {
    return error{reason::unsupported};
}

io_result splice_pipe::fill(fd_type, std::size_t) noexcept {
    return io_result::broken({reason::unsupported});
}

io_result splice_pipe::drain(fd_type) noexcept {
    return io_result::broken({reason::unsupported});
}

}  // namespace libp
