#pragma once

// Virtual time: what is going to happen, in order. Nothing here reads a clock, and what is due at
// the same instant happens in the order in which it was scheduled, so a run is a function of its
// inputs.

#include <libp/time.h>

#include <cstdint>
#include <queue>
#include <vector>

namespace libp::sim {

class timeline {
  public:
    using actor_id = std::uint32_t;

    // Somebody to whom things happen. What was scheduled for one that is gone does not happen.
    class actor {
      public:
        explicit actor(timeline& time);
        virtual ~actor();
        actor(const actor&) = delete;
        actor& operator=(const actor&) = delete;
        // `what` is the actor's own business.
        virtual void on_time(int what) = 0;
        actor_id id() const noexcept { return id_; }

      protected:
        void schedule(instant at, int what) { time_.schedule(at, id_, what); }
        instant now() const noexcept { return time_.now; }
        timeline& time() const noexcept { return time_; }

      private:
        timeline& time_;
        const actor_id id_;
    };

    actor* find(actor_id id) const noexcept { return actors_[id]; }
    instant next() const noexcept { return events_.empty() ? never : events_.top().at; }
    void run_next();

    instant now{};

  private:
    struct entry {
        instant at;
        std::uint64_t number;
        actor_id who;
        int what;
        bool operator<(const entry& o) const noexcept {
            return at != o.at ? at > o.at : number > o.number;
        }
    };
    void schedule(instant at, actor_id who, int what);

    std::priority_queue<entry> events_;
    std::vector<actor*> actors_;
    std::uint64_t number_ = 0;
};

}  // namespace libp::sim
