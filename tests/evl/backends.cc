#include "backends.h"

#include "support/sim_poller.h"

namespace libp {

std::vector<std::string> real_backends() {
    if (os_has_epoll) return {"epoll", "select"};
    return {"select"};
}

std::vector<std::string> all_backends() {
    auto names = real_backends();
    names.push_back("simulated");
    return names;
}

std::unique_ptr<poller> make_poller(const std::string& backend) {
    if (backend == "epoll") return make_epoll_poller();
    if (backend == "select") return make_select_poller();
    return std::make_unique<sim_poller>();
}

}  // namespace libp
