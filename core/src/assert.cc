#include <libp/assert.h>

#include <cstdio>
#include <cstdlib>

namespace libp {

void fail(const char* what, std::source_location where) noexcept {
    std::fprintf(stderr, "bug: %s:%u: %s\n", where.file_name(), static_cast<unsigned>(where.line()),
                 what);
    std::abort();
}

}  // namespace libp
