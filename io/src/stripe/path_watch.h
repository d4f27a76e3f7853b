#pragma once

// What becomes of a session's paths, for its log: a line where the best state among a path's
// subflows changes, and one where a path that could carry something is given nothing, or is used
// again.

#include <libp/log.h>
#include <libp/stripe/engine.h>

#include <string>
#include <vector>

namespace libp::stripe {

class path_watch {
  public:
    // `session`: as logs call it.
    path_watch(const log& out, std::string session) : log_(out), session_(std::move(session)) {}

    // One subflow that is up.
    struct sight {
        const std::string& path;
        subflow_stats stats;
        duration quiet{0};  // nothing came from it for that long
    };
    // Of all that are.
    void look(const std::vector<sight>& subflows, instant now);

  private:
    // What is known of a path, and what was logged of it. One that has no subflow keeps it, for
    // when it comes back.
    struct note {
        std::string name;
        subflow_state state = subflow_state::good;
        std::uint64_t sent = 0, declined = 0;  // when its use was last looked at
        bool unused = false;
    };
    struct sum;

    void look_at_use(const std::vector<sum>& sums);

    const log& log_;
    const std::string session_;
    std::vector<note> notes_;
    instant use_looked_at_{};
};

}  // namespace libp::stripe
