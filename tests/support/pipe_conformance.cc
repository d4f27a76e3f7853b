#include "support/pipe_conformance.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "support/conformance_scenario.h"

namespace libp {
namespace {

using make_poller = std::unique_ptr<poller> (*)();

using conformance::scenario;

class scenario_test : public testing::Test {
  public:
    scenario_test(const scenario& s, pair_maker m, make_poller p)
        : scenario_(s), maker_(std::move(m)), poller_(p) {}
    void TestBody() override {
        conformance::run r(maker_, poller_());
        scenario_.body(r);
    }

  private:
    const scenario& scenario_;
    pair_maker maker_;
    make_poller poller_;
};

}  // namespace

bool register_pipe_conformance(const std::vector<pair_maker>& makers) {
    for (const pair_maker& maker : makers) {
        const pair_maker checked = over_checked(maker);
        for (const make_poller p : {make_epoll_poller, make_select_poller}) {
            const std::unique_ptr<poller> probe = p();
            if (!probe) continue;  // not on this system
            const std::string suite = "pipe/" + maker.name + "/" + probe->name();
            for (const auto scenarios :
                 {conformance::carrying_scenarios(), conformance::breaking_scenarios()})
                for (const scenario& s : scenarios)
                    testing::RegisterTest(suite.c_str(), s.name, nullptr, nullptr, __FILE__,
                                          __LINE__, [&s, checked, p]() -> testing::Test* {
                                              return new scenario_test(s, checked, p);
                                          });
        }
    }
    return true;
}

}  // namespace libp
