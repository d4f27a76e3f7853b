#include "program_name.h"

namespace libp {

// POSIX has no way to ask.
const char* program_name() noexcept {
    return "libp";
}

}  // namespace libp
