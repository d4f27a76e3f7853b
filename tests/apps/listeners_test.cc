// A LISTEN's sockets when the process is out of descriptors.

#include <gtest/gtest.h>
#include <kit/listeners.h>
#include <poll.h>

#include "support/log_lines.h"
#include "support/no_descriptors.h"

namespace libp::app {
namespace {

struct listeners_test : testing::Test {
    void SetUp() override { ASSERT_FALSE(door.open('l')); }
    void arrived(std::unique_ptr<io_pipe> pipe, const socket_address&) {
        in.push_back(std::move(pipe));
    }
    void knock() {
        auto fd = start_connect(door.addresses()[0]);
        ASSERT_TRUE(fd);
        pollfd connected{fd->get(), POLLOUT, 0};
        ASSERT_EQ(poll(&connected, 1, 10'000), 1);
        clients.push_back(std::move(*fd));
    }
    template <class F>
    bool run_until(F holds) {
        const instant give_up = loop.now() + 10s;
        while (!holds() && loop.now() < give_up)
            loop.turn(give_up);
        return holds();
    }

    event_loop loop;
    log_lines lines;
    log out{lines, log_level::info};
    const stack_spec spec = std::get<stack_spec>(parse_stack("127.0.0.1:0"));
    const stack_tls no_tls{};
    std::vector<std::unique_ptr<io_pipe>> in;
    std::vector<unique_fd> clients;
    listeners door{loop,   out, spec, {}, listeners::arrival::to<&listeners_test::arrived>(*this),
                   no_tls, {}};
};

TEST_F(listeners_test, at_the_limit_a_second_has_one_line_and_the_last_is_true) {
    constexpr std::size_t crowd = 20;
    knock();
    // A sanitizer that meets a class for the first time needs descriptors itself.
    ASSERT_TRUE(run_until([&] { return in.size() == 1; }));
    door.log_open("main");
    const instant begun = loop.now();
    const auto most = [&] { return 2 + 2 * static_cast<std::size_t>((loop.now() - begun) / 1s); };
    for (std::size_t i = 1; i < crowd; ++i)
        knock();
    {
        no_descriptors none;
        // Each gets in when another's descriptor is free, and takes the last.
        for (std::size_t i = 2; i < crowd; ++i) {
            none.spare_one();
            door.retry();
            ASSERT_TRUE(run_until([&] { return in.size() == i; }));
        }
        EXPECT_GE(lines.count("paused"), 1u);
        ASSERT_TRUE(run_until([&] { return lines.count("paused=\"too many open files\"") > 0; }));
        EXPECT_LE(lines.count("paused"), most());
    }
    ASSERT_TRUE(run_until([&] { return in.size() == crowd; }));
    ASSERT_TRUE(
        run_until([&] { return lines.lines.back().find("no longer") != std::string::npos; }));
    EXPECT_LE(lines.count("paused"), most());
}

}  // namespace
}  // namespace libp::app
