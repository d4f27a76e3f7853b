#pragma once

// What the suites of evl run over: every poller there is, seen through one that counts its calls.

#include <libp/event_loop.h>

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace libp {

// Passes everything on to another poller, and counts. A call above the poller stands for a system
// call below it.
class counting_poller final : public poller {
  public:
    explicit counting_poller(std::unique_ptr<poller> below) : below_(std::move(below)) {}

    error add(poll_slot& slot) override { return ++adds, below_->add(slot); }
    void update(poll_slot& slot) override { ++updates, below_->update(slot); }
    void remove(poll_slot& slot) override { ++removes, below_->remove(slot); }
    void wait(instant deadline, std::vector<poll_event>& out) override {
        ++waits, below_->wait(deadline, out);
    }
    void wake() noexcept override { below_->wake(); }  // from any thread: not counted
    instant now() noexcept override { return ++clock_reads, below_->now(); }
    const char* name() const noexcept override { return below_->name(); }

    int adds = 0, updates = 0, removes = 0, waits = 0, clock_reads = 0;

  private:
    std::unique_ptr<poller> below_;
};

// "epoll" (where there is one), "select"; and "simulated" too.
std::vector<std::string> real_backends();
std::vector<std::string> all_backends();
std::unique_ptr<poller> make_poller(const std::string& backend);

// A loop over the backend that is the test's parameter.
class backend_test : public testing::TestWithParam<std::string> {
  protected:
    backend_test() : backend_test(std::make_unique<counting_poller>(make_poller(GetParam()))) {}

    // Turns until `done`; false if that takes longer than anything should.
    bool turn_until(const std::function<bool()>& done) {
        const instant end = loop.now() + 20s;
        while (!done() && loop.now() < end)
            loop.turn(end);
        return done();
    }

    counting_poller& calls;
    event_loop loop;

  private:
    explicit backend_test(std::unique_ptr<counting_poller> waits)
        : calls(*waits), loop(std::move(waits)) {}
};

// A timer or deferred call with a lambda, which may name its own `it`.
template <class T>
struct calling {
    calling(event_loop& loop, std::function<void()> f)
        : call(std::move(f)), it(loop, delegate<void()>::of(call)) {}
    std::function<void()> call;
    T it;
};

inline std::string backend_name(const testing::TestParamInfo<std::string>& info) {
    return info.param;
}

}  // namespace libp
