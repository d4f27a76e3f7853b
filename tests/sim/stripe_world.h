#pragma once

// A simulation for tests: over plain links unless said otherwise, and what must not be is a test's
// failure.
//
// No source goes with it: those of tests/sim are in a program without GoogleTest too.

#include <sim/simulation.h>

#include <gtest/gtest.h>

namespace libp::stripe::sim {

class world : public simulation {
  public:
    explicit world(std::uint64_t seed, engine_options common = {})
        : simulation(seed, common, [](const std::string& what) { ADD_FAILURE() << what; }) {}

    void up(subflow_id id, const link_shape& shape = {}, bool crc = true) {
        add(id, std::make_unique<plain_link>(time, user(), id, shape, random),
            {.payload_crc = crc});
    }
    void freeze(subflow_id id, bool frozen) { plain(id).freeze(frozen); }
    // Cuts it: `late_bytes` of what is under way each way still arrive. Ends notice in either
    // order.
    void cut(subflow_id id, std::size_t late_bytes = 0) {
        for (int to : {0, 1}) {
            if (!is_up(id)) return;
            chain late = plain(id).take(to, late_bytes);
            if (!late.empty()) user().on_bytes(id, to, std::move(late));
        }
        if (is_up(id)) close(id, static_cast<int>(random.below(2)));
    }
    // Cuts it when `bytes` more have arrived at end `to`.
    void cut_after(subflow_id id, int to, std::uint64_t bytes) { plain(id).cut_after(to, bytes); }
    std::size_t cuts() const { return losses / 2; }

  private:
    plain_link& plain(subflow_id id) { return static_cast<plain_link&>(at_link(id)); }
};

}  // namespace libp::stripe::sim
