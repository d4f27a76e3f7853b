#include "os_calls.h"

namespace libp {

error last_error() noexcept {
    const int e = errno;
    switch (e) {
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
        case EAGAIN:
            return {reason::limit, e};
        default:
            return error_from_errno(e);
    }
}

}  // namespace libp
