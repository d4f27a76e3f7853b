#include <libp/poller.h>

namespace libp {

std::unique_ptr<poller> make_epoll_poller() {
    return nullptr;
}

std::unique_ptr<poller> make_default_poller() {
    return make_select_poller();
}

}  // namespace libp
