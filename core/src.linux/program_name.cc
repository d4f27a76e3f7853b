#include "program_name.h"

#include <errno.h>

namespace libp {

const char* program_name() noexcept {
    return program_invocation_short_name;
}

}  // namespace libp
