// Goal: subflows may die, streams do not notice. Cutting any of them at any time costs not a byte;
// the pair dials again; and when the far end is really gone, its streams break with an error and
// new ones work as soon as there is a new far end.

#include <e2e/forwarder.h>
#include <e2e/testbed.h>
#include <e2e/traffic.h>

#include <libp/process.h>

#include <gtest/gtest.h>

#include <csignal>
#include <future>
#include <thread>

namespace libp::e2e {
namespace {

constexpr std::size_t subflows = 4;
constexpr std::uint64_t bulk = debug_build ? 16 * mib : 64 * mib;

// client -> tcp-striper -c => a path that can be cut => tcp-striper -s -> target
class cuttable_pair {
  public:
    explicit cuttable_pair(const relay_options& options = {})
        : options_(options),
          far_(start_far(relay_kind::striped, "127.0.0.1:0", server_.address(), options)),
          path_(far_->address()),
          near_(start_near(relay_kind::striped, "127.0.0.1:0", path_.address(), options)) {}

    target& server() { return server_; }
    forwarder& path() { return path_; }
    child_process& far_end() { return *far_; }
    child_process& near_end() { return *near_; }
    const std::string& address() { return near_->address(); }

    void restart_far_end() {
        path_.cut_all();
        far_->signal(SIGKILL);
        far_->wait();
        far_ = start_far(relay_kind::striped, "127.0.0.1:0", server_.address(), options_);
        path_.open(far_->address());
    }
    bool all_up() {
        return wait_until([&] { return path_.live() == subflows; });
    }
    std::string logs() const { return "\n--- near\n" + near_->log() + "\n--- far\n" + far_->log(); }

