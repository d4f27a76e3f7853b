#include <libp/compact_address.h>

#include <gtest/gtest.h>

namespace libp {
namespace {

TEST(compact_address, prints_like_the_full_one) {
    for (const char* text : {"127.0.0.1:80", "[2001:db8::1]:65535", "0.0.0.0:0"})
        EXPECT_EQ(compact_address(*socket_address::parse(text)).to_string(), text);
    EXPECT_EQ(compact_address().to_string(), "-");
    EXPECT_EQ(compact_address(*socket_address::parse("/run/x")).to_string(), "unix");
    EXPECT_LE(sizeof(compact_address), 32u);
}

}  // namespace
}  // namespace libp
