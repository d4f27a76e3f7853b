#include <libp/assert.h>

#include <cstdio>
#include <cstdlib>

#include "program_name.h"

namespace libp {

void fail(const char* what, std::source_location where) noexcept {
    std::fprintf(stderr, "%s bug: %s:%u: %s\n", program_name(), where.file_name(),
                 static_cast<unsigned>(where.line()), what);
    std::abort();
}

}  // namespace libp
