// How the two ends of a striped pair part, from each other and from their streams.

#include <apps/striper_pair.h>

namespace libp::app {
namespace {

TEST_F(striper_test, the_server_drains_while_its_stream_goes_on) {
    join();
    far_->signal(SIGTERM);
    ASSERT_NE(far_->wait_error_line(" drain conns=1"), "");
    test_socket late = test_socket::connect(address_);
    EXPECT_EQ(late.wait_end(), "reset");
    EXPECT_EQ(end_of(*near_), "connect_refused");
    ASSERT_TRUE(client_.send("still here"));
    EXPECT_EQ(server_.receive(10), "still here");
    client_.close();
    server_.close();
    EXPECT_EQ(far_->wait_exit(), 0);
    EXPECT_EQ(end_of(*near_), "ok");
}

// A stdout that was closed takes no more than one that is full: what came is lost, and that is no
// success.
TEST(tcp_striper, an_answer_that_cannot_be_written_is_no_success) {
    for (const std::string where : {">&-", "> /dev/full"}) {
        test_listener target;
        spawned_program far(striper_with({"-s", "127.0.0.1:0", target.address()}));
        spawned_program near(
            {.program = "/bin/sh",
             .arguments = {"-c", "exec \"$0\" -q -c - \"$1\" " + where,
                           program_folder() + "/tcp-striper", far.wait_announced()}});
        near.close_input();
        test_socket server = target.accept();
        EXPECT_EQ(server.receive_all(), "");
        ASSERT_TRUE(server.send("answer"));
        server.close();
        EXPECT_EQ(near.wait_exit(), 1) << where << near.errors();
    }
}

TEST_F(striper_test, the_client_says_goodbye) {
    serve_one();
    stop_near();
    EXPECT_EQ(near_->errors().find(" warn "), std::string::npos) << near_->errors();
    // The server has heard of it: its session is over, not waiting for subflows to come back.
    const std::string up = far_->wait_error_line(" info session ");
    EXPECT_NE(up.find(" state=up"), up.npos) << up;
    const std::string down = far_->wait_error_line(" info session ");
    EXPECT_NE(down.find(" state=down "), down.npos) << down;
    EXPECT_NE(down.find(" streams=0 "), down.npos) << down;
    EXPECT_EQ(far_->errors().find(" why="), std::string::npos) << far_->errors();
}

TEST_F(striper_test, a_second_signal_waits_for_nobody) {
    join();
    far_->signal(SIGSTOP);
    near_->signal(SIGTERM);
    ASSERT_NE(near_->wait_error_line(" drain conns=1"), "");
    near_->signal(SIGTERM);
    EXPECT_EQ(near_->wait_exit(1500ms), 75);
    EXPECT_NE(near_->errors().find(" conn "), std::string::npos) << "it says what it has cut";
}

TEST_F(striper_test, a_peer_that_stands_still_is_not_waited_for_long) {
    serve_one();
    far_->signal(SIGSTOP);
    near_->signal(SIGTERM);
    EXPECT_EQ(near_->wait_exit(4s), 0);
}

TEST_F(striper_test, what_a_second_signal_cuts_looks_cut_at_the_other_end) {
    join();
    near_->signal(SIGTERM);
    ASSERT_NE(near_->wait_error_line(" drain conns=1"), "");
    near_->signal(SIGTERM);
    EXPECT_EQ(server_.wait_end(), "reset");
    EXPECT_EQ(near_->wait_exit(), 75);
    ASSERT_NE(far_->wait_error_line(" session "), "");
    const std::string down = far_->wait_error_line(" session ");
    EXPECT_NE(down.find(" state=down "), down.npos) << down;
}

// Of a closed list, whatever line it is in.
TEST_F(striper_test, every_end_is_one_of_the_words_that_scripts_know) {
    join();
    near_->signal(SIGTERM);
    ASSERT_NE(near_->wait_error_line(" drain conns=1"), "");
    near_->signal(SIGTERM);
    EXPECT_EQ(near_->wait_exit(), 75);
    EXPECT_EQ(server_.wait_end(), "reset");
    start_near();
    serve_one();
    stop_near();
    EXPECT_NE(near_->errors().find(" state=down end=ok "), std::string::npos) << near_->errors();
    far_->signal(SIGTERM);
    EXPECT_EQ(far_->wait_exit(), 0);
    const std::string known =
        " ok client_rst upstream_rst idle_timeout linger_timeout connect_refused connect_timeout"
        " resolve_failed handshake_timeout auth_failed protocol_error checksum_error acl_denied"
        " limit drain_cut session_lost internal ";
    for (const std::string& log : {near_->errors(), far_->errors()})
        for (std::size_t at = 0; (at = log.find(" end=", at)) != std::string::npos; ++at) {
            const std::size_t from = at + 5, to = log.find_first_of(" \n", from);
            const std::string word = log.substr(from, to - from);
            EXPECT_NE(known.find(" " + word + " "), std::string::npos) << log;
        }
}

}  // namespace
}  // namespace libp::app
