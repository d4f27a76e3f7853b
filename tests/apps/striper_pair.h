#pragma once

// client -> tcp-striper -c ==> tcp-striper -s -> target, and what their logs say.

#include <apps/joined_ends.h>
#include <apps/spawned_program.h>
#include <gtest/gtest.h>
#include <libp/time.h>

#include <csignal>
#include <memory>
#include <string>
#include <vector>

namespace libp::app {

inline spawn_options striper_with(std::vector<std::string> arguments) {
    return {.program = "tcp-striper", .arguments = std::move(arguments), .announce = true};
}

// How its next connection ended.
inline std::string end_of(spawned_program& program) {
    return field_of(program.wait_error_line(" conn "), "end");
}

class striper_test : public testing::Test, protected joined_ends {
  protected:
    using words = std::vector<std::string>;

    explicit striper_test(words more_for_client = {}, words more_for_server = {}) {
        words s = {"-s", "127.0.0.1:0", target_.address()};
        s.insert(s.end(), more_for_server.begin(), more_for_server.end());
        far_ = std::make_unique<spawned_program>(striper_with(s));
        far_address_ = far_->wait_announced();
        start_near(std::move(more_for_client));
    }
    void start_near(words more = {}) {
        words c = {"-c", "127.0.0.1:0", far_address_};
        c.insert(c.end(), more.begin(), more.end());
        near_ = std::make_unique<spawned_program>(striper_with(c));
        address_ = near_->wait_announced();
    }
    // A connection that ends well.
    void serve_one() {
        join();
        client_.close();
        server_.close();
        EXPECT_EQ(end_of(*near_), "ok");
    }
    void stop_near() {
        near_->signal(SIGTERM);
        EXPECT_EQ(near_->wait_exit(), 0);
    }

    std::unique_ptr<spawned_program> far_, near_;
    std::string far_address_;
};

}  // namespace libp::app
