#include "sim/timeline.h"

#include <libp/assert.h>

namespace libp::sim {

timeline::actor::actor(timeline& time)
    : time_(time), id_(static_cast<actor_id>(time.actors_.size())) {
    time.actors_.push_back(this);
}

timeline::actor::~actor() {
    time_.actors_[id_] = nullptr;
}

void timeline::run_next() {
    const entry e = events_.top();
    events_.pop();
    check(e.at >= now, "time goes forward");
    now = e.at;
    if (actor* a = actors_[e.who]) a->on_time(e.what);
}

void timeline::schedule(instant at, actor_id who, int what) {
    if (at != never) events_.push({at < now ? now : at, number_++, who, what});
}

}  // namespace libp::sim
