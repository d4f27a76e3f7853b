#include <gtest/gtest.h>
#include <kit/daemon_settings.h>
#include <kit/option_table.h>

namespace libp::app {
namespace {

class option_table_test : public testing::Test {
  protected:
    option_table_test() {
        table.group("Things:");
        table.add({'n', "number", "N", "how many", into_count(number, 1, 64)});
        table.add({0, "wait", "DUR", "how long", into_duration(wait)});
        table.add({0, "size", "SIZE", "how large", into_size(size, 1, 1 << 20)});
        table.add({'f', "flag", {}, "a switch", into_flag(flag)});
        table.add({'g', {}, {}, "another", into_flag(other)});
        table.add({0, "a-name-that-is-longer-than-its-column", "TEXT", "text", into_text(text)});
    }

    // The error's text; empty: none.
    std::string parse(std::vector<std::string> words) {
        operands.clear();
        std::vector<char*> argv;
        for (std::string& w : words)
            argv.push_back(w.data());
        auto wrong = table.parse(argv, operands);
        if (!wrong) return {};
        EXPECT_EQ(wrong->code, exit_code::usage);
        return wrong->what;
    }

    option_table table{"prog", "tries options", {"[-n N] THING", "--other"}};
    std::size_t number = 0, size = 0;
    duration wait{0};
    bool flag = false, other = false;
    std::string text;
    std::vector<std::string> operands;
};

TEST_F(option_table_test, a_value_follows_or_is_joined) {
    EXPECT_EQ(parse({"--wait=250ms", "--size", "64k", "-n", "4"}), "");
    EXPECT_EQ(wait, 250ms);
    EXPECT_EQ(size, 65536u);
    EXPECT_EQ(number, 4u);
    EXPECT_EQ(parse({"-n7", "--number=8", "-n9"}), "");
    EXPECT_EQ(number, 9u);
}

TEST_F(option_table_test, flags_go_together_and_the_last_may_take_a_value) {
    EXPECT_EQ(parse({"-fgn5"}), "");
    EXPECT_TRUE(flag);
    EXPECT_TRUE(other);
    EXPECT_EQ(number, 5u);
}

TEST_F(option_table_test, the_manual_page_says_all_and_means_it_literally) {
    table.add({'x', "x-ray", "A|B", ".begins\\ends", into_flag(flag)});
    table.epilogue("'quoted'\n.lonely\n");
    EXPECT_EQ(table.manual("1.2"),
              ".TH PROG 1 \"\" \"prog 1.2\"\n"
              ".SH NAME\nprog \\- tries options\n"
              ".SH SYNOPSIS\n.nf\nprog [\\-n N] THING\nprog \\-\\-other\n.fi\n"
              ".SH OPTIONS\n.SS Things:\n"
              ".TP\n\\fB\\-n\\fR, \\fB\\-\\-number\\fR \\fIN\\fR\nhow many\n"
              ".TP\n\\fB\\-\\-wait\\fR \\fIDUR\\fR\nhow long\n"
              ".TP\n\\fB\\-\\-size\\fR \\fISIZE\\fR\nhow large\n"
              ".TP\n\\fB\\-f\\fR, \\fB\\-\\-flag\\fR\na switch\n"
              ".TP\n\\fB\\-g\\fR\nanother\n"
              ".TP\n\\fB\\-\\-a\\-name\\-that\\-is\\-longer\\-than\\-its\\-column\\fR "
              "\\fITEXT\\fR\ntext\n"
              ".TP\n\\fB\\-x\\fR, \\fB\\-\\-x\\-ray\\fR \\fIA|B\\fR\n\\&.begins\\eends\n"
              ".SH NOTES\n.nf\n\\&'quoted'\n\\&.lonely\n.fi\n");
}

TEST_F(option_table_test, operands_mix_with_options) {
    EXPECT_EQ(parse({"a", "-f", "-", "--", "-n", "--flag"}), "");
    EXPECT_EQ(operands, (std::vector<std::string>{"a", "-", "-n", "--flag"}));
    EXPECT_EQ(number, 0u);
}

TEST_F(option_table_test, a_value_may_look_like_an_option) {
    EXPECT_EQ(parse({"--a-name-that-is-longer-than-its-column", "-"}), "");
    EXPECT_EQ(text, "-");
}

TEST_F(option_table_test, errors_name_the_option_and_what_it_wants) {
    EXPECT_EQ(parse({"--nubmer=1"}), "unknown option '--nubmer' (did you mean '--number'?)");
    EXPECT_EQ(parse({"--completely-else"}), "unknown option '--completely-else'");
    EXPECT_EQ(parse({"-x"}), "unknown option '-x'");
    EXPECT_EQ(parse({"-fx"}), "unknown option '-x'");
    EXPECT_EQ(parse({"--"}), "");
    EXPECT_EQ(parse({"--wait"}), "option '--wait' needs a value: DUR");
    EXPECT_EQ(parse({"-n"}), "option '-n' needs a value: N");
    EXPECT_EQ(parse({"--flag=yes"}), "option '--flag' takes no value");
    EXPECT_EQ(parse({"--wait=10x"}), "--wait: '10x' is not a duration (250ms, 10s, 5m)");
    EXPECT_EQ(parse({"--size=big"}), "--size: 'big' is not a size (64k, 8M, 1G)");
    EXPECT_EQ(parse({"--size=2M"}), "--size: '2M' is not between 1 and 1M");
    EXPECT_EQ(parse({"-n", "65"}), "-n: '65' is not a number from 1 to 64");
    EXPECT_EQ(parse({"-n", "0"}), "-n: '0' is not a number from 1 to 64");
}

TEST_F(option_table_test, help_is_made_of_the_rows) {
    table.epilogue("The end.\n");
    EXPECT_EQ(table.help(),
              "Usage: prog [-n N] THING\n"
              "       prog --other\n"
              "\n"
              "Things:\n"
              "  -n, --number N            how many\n"
              "  --wait DUR                how long\n"
              "  --size SIZE               how large\n"
              "  -f, --flag                a switch\n"
              "  -g                        another\n"
              "  --a-name-that-is-longer-than-its-column TEXT\n"
              "                            text\n"
              "\n"
              "The end.\n");
}

TEST(startup_error, has_the_shape_of_all_errors) {
    startup_error bind{exit_code::cannot_bind, "listen: 0.0.0.0:1: address already in use",
                       "choose another port, e.g. -c :2"};
    EXPECT_EQ(bind.to_string("prog"),
              "prog: error: listen: 0.0.0.0:1: address already in use\n"
              "  hint: choose another port, e.g. -c :2\n");
    EXPECT_EQ(usage_error("bad").to_string("prog"), "prog: error: bad\nTry 'prog --help'.\n");
}

TEST(daemon_settings, keepalive_takes_a_user_timeout_only_when_told) {
    tcp_options tcp;
    EXPECT_EQ(parse_keepalive("5s,2s,4", tcp), "");
    EXPECT_EQ(tcp.keepalive_idle, 5s);
    EXPECT_EQ(tcp.keepalive_interval, 2s);
    EXPECT_EQ(tcp.keepalive_count, 4);
    EXPECT_EQ(tcp.user_timeout, 0s);
    EXPECT_EQ(keepalive_text(tcp), "5s,2s,4");
    EXPECT_EQ(parse_keepalive("5s,2s,4,90s", tcp), "");
    EXPECT_EQ(tcp.user_timeout, 90s);
    EXPECT_EQ(parse_keepalive("0", tcp), "");
    EXPECT_EQ(tcp.keepalive_idle, 0s);
    EXPECT_EQ(tcp.user_timeout, 0s);
    EXPECT_EQ(keepalive_text(tcp), "off");
    for (const char* text : {"", "5s", "5s,2s", "5s,2s,0", "5s,2s,x", "0,2s,3", "5s,2s,3,",
                             "5s,2s,3,x", "5s,2s,3,4s,5"})
        EXPECT_NE(parse_keepalive(text, tcp), "") << text;
}

TEST(daemon_settings, defaults_are_those_of_the_contract) {
    daemon_settings d;
    EXPECT_EQ(d.max_memory, 256 * mib);
    EXPECT_EQ(d.connect_timeout, 10s);
    EXPECT_EQ(d.handshake_timeout, 5s);
    EXPECT_EQ(d.idle_timeout, 0s);
    EXPECT_EQ(d.linger, 60s);
    EXPECT_EQ(d.drain, 30s);
    EXPECT_EQ(keepalive_text(d.tcp), "30s,10s,3");
    EXPECT_EQ(d.tcp.user_timeout, 0s);
}

}  // namespace
}  // namespace libp::app
