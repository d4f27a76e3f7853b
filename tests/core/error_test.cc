#include <gtest/gtest.h>
#include <libp/error.h>

#include <cerrno>
#include <set>

namespace libp {
namespace {

constexpr auto last_reason = static_cast<int>(reason::system);

TEST(error_test, every_reason_has_its_own_name_and_words) {
    std::set<std::string> names;
    std::set<std::string> texts;
    for (int i = 0; i <= last_reason; ++i) {
        const auto why = static_cast<reason>(i);
        const std::string name = name_of(why);
        const std::string text = to_string(error{why});
        EXPECT_TRUE(names.insert(name).second) << name;
        EXPECT_TRUE(texts.insert(text).second) << text;
        EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_"), std::string::npos) << name;
        EXPECT_TRUE(text[0] >= 'a' && text[0] <= 'z') << text;
        EXPECT_NE(text.back(), '.') << text;
    }
    EXPECT_STREQ(name_of(reason::peer_reset), "peer_reset");
    EXPECT_STREQ(name_of(reason::system), "system");
}

TEST(error_test, a_number_becomes_the_reason_it_stands_for) {
    EXPECT_EQ(error_from_errno(0), error{});
    EXPECT_FALSE(error_from_errno(0));
    const std::pair<int, reason> known[] = {
        {ECONNREFUSED, reason::refused},
        {ECONNRESET, reason::peer_reset},
        {EPIPE, reason::peer_reset},
        {EHOSTUNREACH, reason::unreachable},
        {ENETUNREACH, reason::unreachable},
        {ETIMEDOUT, reason::timed_out},
        {EADDRINUSE, reason::address_in_use},
        {EACCES, reason::permission},
        {EPERM, reason::permission},
        {EMSGSIZE, reason::oversize},
        {EOPNOTSUPP, reason::unsupported},
        {EMFILE, reason::system},
        {EIO, reason::system},
        {99999, reason::system},
    };
    for (const auto& [number, why] : known) {
        EXPECT_EQ(error_from_errno(number), (error{why, number})) << number;
    }
}

TEST(error_test, words_are_for_people) {
    EXPECT_EQ(to_string(error_from_errno(ECONNREFUSED)), "connection refused");
    EXPECT_EQ(to_string(error_from_errno(ECONNRESET)), "connection reset by peer");
    // The system's words where they tell more than the reason, in lower case.
    EXPECT_EQ(to_string(error_from_errno(EHOSTUNREACH)), "no route to host");
    EXPECT_EQ(to_string(error{reason::system, EMFILE}), "too many open files");
    EXPECT_EQ(to_string(error{reason::limit, EMFILE}), "too many open files");
    EXPECT_EQ(to_string(error{reason::limit}), "limit reached");
    EXPECT_EQ(to_string(error{reason::invalid, ENODEV}), "no such device");
    EXPECT_EQ(to_string(error{reason::refused, ENOENT}), "no such file or directory");
    EXPECT_EQ(to_string(error{reason::refused}), "connection refused");
    EXPECT_EQ(to_string(error{reason::system}), "system error");
    EXPECT_EQ(to_string(error{reason::resolve_failed}), "name cannot be resolved");
    EXPECT_EQ(to_string(error{reason::resolve_failed, unknown_name}),
              "name cannot be resolved: no such name");
    EXPECT_EQ(to_string(error{reason::bad_certificate, 18}),
              "certificate does not verify: self-signed certificate");
    EXPECT_EQ(to_string(error{reason::bad_certificate, 99}),
              "certificate does not verify: error 99");
    EXPECT_EQ(to_string(error{reason::auth_failed, 116}),
              "authentication failed: a client certificate is required");
    EXPECT_EQ(to_string(error{reason::auth_failed, 99}), "authentication failed");
    EXPECT_EQ(to_string(error{reason::limit, by_peer}), "refused by the other end: limit reached");
    EXPECT_EQ(to_string(error{reason::other_version, by_peer}),
              "refused by the other end: the versions of the two ends differ");
}

}  // namespace
}  // namespace libp
