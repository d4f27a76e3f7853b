#pragma once

// Routes between the two ends of a simulation, and the subflows kept over them: TCP connections that are dialled again when they die.

#include <sim/simulation.h>
#include <sim/tcp_flow.h>

#include <memory>
#include <vector>

namespace libp::stripe::sim {

using libp::sim::path;
using libp::sim::path_shape;
using libp::sim::route;

class routes final : private timeline::actor {
  public:
    explicit routes(simulation& world, duration redial = 1s)
        : actor(world.time), world_(world), redial_(redial) {
        world.on_lost = [this](subflow_id id, int side) { on_lost(id, side); };
    }
    ~routes() override { world_.on_lost = nullptr; }

    std::size_t add(const path_shape& up, const path_shape& down) {
        all_.push_back(std::make_unique<route>(time(), up, down, world_.random.below(UINT64_MAX)));
        return all_.size() - 1;
    }
    std::size_t add(const path_shape& both) { return add(both, both); }
    route& at(std::size_t n) { return *all_.at(n); }
    std::size_t size() const { return all_.size(); }

    // A subflow over route `n`, at once. When end 0 loses it, it is dialled again.
    subflow_id dial(std::size_t n, const subflow_options& o = {}) {
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
    void dial_all(std::size_t each) {
        for (std::size_t i = 0; i < each; ++i)
            for (std::size_t n = 0; n < size(); ++n)
                dial(n);
    }
    tcp_flow& flow(subflow_id id) { return static_cast<tcp_flow&>(world_.at_link(id)); }
    std::size_t route_of(subflow_id id) const { return over_.at(id).n; }
    // Of a route, those that are up.
    std::vector<subflow_id> on(std::size_t n) const {
        std::vector<subflow_id> out;
        for (subflow_id id : world_.path_ids())
            if (over_.at(id).n == n) out.push_back(id);
        return out;
    }
    // Sum of what the ends sent over a route that carries payload, by the end that sent.
    libp::sim::tcp_options tcp{};
    bool keep_dialling = true;

  private:
    struct dialled {
        std::size_t n;
        subflow_options options;
    };

    void on_lost(subflow_id id, int side) {
        if (side != 0 || !keep_dialling) return;
        again_.push_back({now() + redial_, over_.at(id)});
        schedule(now() + redial_, 0);
    }
    // One that does not get through is tried again.
    void on_time(int) override {
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

    simulation& world_;
    const duration redial_;
    std::vector<std::unique_ptr<route>> all_;
    std::map<subflow_id, dialled> over_;
    std::vector<std::pair<instant, dialled>> again_;
    subflow_id last_ = 0;
};

}  // namespace libp::stripe::sim
