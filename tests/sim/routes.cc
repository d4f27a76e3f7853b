#include "sim/routes.h"

#include <utility>

namespace libp::stripe::sim {

routes::routes(simulation& world, duration redial)
    : actor(world.time), world_(world), redial_(redial) {
    world.on_lost = [this](subflow_id id, int side) { on_lost(id, side); };
}

routes::~routes() {
    world_.on_lost = nullptr;
}

std::size_t routes::add(const path_shape& up, const path_shape& down) {
    all_.push_back(std::make_unique<route>(time(), up, down, world_.random.below(UINT64_MAX)));
    return all_.size() - 1;
}

subflow_id routes::dial(std::size_t n, const subflow_options& o) {
    const subflow_id id = ++last_;
    route& r = at(n);
    auto flow = std::make_unique<tcp_flow>(time(), world_.user(), id, r, tcp);
    over_[id] = {n, o};
    subflow_options options = o;
    options.path = static_cast<std::uint32_t>(n + 1);
    options.rtt = r.round_trip() + r.lines[0].waiting() + r.lines[1].waiting();
    world_.add(id, std::move(flow), options);
    return id;
}

void routes::dial_all(std::size_t each) {
    for (std::size_t i = 0; i < each; ++i)
        for (std::size_t n = 0; n < size(); ++n)
            dial(n);
}

std::vector<subflow_id> routes::on(std::size_t n) const {
    std::vector<subflow_id> out;
    for (subflow_id id : world_.path_ids())
        if (over_.at(id).n == n) out.push_back(id);
    return out;
}

void routes::on_lost(subflow_id id, int side) {
    if (side != 0 || !keep_dialling) return;
    again_.push_back({now() + redial_, over_.at(id)});
    schedule(now() + redial_, 0);
}

void routes::on_time(int) {
    for (auto& [at, what] : std::exchange(again_, {})) {
        if (at > now()) {
            again_.push_back({at, what});
        } else if (!this->at(what.n).passes()) {
            again_.push_back({now() + redial_, what});
            schedule(now() + redial_, 0);
        } else {
            dial(what.n, what.options);
        }
    }
}

}  // namespace libp::stripe::sim
