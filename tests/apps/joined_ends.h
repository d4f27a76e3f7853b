#pragma once

// A client and a target with relays between them, and what any such way must do.

#include <apps/test_socket.h>
#include <gtest/gtest.h>
#include <support/seed.h>

#include <string>
#include <thread>

namespace libp::app {

class joined_ends {
  protected:
    // A new connection; both ends of it.
    void join() {
        client_ = test_socket::connect(address_);
        ASSERT_TRUE(client_.is_open());
        server_ = target_.accept();
        ASSERT_TRUE(server_.is_open());
    }

    // 3,000,000 bytes up and 2,500,000 down, at once, to the end.
    void exchange_exactly(std::uint64_t seed) {
        test_random random(seed);
        const std::string up = random.text(3'000'000), down = random.text(2'500'000);
        join();
        std::string got_up, got_down;
        std::thread a([&] { client_.send(up), client_.send_fin(); });
        std::thread b([&] { server_.send(down), server_.send_fin(); });
        std::thread c([&] { got_up = server_.receive_all(); });
        got_down = client_.receive_all();
        a.join(), b.join(), c.join();
        EXPECT_TRUE(got_up == up);
        EXPECT_TRUE(got_down == down);
    }

    void answer_after_the_request_ended() {
        join();
        ASSERT_TRUE(client_.send("question"));
        client_.send_fin();
        EXPECT_EQ(server_.receive_all(), "question");
        ASSERT_TRUE(server_.send("answer"));
        EXPECT_EQ(client_.receive(6), "answer");
        ASSERT_TRUE(server_.send(", and more"));
        server_.send_fin();
        std::string how;
        EXPECT_EQ(client_.receive_all(&how), ", and more");
        EXPECT_EQ(how, "fin");
    }

    test_listener target_;
    std::string address_;  // where the client connects to
    test_socket client_, server_;
};

}  // namespace libp::app
