// Goal: the command lines of the programs' ancestors work to the letter, fixed ports and all. They
// run in a network namespace of their own, where nobody else can have those ports.

#include <e2e/testbed.h>
#include <e2e/traffic.h>

#include <gtest/gtest.h>

#include <thread>

#ifdef __linux__
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#endif

namespace libp::e2e {
namespace {

// Moves the calling thread, and what it starts from now on, to a network of its own that has a
// loopback.
bool enter_own_network() {
#ifdef __linux__
    if (unshare(CLONE_NEWNET) != 0) return false;
    unique_fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq lo{};
    lo.ifr_name[0] = 'l';
    lo.ifr_name[1] = 'o';
    lo.ifr_flags = IFF_UP | IFF_RUNNING;
    return fd && ioctl(fd.get(), SIOCSIFFLAGS, &lo) == 0;
#else
    return false;
#endif
}

// Runs the commands, last first, and exact traffic from a client's port to 127.0.0.1:22 through
// them.
void expect_works(const std::vector<std::vector<std::string>>& commands, const std::string& port) {
    bool entered = false;
    std::thread inside([&] {
        entered = enter_own_network();
        if (!entered) return;
        try {
            target server("127.0.0.1:22");
            std::vector<std::unique_ptr<child_process>> running;
            for (auto c = commands.rbegin(); c != commands.rend(); ++c) {
                running.push_back(std::make_unique<child_process>(*c));
                expect(running.back()->wait_for_log("listen"),
                       "it does not listen: " + running.back()->to_string());
            }
            expect_exact_traffic("127.0.0.1:" + port, server,
                                 {.connections = 5, .bytes = 1 * mib, .seed = 1});
        } catch (const std::exception& why) {
            ADD_FAILURE() << why.what();
        }
    });
    inside.join();
    if (!entered) GTEST_SKIP() << "no right to make a network namespace";
}

TEST(ancestors, tcp_striper_without_a_word_is_a_relay_to_ssh) {
    expect_works({{"tcp-striper"}}, "55555");
}

TEST(ancestors, tcp_proxy_pair_as_it_always_was) {
    expect_works({{"tcp-proxy", "-c", "0.0.0.0:11111", "127.0.0.1", "22222"},
                  {"tcp-proxy", "-s", "0.0.0.0:22222", "127.0.0.1:22"}},
                 "11111");
}

}  // namespace
}  // namespace libp::e2e
