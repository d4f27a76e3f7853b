#include <libp/assert.h>
#include <libp/random.h>

#include "os_calls.h"

#include <fcntl.h>
#include <unistd.h>

namespace libp {

void fill_random(mutable_bytes out) noexcept {
    // Opened at the first call and kept: a later one may come when the process is out of
    // descriptors.
    static const unique_fd source(
        uninterrupted([] { return open("/dev/urandom", O_RDONLY | O_CLOEXEC); }));
    check(bool(source), "/dev/urandom cannot be opened");
    while (!out.empty()) {
        const ssize_t n = uninterrupted([&] { return read(source.get(), out.data(), out.size()); });
        check(n > 0, "/dev/urandom cannot be read");
        out = out.subspan(static_cast<std::size_t>(n));
    }
}

}  // namespace libp
