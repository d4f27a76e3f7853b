#pragma once

// Two striping engines, the subflows between them, and applications at both ends, in virtual time.
//
// The driver here does what the product's does (subflow_driver.h): rounds over the subflows that
// take bytes, batches of what a subflow delivers in 4 ms, 10 ms' worth unsent below, congestion
// told when it changes, and the engine is asked again after anything that happened at its end.
//
// The engines' invariants are checked every `check_every` steps; what is read is the business of
// applications.h.

#include <libp/stripe/engine.h>
#include <sim/allowance_check.h>
#include <sim/applications.h>
#include <sim/link.h>
#include <sim/timeline.h>
#include <support/seed.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace libp::stripe::sim {

class simulation : private link_user {
  public:
    // `on_failure` is told what must not be.
    using failure_sink = std::function<void(const std::string&)>;

    simulation(std::uint64_t seed, const engine_options& common, failure_sink on_failure);
    virtual ~simulation();

    // -- subflows ---------------------------------------------------------------------------------

    void add(subflow_id id, std::unique_ptr<link> l, const subflow_options& options = {});
    link_user& user() { return *this; }
    bool is_up(subflow_id id) const;
    link& at_link(subflow_id id) { return *places_.at(id).pipe; }
    std::vector<subflow_id> path_ids() const;
    std::size_t paths() const { return path_ids().size(); }
    // End `side` gives it up; the other end learns in time.
    void close(subflow_id id, int side);
    // End `side` wants to be rid of it.
    void drain(subflow_id id, int side) {
        ends[side]->drain(id, now);
        touched_[side] = true;
    }
    // After every step, with all settled.
    std::function<void()> after_step;
    // Something was done with an engine besides: its driver looks.
    void touch(int side) { touched_[side] = true; }
    // Told when an end lost a subflow.
    std::function<void(subflow_id, int side)> on_lost;

    // -- applications -----------------------------------------------------------------------------

    std::size_t plan(const stream_plan& p) {
        touched_[p.opener] = true;
        return apps.plan(p);
    }
    const outcome& at(std::size_t plan, int side) { return apps.at(plan, side); }
    stream_plan& plan_at(std::size_t plan) { return apps.plan_at(plan); }

    // -- running ----------------------------------------------------------------------------------

    // Runs until everything planned came to its end; false if that does not happen within `limit`
    // of virtual time.
    bool run(duration limit = std::chrono::hours(1));
    // Lets things happen until virtual time `until`.
    void run_for(duration d);
    bool step(instant until);
    bool failed() const { return failed_; }
    void fail(const std::string& what);
    // A PING now and then is in flight even if nothing goes on.
    bool is_quiet() const;
    // All memory is back and nothing is owed. The engines keep a scratch block each.
    void expect_empty();

    libp::sim::timeline time;
    const instant& now = time.now;
    block_pool blocks;
    test_random random;
    std::unique_ptr<engine> ends[2];
    applications apps{ends, blocks, now, [this](const std::string& what) { fail(what); }};
    std::size_t check_every = 1;
    std::uint64_t budget = UINT64_MAX;
    bool may_break = false;  // a subflow may break by what arrives on it
    // DATA keeps to the subflows' allowances: with all schedulers but those that know none.
    bool keeps_allowance;
    std::size_t largest_memory[2] = {0, 0};
    std::size_t losses = 0;  // ends that lost a subflow
    std::uint64_t steps = 0;
    // Of subflows that are gone, by end.
    subflow_stats buried[2];

    // Payload bytes that end `to` got over all subflows, and what of it came twice.
    std::uint64_t received(int to) const { return total(to).data_received; }
    std::uint64_t sent(int from) const { return total(from).data_sent; }
    subflow_stats total(int side) const;

  private:
    struct subflow_end {
        bool up = false, congested = false;
        chain out;
        std::size_t batch = 32 * kib, kept = 0;
        instant keep_again{};
    };
    struct place {
        std::unique_ptr<link> pipe;
        subflow_end ends[2];
    };

    static void add_up(subflow_stats& sum, const subflow_stats& s);

    // -- what links say

    void on_bytes(subflow_id id, int to, chain&& data) override;
    void on_writable(subflow_id id, int from) override;
    void on_death(subflow_id id, int side) override;
    void lose(subflow_id id, place& p, int side);
    // Outside of anything that the link could be doing.
    void bury();

    // -- the driver

    void settle();
    bool pump(int side);
    bool transmit(subflow_id id, place& p, int side);
    void flush(place& p, int side);
    void tell(subflow_id id, place& p, int side);
    static std::size_t worth(double rate, duration d, std::size_t least, std::size_t most);
    // No bytes stay where they do not get on: what a retransmission timer would be for. Where all
    // were silent one that speaks does so before it confirms anything, and only then the patience
    // of the others begins: 3 s, and a little for that.
    void check_neglect();
    void check_all();

    failure_sink on_failure_;
    bool failed_ = false;
    allowance_check allowance_[2];  // by the end that sends
    instant neglected_since_[2] = {never, never};
    std::map<subflow_id, place> places_;
    std::vector<subflow_id> order_, gone_;
    std::size_t first_ = 0;
    bool touched_[2] = {true, true};
};

}  // namespace libp::stripe::sim
