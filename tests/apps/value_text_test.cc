#include <gtest/gtest.h>
#include <kit/value_text.h>
#include <libp/types.h>

namespace libp::app {
namespace {

TEST(value_text, durations_have_units_and_a_bare_number_is_seconds) {
    EXPECT_EQ(parse_duration("250ms"), 250ms);
    EXPECT_EQ(parse_duration("10s"), 10s);
    EXPECT_EQ(parse_duration("5m"), 5min);
    EXPECT_EQ(parse_duration("2h"), 2h);
    EXPECT_EQ(parse_duration("7"), 7s);
    EXPECT_EQ(parse_duration("0"), 0s);
}

TEST(value_text, what_is_no_duration_is_none) {
    for (const char* text : {"", "s", "-1s", "1x", "1 s", "1s ", "1.5s", "1sm", "99999999999999h",
                             "18446744073709551616"})
        EXPECT_FALSE(parse_duration(text)) << text;
}

TEST(value_text, sizes_are_powers_of_1024) {
    EXPECT_EQ(parse_size("512"), 512u);
    EXPECT_EQ(parse_size("64k"), 64 * kib);
    EXPECT_EQ(parse_size("8M"), 8 * mib);
    EXPECT_EQ(parse_size("1G"), 1024 * mib);
    for (const char* text : {"", "k", "1kb", "1T", "-1", "99999999999G"})
        EXPECT_FALSE(parse_size(text)) << text;
}

TEST(value_text, the_text_of_a_value_parses_back_to_it) {
    for (duration d :
         {duration{0}, duration{1}, duration{250ms}, duration{90s}, duration{10min}, duration{48h}})
        EXPECT_EQ(parse_duration(duration_text(d)), d) << duration_text(d);
    EXPECT_EQ(duration_text(90s), "90s");
    EXPECT_EQ(duration_text(10min), "10m");
    for (std::size_t n : {std::size_t{0}, std::size_t{1}, 64 * kib, 512 * kib, 3 * mib, 1024 * mib})
        EXPECT_EQ(parse_size(size_text(n)), n) << size_text(n);
    EXPECT_EQ(size_text(512 * kib), "512k");
}

TEST(value_text, a_slip_of_the_finger_finds_the_name_and_a_guess_does_not) {
    std::vector<std::string_view> names = {"max-conns", "max-memory", "announce", "once"};
    EXPECT_EQ(nearest_name("max-cons", names), "max-conns");
    EXPECT_EQ(nearest_name("anounce", names), "announce");
    EXPECT_EQ(nearest_name("frobnicate", names), "");
    EXPECT_EQ(nearest_name("", names), "");
}

TEST(value_text, one_line_has_no_control_characters) {
    EXPECT_EQ(one_line("a\nb\x1b[2J\x7f h\xc3\xb6"), "a?b?[2J? h\xc3\xb6");
}

}  // namespace
}  // namespace libp::app
