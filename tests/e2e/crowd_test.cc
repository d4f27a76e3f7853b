// Goal: many connections at once, and too many: all exact, none broken; and a relay that is out of
// descriptors waits for some instead of spinning, serves everybody in the end, and recovers.

#include <e2e/testbed.h>
#include <e2e/traffic.h>

#include <libp/os.h>
#include <libp/process.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include <sys/resource.h>

namespace libp::e2e {
namespace {

TEST(crowd, of_connections_through_a_striped_pair_is_exact) {
    // Where there is only select, a program has at most FD_SETSIZE descriptors.
    constexpr std::size_t crowd = debug_build ? 200 : os_has_epoll ? 2000 : 300;
    if (raise_fd_limit() < crowd * 2 + 200)
        GTEST_SKIP() << "the hard limit of " << fd_limit() << " descriptors is too low for "
                     << crowd << " connections";
    on_every_route({{relay_kind::striped}}, {.args = {"--max-conns", "4000"}}, [](testbed& bed) {
        // All of them stand before the first is answered.
        auto all_there = [](std::size_t accepted) { return accepted == crowd; };
        expect_exact_traffic(bed.address(), bed.server(),
                             {.connections = crowd, .bytes = 64 * kib, .seed = 5, .go = all_there});
    });
}

// -- 64 descriptors -------------------------------------------------------------------------------

constexpr std::size_t few_descriptors = 64;
constexpr std::size_t clients = 100;
constexpr duration held_for = 1s;

// Lets nobody be answered until, for `held_for`, nobody new got through: the relay is full, and
// newcomers wait at its door. How much CPU time it burns in that second is what it costs to be
// full.
class full_house {
  public:
    explicit full_house(testbed& bed) : bed_(bed), since_(test_now()) {}

    bool operator()(std::size_t accepted) {
        if (accepted != accepted_ || accepted == 0) {
            accepted_ = accepted;
            since_ = test_now();
            before_ = cpu_times();
            return false;
        }
        if (test_now() - since_ < held_for) return false;
        std::vector<duration> after = cpu_times();
        for (std::size_t i = 0; i < after.size(); ++i)
            burnt_ = std::max(burnt_, after[i] - before_[i]);
        return true;
    }

    std::size_t accepted() const { return accepted_; }
    duration burnt() const { return burnt_; }

  private:
    std::vector<duration> cpu_times() {
        std::vector<duration> all;
        for (child_process* p : bed_.programs())
            all.push_back(p->cpu_time());
        return all;
    }

    testbed& bed_;
    std::size_t accepted_ = 0;
    instant since_;
    std::vector<duration> before_;
    duration burnt_{0};
};

std::size_t lines_besides(const std::string& text, const char* mark) {
    std::istringstream lines(text);
    std::size_t count = 0;
    for (std::string line; std::getline(lines, line);)
        count += line.find(mark) == std::string::npos;
    return count;
}

// Returns how many ends broke on the way.
std::size_t serve_too_many(testbed& bed, bool try_again) {
    full_house full(bed);
    traffic_report r =
        run_traffic(bed.address(), bed.server(),
                    {.connections = clients,
                     .bytes = 4 * kib,
                     .seed = 6,
                     .try_again = try_again,
                     .go = [&full](std::size_t accepted) { return full(accepted); }});
    expect(r.exact == clients, "not everybody was served: " + r.to_string());
    expect(full.accepted() < clients, "nobody had to wait: this tests nothing");
    expect(full.burnt() < 100ms, "a relay out of descriptors burnt " +
                                     std::to_string(full.burnt().count()) + " ns in a second");
    for (child_process* p : bed.programs()) {
        std::size_t lines = lines_besides(p->log(), " info conn ");
        expect(lines <= 20, std::to_string(lines) + " log lines besides one for each connection");
    }
    // There is room again, and nothing was leaked: the same number fits, at once.
    auto all_there = [&](std::size_t accepted) { return accepted == full.accepted(); };
    expect_exact_traffic(
        bed.address(), bed.server(),
        {.connections = full.accepted(), .bytes = 4 * kib, .seed = 7, .go = all_there});
    return r.broken;
}

TEST(crowd, with_few_descriptors_is_served_in_turns) {
    on_every_route(every_kind(), {.descriptors = few_descriptors}, [](testbed& bed) {
        std::size_t broken = serve_too_many(bed, false);
        expect(broken == 0, std::to_string(broken) + " ends broke");
    });
}

// The descriptors run out behind the relay's back: it may refuse some then (it cannot connect
// further), but it does not spin, and whoever tries again is served.
TEST(crowd, that_runs_into_the_limit_is_served_when_it_tries_again) {
#ifdef __linux__
    on_every_route(every_kind(), {}, [](testbed& bed) {
        for (child_process* p : bed.programs()) {
            // Odd and even: which call meets the limit, accept or socket, depends on it.
            rlimit limit{few_descriptors - 15, few_descriptors - 15};
            expect(prlimit(p->pid(), RLIMIT_NOFILE, &limit, nullptr) == 0, "prlimit");
        }
        serve_too_many(bed, true);
    });
#else
    GTEST_SKIP() << "no prlimit here";
#endif
}

}  // namespace
}  // namespace libp::e2e