  private:
    relay_options options_;
    target server_;
    std::unique_ptr<child_process> far_;
    forwarder path_;
    std::unique_ptr<child_process> near_;
};

// Runs the traffic; meanwhile `cut` is called each time another `every` bytes went over the path.
template <class Cut>
void expect_exact_through(cuttable_pair& pair, const traffic_plan& plan, std::uint64_t every,
                          std::size_t at_least, Cut cut) {
    auto running = std::async(std::launch::async,
                              [&] { return run_traffic(pair.address(), pair.server(), plan); });
    std::size_t cuts = 0;
    auto over = [&] { return running.wait_for(0s) == std::future_status::ready; };
    for (std::uint64_t next = every; !over(); short_nap()) {
        if (pair.path().carried() < next) continue;
        next = pair.path().carried() + every;
        cuts += cut(pair.path());
    }
    traffic_report r = running.get();
    EXPECT_EQ(r.exact, plan.connections) << r.to_string() << pair.logs();
    EXPECT_EQ(r.broken + r.false_ends, 0u) << r.to_string() << pair.logs();
    EXPECT_GE(cuts, at_least) << "the transfer was over before enough was cut";
}

TEST(subflow, cut_in_mid_transfer_costs_not_a_byte) {
    cuttable_pair pair;
    ASSERT_TRUE(pair.all_up()) << pair.logs();
    bool done = false;
    expect_exact_through(pair, {.bytes = bulk / 2, .seed = 1}, bulk / 8, 1, [&](forwarder& path) {
        return !std::exchange(done, true) && path.cut_busiest();
    });
    EXPECT_TRUE(pair.all_up()) << "the lost subflow was not replaced" << pair.logs();
}

TEST(subflow, cut_again_and_again_costs_not_a_byte) {
    cuttable_pair pair;
    ASSERT_TRUE(pair.all_up()) << pair.logs();
    expect_exact_through(pair, {.bytes = bulk, .seed = 2}, bulk / 8, 5,
                         [](forwarder& path) { return path.cut_busiest(); });
    EXPECT_TRUE(pair.all_up()) << "the lost subflows were not replaced" << pair.logs();
}

TEST(subflow, cut_with_all_others_at_once_costs_not_a_byte) {
    cuttable_pair pair;
    ASSERT_TRUE(pair.all_up()) << pair.logs();
    expect_exact_through(pair, {.connections = 5, .bytes = bulk / 5, .seed = 3}, bulk / 2, 2,
                         [&](forwarder& path) {
                             path.cut_all();
                             path.open(pair.far_end().address());
                             return true;
                         });
}

// The streams of a far end that is gone cannot go on: they break, and never look finished.
// Connections that come after it is back are served.
TEST(subflow, lost_for_good_with_the_far_end_breaks_its_streams_and_no_others) {
    cuttable_pair pair({.args = {"--resume", "500ms"}});
    try {
        for (int round = 0; round < 2; ++round) {
            peer idle = peer::to(pair.address());
            peer idle_server = pair.server().accept();
            peer busy = peer::to(pair.address());
            peer busy_server = pair.server().accept();
            transfer(busy_server, busy, pattern(4)).run(1 * mib);
            pair.restart_far_end();
            idle.expect_reset("idle when the far end restarted");
            expect(busy.receive_to_end(pattern(4), 1 * mib) == ending::reset,
                   "a transfer that was cut ended clean");
            expect_exact_traffic(pair.address(), pair.server(),
                                 {.connections = 10, .bytes = 64 * kib, .seed = 5});
        }
        expect(pair.all_up(), "the new far end has too few subflows");
    } catch (const failure& why) {
        FAIL() << why.what() << pair.logs();
    }
}

// A server that is killed and started again at the same address is known to be another process: its
// old streams break as soon as it is reached, not when the session's time to resume is over.
TEST(subflow, s21_of_a_restarted_server_breaks_the_old_streams_at_once) {
    if (machine_identity().empty()) GTEST_SKIP() << "this machine has no machine-id";
    socket_folder folder;
    target server;
    const relay_options options{.args = {"--resume", "10m"}};
    const auto start = [&] {
        return start_far(relay_kind::striped, folder.path("far"), server.address(), options);
    };
    auto far = start();
    auto near = start_near(relay_kind::striped, "127.0.0.1:0", far->address(), options);
    try {
        peer idle = peer::to(near->address());
        peer idle_server = server.accept();
        far->signal(SIGKILL);
        far->wait();
        far = start();
        far->address();
        idle.expect_reset("idle when the server restarted");  // much sooner than after ten minutes
        EXPECT_TRUE(near->wait_for_log("why=\"peer restarted\""));
        expect_exact_traffic(near->address(), server,
                             {.connections = 10, .bytes = 64 * kib, .seed = 6});
    } catch (const failure& why) {
        FAIL() << why.what() << near->log() << far->log();
    }
}

// A program that is stopped for seconds (a laptop's lid, a debugger) loses nothing, and nobody
// loses patience with it.
TEST(subflow, s06_of_a_suspended_program_goes_on) {
    cuttable_pair pair;
    ASSERT_TRUE(pair.all_up()) << pair.logs();
    for (child_process* end : {&pair.near_end(), &pair.far_end()}) {
        auto running = std::async(std::launch::async, [&] {
            return run_traffic(pair.address(), pair.server(), {.bytes = bulk, .seed = 7});
        });
        const std::uint64_t begun = pair.path().carried() + bulk / 8;
        ASSERT_TRUE(wait_until([&] { return pair.path().carried() > begun; }));
        end->signal(SIGSTOP);
        // No event to wait for: an end that hears nothing from anywhere suspects no path, and says
        // nothing. The time itself is what is endured, longer than one subflow that falls silent
        // beside others takes to be suspected.
        std::this_thread::sleep_for(3s);
        end->signal(SIGCONT);
        const traffic_report r = running.get();
        EXPECT_EQ(r.exact, 1u) << r.to_string() << pair.logs();
    }
    for (child_process* end : {&pair.near_end(), &pair.far_end()})
        EXPECT_EQ(end->log().find("state=down"), std::string::npos) << pair.logs();
}

}  // namespace
}  // namespace libp::e2e
