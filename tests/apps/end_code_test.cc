#include <gtest/gtest.h>
#include <kit/end_code.h>

#include <cerrno>

namespace libp::app {
namespace {

TEST(end_code, a_break_is_named_after_its_side) {
    EXPECT_STREQ(end_of_bridge({}), "ok");
    EXPECT_STREQ(end_of_bridge({bridge_side::a, {reason::peer_reset}}), "client_rst");
    EXPECT_STREQ(end_of_bridge({bridge_side::b, {reason::peer_reset}}), "upstream_rst");
    EXPECT_STREQ(end_of_bridge({bridge_side::b, {reason::truncated}}), "upstream_rst");
    EXPECT_STREQ(end_of_bridge({bridge_side::a, {reason::oversize}}), "protocol_error");
    EXPECT_STREQ(end_of_bridge({bridge_side::b, {reason::missing_close}}), "upstream_rst");
    EXPECT_STREQ(end_of_bridge({bridge_side::b, {reason::auth_failed, 48}}), "auth_failed");
    EXPECT_STREQ(end_of_attempt({reason::bad_certificate, 18}), "auth_failed");
    EXPECT_STREQ(end_of_attempt({reason::protocol_error}), "protocol_error");
    EXPECT_STREQ(end_of_attempt({reason::not_allowed}), "acl_denied");
    EXPECT_STREQ(end_of_bridge({bridge_side::none, {reason::idle_timeout}}), "idle_timeout");
    EXPECT_STREQ(end_of_bridge({bridge_side::none, {reason::drain_cut}}), "drain_cut");
}

// Every reason there is must end as one of the words that the log's readers know.
TEST(end_code, there_is_no_end_without_a_name) {
    const std::string known =
        " ok client_rst upstream_rst idle_timeout linger_timeout connect_refused connect_timeout"
        " resolve_failed handshake_timeout auth_failed protocol_error checksum_error acl_denied"
        " limit drain_cut session_lost internal ";
    EXPECT_STREQ(end_word(reason::none), "ok");
    for (int r = 1; r <= static_cast<int>(reason::system); ++r) {
        error why{static_cast<reason>(r), 0};
        if (const char* word = end_word(why.why)) {
            EXPECT_NE(known.find(" " + std::string(word) + " "), std::string::npos) << word;
            EXPECT_STRNE(word, "ok") << r;
        }
        for (bridge_side side : {bridge_side::none, bridge_side::a, bridge_side::b}) {
            std::string word = end_of_bridge({side, why});
            EXPECT_NE(known.find(" " + word + " "), std::string::npos) << word;
            EXPECT_NE(word, "ok") << r;
        }
        std::string word = end_of_attempt(why);
        EXPECT_NE(known.find(" " + word + " "), std::string::npos) << word;
        EXPECT_NE(word, "ok") << r;
        EXPECT_NE(exit_of_attempt(why), exit_code::ok);
        EXPECT_NE(exit_of_bridge({bridge_side::a, why}), exit_code::ok);
    }
}

TEST(end_code, one_shot_statuses) {
    EXPECT_EQ(exit_of_bridge({}), exit_code::ok);
    EXPECT_EQ(exit_of_bridge({bridge_side::a, {reason::peer_reset}}), exit_code::session_failed);
    EXPECT_EQ(exit_of_bridge({bridge_side::b, {reason::checksum_error}}), exit_code::protocol);
    EXPECT_EQ(exit_of_attempt({reason::refused}), exit_code::unavailable);
    EXPECT_EQ(exit_of_attempt({reason::timed_out}), exit_code::unavailable);
    EXPECT_EQ(exit_of_attempt({reason::resolve_failed}), exit_code::no_host);
    EXPECT_EQ(exit_of_attempt({reason::wrong_key}), exit_code::no_permission);
    EXPECT_EQ(exit_of_attempt({reason::not_allowed}), exit_code::no_permission);
    EXPECT_EQ(exit_of_attempt({reason::permission, EACCES}), exit_code::no_permission);
    EXPECT_EQ(exit_of_attempt({reason::limit, EMFILE}), exit_code::os_error);
    EXPECT_EQ(exit_of_attempt({reason::limit}), exit_code::unavailable) << "a server that is full";
    EXPECT_EQ(exit_of_attempt({reason::limit, by_peer}), exit_code::unavailable);
    EXPECT_EQ(exit_of_attempt({reason::session_lost, by_peer}), exit_code::unavailable);
    EXPECT_EQ(exit_of_attempt({reason::auth_failed, by_peer}), exit_code::no_permission);
    EXPECT_EQ(exit_of_attempt({reason::other_version, by_peer}), exit_code::protocol);
    EXPECT_EQ(exit_of_bridge({bridge_side::b, {reason::bad_certificate}}),
              exit_code::no_permission);
}

}  // namespace
}  // namespace libp::app
