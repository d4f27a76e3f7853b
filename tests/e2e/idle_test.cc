// Goal: connections on which nothing happens cost nothing: no system call, no CPU time. A striped
// pair may send its heartbeats (a PING each 15 s on a silent subflow), and nothing else.

#include <e2e/testbed.h>

#include <gtest/gtest.h>

#include <csignal>
#include <fstream>

#include <unistd.h>

namespace libp::e2e {
namespace {

constexpr std::size_t idle_connections = 100;
constexpr duration watched_for = debug_build ? 4s : 10s;

// System calls a program made while it is watched.
class tracer {
  public:
    tracer(const child_process& of, const std::string& file)
        : file_(file),
          strace_({"/usr/bin/strace", "-f", "-o", file, "-p", std::to_string(of.pid())}) {
        expect(strace_.wait_for_log("attached"), "strace did not attach: " + strace_.log());
    }

    // Stops watching. Attaching and detaching interrupt a program that waits, which then waits
    // again: that is not its doing. Nor is a thread's wait that has not come to an end.
    std::vector<std::string> stop() {
        strace_.signal(SIGINT);
        expect(strace_.wait().has_value(), "strace did not detach");
        std::vector<std::string> calls;
        std::ifstream lines(file_);
        for (std::string line; std::getline(lines, line);) {
            bool ours = false;
            for (const char* mark :
                 {"EINTR", "ERESTART", "detached", "resuming interrupted", "unfinished"})
                ours |= line.find(mark) != std::string::npos;
            if (!ours) calls.push_back(line);
        }
        return calls;
    }

    static bool works() {
        return access("/usr/bin/strace", X_OK) == 0 &&
               child_process({"/usr/bin/strace", "-o", "/dev/null", "/bin/true"}).wait() == 0;
    }

  private:
    std::string file_;
    child_process strace_;
};

// Waits until the program has used no CPU time for half a second.
void settle(const child_process& p) {
    duration used = p.cpu_time();
    instant since = test_now();
    bool settled = wait_until([&] {
        if (p.cpu_time() != used) {
            used = p.cpu_time();
            since = test_now();
        }
        return test_now() - since > 500ms;
    });
    expect(settled, "with idle connections alone it keeps using CPU time: " + p.to_string());
}

std::string joined(const std::vector<std::string>& lines) {
    std::string all;
    for (const std::string& line : lines)
        all += "\n  " + line;
    return all;
}

// Four subflows: a PING each way on each, its PONG, and the acknowledgements of both; what is sent
// is waited for and received.
constexpr std::size_t heartbeat_calls = 4 * 16;

void watch(testbed& bed) {
    std::vector<testbed::connection> idle;
    for (std::size_t i = 0; i < idle_connections; ++i)
        idle.push_back(bed.connect_through());

    socket_folder folder;
    std::vector<std::unique_ptr<tracer>> tracers;
    std::vector<duration> before;
    for (child_process* p : bed.programs()) {
        settle(*p);
        tracers.push_back(
            std::make_unique<tracer>(*p, folder.path("calls-" + std::to_string(p->pid()))));
        before.push_back(p->cpu_time());
    }
    idle.front().client.stays_quiet(watched_for);

    bool striped = bed.kind() == relay_kind::striped;
    for (std::size_t i = 0; i < tracers.size(); ++i) {
        child_process& p = *bed.programs()[i];
        duration used = p.cpu_time() - before[i];
        std::vector<std::string> calls = tracers[i]->stop();
        expect(calls.size() <= (striped ? heartbeat_calls : 0),
               p.to_string() + " made system calls:" + joined(calls));
        expect(used < (striped ? 20ms : 1ms),
               p.to_string() + " used " + std::to_string(used.count()) + " ns");
    }
    for (auto& [client, server] : idle) {
        client.send("still there?");
        expect(server.receive(12) == "still there?", "an idle connection was lost");
    }
}

TEST(idle, connections_cost_nothing) {
    if (!tracer::works()) GTEST_SKIP() << "no strace, or no right to use it";
    on_every_route(every_kind(), {}, watch);
}

}  // namespace
}  // namespace libp::e2e
