#include <libp/assert.h>

#include <cstdio>
#include <cstdlib>

namespace libp {

void fail(const char* what, code_place where) noexcept {
    std::fprintf(stderr, "bug: %s:%u: %s\n", where.file, where.line, what);
    std::abort();
}

}  // namespace libp
