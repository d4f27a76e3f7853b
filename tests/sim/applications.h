#pragma once

// The applications at both ends of a simulated session: they open the streams that were planned,
// write, read at their own pace, and end them.
//
// Every byte read is compared with the byte that must be there, and an event that must not come is
// a failure. They know only the engine at their end: whoever has the subflows lets them act
// whenever something happened to it.

#include <libp/stripe/engine.h>
#include <sim/stream_plan.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace libp::stripe::sim {

class applications {
  public:
    using engines = std::unique_ptr<engine>[2];

    // `fail` is told what must not be.
    applications(engines& ends, block_pool& blocks, const instant& now,
                 std::function<void(const std::string&)> fail);

    std::size_t plan(const stream_plan& p);
    const outcome& at(std::size_t plan, int side) { return results_.at(plan).ends[side]; }
    stream_plan& plan_at(std::size_t plan) { return plans_.at(plan); }

    // Those at end `side` do what there is to do.
    void act(int side);
    // When there will be something to do, whatever happens.
    instant next_act() const;
    // Everything planned came to its end.
    bool all_done();

    // Whose own streams they are, other than plans': true if the event is theirs.
    std::function<bool(int side, event&)> on_other_event;
    error session_error[2] = {};

  private:
    struct app {
        std::size_t plan;
        int side;
        stream_id id;
        outcome* result;
        chain pending;  // taken back by the engine's bounds
        instant next_read{}, next_write{};
        bool readable = false, writable = true, finished = false;
        std::vector<instant> asked{};
    };
    struct both {
        outcome ends[2];
    };

    void start(int side);
    void begin(std::size_t n, int side, stream_id id);
    void on_event(int side, event& e);
    void serve(app& a);
    // No event says that the last of a stream was confirmed.
    void end(int side);
    void read(app& a, outcome& o, engine& e);
    void write(app& a, outcome& o, engine& e);
    void verify(app& a, const chain& data);

    engines& ends_;
    block_pool& blocks_;
    const instant& now_;
    const std::function<void(const std::string&)> fail_;

    std::deque<stream_plan> plans_;
    std::deque<both> results_;
    std::multimap<instant, std::size_t> starts_;
    std::map<stream_id, app> apps_[2];
    std::set<stream_id> runnable_[2], ending_[2];
    std::set<std::pair<instant, stream_id>> timed_[2];
    std::size_t first_undone_ = 0;
};

}  // namespace libp::stripe::sim
