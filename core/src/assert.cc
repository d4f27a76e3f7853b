#include <libp/assert.h>

#include <cstdio>
#include <exception>

namespace libp {

void fail(const char* what, code_place where) noexcept {
    std::fprintf(stderr, "bug: %s:%u: %s\n", where.file, where.line, what);
    std::terminate();
}

}  // namespace libp
