#include <gtest/gtest.h>
#include <libp/log.h>

#include <clocale>
#include <limits>
#include <vector>

#include "support/seed.h"

namespace libp {
namespace {

// What follows "k=" in a text line.
std::string text_value(std::string_view value) {
    const std::string line = format_text("T", log_level::info, "t", {{"k", value}});
    const std::string start = "T info t k=";
    EXPECT_EQ(line.substr(0, start.size()), start);
    return line.substr(start.size());
}

// What stands for the value in {"k":"..."}.
std::string json_value(std::string_view value) {
    const std::string line = format_json("T", log_level::info, "t", {{"k", value}});
    const std::string start = R"({"time":"T","level":"info","topic":"t","k":")";
    EXPECT_EQ(line.substr(0, start.size()), start);
    EXPECT_EQ(line.substr(line.size() - 2), "\"}");
    return line.substr(start.size(), line.size() - start.size() - 2);
}

TEST(log_test, a_line_is_time_level_topic_and_named_values) {
    EXPECT_EQ(format_text("2026-11-21T02:05:39.998Z", log_level::info, "conn",
                          {{"id", "7f3a-12"}, {"end", "ok"}, {"up", 7}, {"took", 1.5}}),
              "2026-11-21T02:05:39.998Z info conn id=7f3a-12 end=ok up=7 took=1.500");
    EXPECT_EQ(format_text("T", log_level::warn, "start", {}), "T warn start");
}

TEST(log_test, a_json_line_is_one_object) {
    EXPECT_EQ(format_json("T", log_level::error, "conn",
                          {{"id", "7f3a-12"}, {"up", -7}, {"took", 0.0004}, {"n", "5"}}),
              R"({"time":"T","level":"error","topic":"conn",)"
              R"("id":"7f3a-12","up":-7,"took":0.000,"n":"5"})");
}

TEST(log_test, text_is_quoted_only_where_it_must_be) {
    EXPECT_EQ(text_value("plain-text_[::1]:80"), "plain-text_[::1]:80");
    EXPECT_EQ(text_value(""), "");
    EXPECT_EQ(text_value("C:\\dir"), "C:\\dir");
    EXPECT_EQ(text_value("z\xc3\xbcrich"), "z\xc3\xbcrich");
    EXPECT_EQ(text_value("two words"), "\"two words\"");
    EXPECT_EQ(text_value("a=b"), "\"a=b\"");
    EXPECT_EQ(text_value("say \"hi\" \\o/"), R"("say \"hi\" \\o/")");
    EXPECT_EQ(text_value("a\nb\tc\rd"), R"("a\nb\tc\x0dd")");
    EXPECT_EQ(text_value(std::string_view("\0\x1b[2J\x7f", 6)), R"("\x00\x1b[2J\x7f")");
}

TEST(log_test, text_escapes_what_only_some_readers_take_for_a_control) {
    EXPECT_EQ(text_value("\xc2\x85"), R"("\xc2\x85")");          // U+0085, next line
    EXPECT_EQ(text_value("\xc2\x9b"), R"("\xc2\x9b")");          // U+009B, a terminal's CSI
    EXPECT_EQ(text_value("\xe2\x80\xa8"), R"("\xe2\x80\xa8")");  // U+2028, line separator
    EXPECT_EQ(text_value("\x9b"), R"("\x9b")");                  // the same CSI in one byte
    EXPECT_EQ(text_value("\xe2\x80\xa6"), "\xe2\x80\xa6");       // U+2026 is just an ellipsis
}

TEST(log_test, json_is_escaped_and_always_valid_utf8) {
    EXPECT_EQ(json_value("a=b c"), "a=b c");
    EXPECT_EQ(json_value("\"\\\n\t\r"), R"(\"\\\n\t\u000d)");
    EXPECT_EQ(json_value("z\xc3\xbcrich \xf0\x9f\x98\x80"), "z\xc3\xbcrich \xf0\x9f\x98\x80");
    EXPECT_EQ(json_value("\xe2\x80\xa8\xc2\x85"), R"(\u2028\u0085)");
    const std::string bad = "\xef\xbf\xbd";
    EXPECT_EQ(json_value("a\xff"
                         "b"),
              "a" + bad + "b");
    EXPECT_EQ(json_value("\xc3"), bad);                      // cut short
    EXPECT_EQ(json_value("\xc0\xaf"), bad + bad);            // overlong
    EXPECT_EQ(json_value("\xe0\x80\xaf"), bad + bad + bad);  // overlong
    EXPECT_EQ(json_value("\xf0\x80\x80\xaf"), bad + bad + bad + bad);
    EXPECT_EQ(json_value("\xed\xa0\x80"), bad + bad + bad);            // a surrogate
    EXPECT_EQ(json_value("\xf4\x90\x80\x80"), bad + bad + bad + bad);  // above U+10FFFF
    EXPECT_EQ(json_value("\xf4\x8f\xbf\xbf"), "\xf4\x8f\xbf\xbf");     // U+10FFFF itself
}

TEST(log_test, keys_and_topics_cannot_break_a_line_either) {
    EXPECT_EQ(format_text("T", log_level::info, "a\nb", {{"c d", 1}}), R"(T info "a\nb" "c d"=1)");
    EXPECT_EQ(format_json("T", log_level::info, "a\"b", {{"c\"", 1}}),
              R"({"time":"T","level":"info","topic":"a\"b","c\"":1})");
}

TEST(log_test, numbers_are_whole_or_have_three_decimals) {
    EXPECT_EQ(log_field("k", std::numeric_limits<std::uint64_t>::max()).value,
              "18446744073709551615");
    EXPECT_EQ(log_field("k", -0.0015).value.substr(0, 5), "-0.00");
    EXPECT_EQ(log_field("k", -std::numeric_limits<double>::max()).value.size(), 1u + 309 + 4);
    // No number in JSON can say these.
    EXPECT_EQ(format_json("T", log_level::info, "t",
                          {{"a", std::numeric_limits<double>::infinity()},
                           {"b", std::numeric_limits<double>::quiet_NaN()}}),
              R"({"time":"T","level":"info","topic":"t","a":"inf","b":"nan"})");
}

// Undoes the quoting; what it cannot undo is a failure.
std::string unquoted(std::string_view text) {
    if (text.empty() || text[0] != '"') return std::string(text);
    std::string out;
    for (std::size_t i = 1; i + 1 < text.size(); ++i) {
        if (text[i] != '\\') {
            out += text[i];
            continue;
        }
        const char kind = text[++i];
        if (kind == 'n')
            out += '\n';
        else if (kind == 't')
            out += '\t';
        else if (kind != 'x')
            out += kind;
        else {
            out += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
            i += 2;
        }
    }
    return out;
}

TEST(log_test, any_bytes_come_back_from_a_text_line_and_never_make_a_second) {
    for (const std::uint64_t seed : test_seeds(300)) {
        SCOPED_TRACE(seed_note(seed));
        test_random random(seed);
        std::string value = random.text(random.below(40));
        if (random.one_in(2)) {
            for (char& c : value)
                c = " \"\\=x\n\xc2\x85\xe2\x80\xa8"[random.below(11)];
        }
        const std::string shown = text_value(value);
        EXPECT_EQ(unquoted(shown), value);
        for (const char c : shown + json_value(value)) {
            EXPECT_FALSE((c >= 0 && c < 0x20) || c == 0x7f) << static_cast<int>(c);
        }
    }
}

struct recording_sink final : log_sink {
    std::vector<std::string> lines;
    void write(log_level level, std::string_view topic, log_fields fields) override {
        lines.push_back(format_text("T", level, topic, fields));
    }
};

TEST(log_test, the_threshold_keeps_quieter_levels_out) {
    recording_sink sink;
    const log out(sink, log_level::info);
    EXPECT_TRUE(out.on(log_level::error));
    EXPECT_FALSE(out.on(log_level::debug));
    out.write(log_level::info, "a", {{"n", 1}});
    out.write(log_level::debug, "b", {});
    EXPECT_EQ(sink.lines, std::vector<std::string>{"T info a n=1"});
    log().write(log_level::error, "nobody", {});
    EXPECT_FALSE(log().on(log_level::error));
}

TEST(log_test, levels_have_names) {
    EXPECT_STREQ(name_of(log_level::error), "error");
    EXPECT_STREQ(name_of(log_level::trace), "trace");
}

}  // namespace
}  // namespace libp
