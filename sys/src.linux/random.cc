#include <libp/assert.h>
#include <libp/random.h>

#include "os_calls.h"

#include <sys/random.h>

namespace libp {

void fill_random(mutable_bytes out) noexcept {
    while (!out.empty()) {
        const ssize_t n = uninterrupted([&] { return getrandom(out.data(), out.size(), 0); });
        check(n > 0, "getrandom failed");
        out = out.subspan(static_cast<std::size_t>(n));
    }
}

}  // namespace libp
