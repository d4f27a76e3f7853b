#include <libp/assert.h>
#include <libp/io_pipe.h>

namespace libp {

io_result io_pipe::recv_spliced(splice_pipe&, std::size_t) {
    fail("recv_spliced on a pipe that cannot splice");
}

io_result io_pipe::send_spliced(splice_pipe&) {
    fail("send_spliced on a pipe that cannot splice");
}

std::string describe(const io_pipe& pipe) {
    std::string out;
    pipe.describe(out);
    return out;
}

}  // namespace libp
