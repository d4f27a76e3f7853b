#include <gtest/gtest.h>
#include <libp/tls_key.h>

namespace libp {
namespace {

const std::string hex32(32, 'a'), hex64(64, '5');

TEST(tls_key_test, reads_a_key_a_line) {
    std::vector<tls_key> keys;
    EXPECT_EQ(parse_tls_keys("# ours\n\nlaptop:" + hex64 + "\r\n  desk:top : " + hex32 + "\n" +
                                 std::string(128, 'F'),
                             keys),
              "");
    ASSERT_EQ(keys.size(), 3u);
    EXPECT_EQ(keys[0].id, "laptop");
    EXPECT_EQ(keys[0].secret, secret_bytes(32, 0x55));
    EXPECT_EQ(keys[1].id, "desk:top");
    EXPECT_EQ(keys[1].secret, secret_bytes(16, 0xaa));
    EXPECT_EQ(keys[2].id, "default");
    EXPECT_EQ(keys[2].secret.size(), 64u);
}

TEST(tls_key_test, says_which_line_is_wrong_and_not_what_it_says) {
    const std::string wrong[] = {
        "id:" + hex64 + "5",          // odd
        "id:" + hex64.substr(2, 30),  // short
        "id:" + hex64 + hex64 + "55",
        "id:" + hex64.substr(1) + "g",
        ":" + hex64,
        "a b:" + hex64,
        std::string(129, 'i') + ":" + hex64,
        "id",
        "one:" + hex64,
    };
    for (const std::string& line : wrong) {
        std::vector<tls_key> keys;
        const std::string what = parse_tls_keys("one:" + hex64 + "\n" + line + "\n", keys);
        EXPECT_EQ(what.find("line 2: "), 0u) << line << " gives " << what;
        EXPECT_EQ(what.find("55555"), std::string::npos) << what;
    }
    std::vector<tls_key> none;
    EXPECT_NE(parse_tls_keys("# nothing\n", none), "");
}

TEST(tls_key_test, makes_keys_that_it_reads) {
    std::vector<tls_key> keys;
    const std::string a = new_tls_key(), b = new_tls_key();
    EXPECT_EQ(a.size(), 64u);
    EXPECT_NE(a, b);
    EXPECT_EQ(parse_tls_keys(a, keys), "");
    EXPECT_EQ(keys[0].secret.size(), 32u);
}

TEST(tls_pin_test, is_base64_of_32_bytes) {
    const std::string text = "sha256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    const auto pin = tls_pin::parse(text);
    ASSERT_TRUE(pin);
    EXPECT_EQ(pin->sha256[0], 0xe3);
    EXPECT_EQ(pin->sha256[31], 0x55);
    EXPECT_EQ(pin->to_string(), text);
    EXPECT_EQ(tls_pin::parse("sha256//" + text.substr(7)), pin);
    for (const char* wrong :
         {"", "sha256:", "sha256:AAAA", "sha1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
          "sha256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=",
          "sha256:47DEQpj8HBSa-/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="})
        EXPECT_FALSE(tls_pin::parse(wrong)) << wrong;
}

}  // namespace
}  // namespace libp
