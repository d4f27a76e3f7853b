#include <libp/poller.h>

namespace libp {

std::unique_ptr<poller> make_default_poller() {
    if (auto p = make_epoll_poller()) return p;
    return make_select_poller();  // a sandbox that forbids epoll, say
}

}  // namespace libp
