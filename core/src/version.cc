#include <libp/version.h>

namespace libp {

const char* version() noexcept {
    return LIBP_VERSION;
}

}  // namespace libp
