#pragma once

// Routes between the two ends of a simulation, and the subflows kept over them: TCP connections
// that are dialled again when they die.

#include <sim/simulation.h>
#include <sim/tcp_flow.h>

#include <map>
#include <memory>
#include <utility>
#include <vector>

namespace libp::stripe::sim {

using libp::sim::path;
using libp::sim::path_shape;
using libp::sim::route;

class routes final : private timeline::actor {
  public:
    explicit routes(simulation& world, duration redial = 1s);
    ~routes() override;

    std::size_t add(const path_shape& up, const path_shape& down);
    std::size_t add(const path_shape& both) { return add(both, both); }
    route& at(std::size_t n) { return *all_.at(n); }
    std::size_t size() const { return all_.size(); }

    // A subflow over route `n`, at once. When end 0 loses it, it is dialled again.
    subflow_id dial(std::size_t n, const subflow_options& o = {});
    void dial_all(std::size_t each);
    tcp_flow& flow(subflow_id id) { return static_cast<tcp_flow&>(world_.at_link(id)); }
    std::size_t route_of(subflow_id id) const { return over_.at(id).n; }
    // Of a route, those that are up.
    std::vector<subflow_id> on(std::size_t n) const;
    // Sum of what the ends sent over a route that carries payload, by the end that sent.
    libp::sim::tcp_options tcp{};
    bool keep_dialling = true;

  private:
    struct dialled {
        std::size_t n;
        subflow_options options;
    };

    void on_lost(subflow_id id, int side);
    // One that does not get through is tried again.
    void on_time(int) override;

    simulation& world_;
    const duration redial_;
    std::vector<std::unique_ptr<route>> all_;
    std::map<subflow_id, dialled> over_;
    std::vector<std::pair<instant, dialled>> again_;
    subflow_id last_ = 0;
};

}  // namespace libp::stripe::sim
