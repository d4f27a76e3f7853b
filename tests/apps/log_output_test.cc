#include <gtest/gtest.h>
#include <kit/log_output.h>
#include <libp/signals.h>

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "support/blocking_ends.h"

// Where it writes to blocks, as stderr does: what would wait for its reader would wait for good.

namespace libp::app {
namespace {

// What there is to read now, as lines without their time of day.
std::vector<std::string> lines_in(const unique_fd& from) {
    std::string text;
    char buffer[65536];
    for (pollfd p{from.get(), POLLIN, 0}; poll(&p, 1, 0) == 1;) {
        const ssize_t n = read(from.get(), buffer, sizeof buffer);
        if (n <= 0) break;
        text.append(buffer, static_cast<std::size_t>(n));
    }
    std::vector<std::string> lines;
    std::istringstream rest(text);
    for (std::string line; std::getline(rest, line);) {
        const std::size_t time = line.find("Z ");
        lines.push_back(time == line.npos ? line : line.substr(time + 2));
    }
    return lines;
}

void say(log_output& to, std::size_t number) {
    to.write(log_level::info, "test", {{"line", number}, {"text", std::string(80, 'x')}});
}

std::string said(std::size_t number) {
    return "info test line=" + std::to_string(number) + " text=" + std::string(80, 'x');
}

std::string missing(std::size_t number) {
    return "warn log left_out=" + std::to_string(number) + " why=\"nobody read them\"";
}

TEST(log_output, what_nobody_reads_is_left_out_and_counted) {
    const pipe_ends p;
    log_output out(log_format::text, p.in.get());
    constexpr std::size_t all = 2000;
    for (std::size_t i = 0; i < all; ++i)
        say(out, i);
    const std::vector<std::string> before = lines_in(p.out);
    ASSERT_GT(before.size(), 100u);
    ASSERT_LT(before.size(), all);
    for (std::size_t i = 0; i < before.size(); ++i)
        ASSERT_EQ(before[i], said(i));

    say(out, all);
    say(out, all + 1);
    EXPECT_EQ(lines_in(p.out),
              (std::vector{missing(all - before.size()), said(all), said(all + 1)}));
}

TEST(log_output, what_is_missing_at_the_end_is_said_too) {
    const pipe_ends p;
    std::size_t left_out = 0;
    {
        log_output out(log_format::text, p.in.get());
        for (std::size_t i = 0; i < 2000; ++i)
            say(out, i);
        left_out = 2000 - lines_in(p.out).size();
    }
    EXPECT_EQ(lines_in(p.out), std::vector{missing(left_out)});
}

// A FIFO may get another.
TEST(log_output, a_reader_that_is_gone_is_no_trouble) {
    ignore_write_signals();
    char folder[] = "/tmp/libp-log-XXXXXX";
    ASSERT_NE(mkdtemp(folder), nullptr);
    const std::string name = std::string(folder) + "/fifo";
    ASSERT_EQ(mkfifo(name.c_str(), 0600), 0);
    unique_fd reader(open(name.c_str(), O_RDONLY | O_NONBLOCK));
    const unique_fd writer(open(name.c_str(), O_WRONLY));
    log_output out(log_format::text, writer.get());
    reader.reset();
    say(out, 0);
    say(out, 1);
    reader.reset(open(name.c_str(), O_RDONLY | O_NONBLOCK));
    say(out, 2);
    EXPECT_EQ(lines_in(reader),
              (std::vector<std::string>{"warn log left_out=2 why=\"broken pipe\"", said(2)}));
    std::filesystem::remove_all(folder);
}

TEST(log_output, a_line_that_was_cut_counts_and_does_not_cut_the_next) {
    const pipe_ends p;
    log_output out(log_format::text, p.in.get());
    const std::string endless(1'000'000, 'z');
    out.write(log_level::info, "test", {{"text", endless}});
    std::string got(1'000'000, '\0');
    const ssize_t cut = read(p.out.get(), got.data(), got.size());
    ASSERT_GT(cut, PIPE_BUF - 1);
    ASSERT_LT(cut, 1'000'000);
    say(out, 1);
    EXPECT_EQ(lines_in(p.out), (std::vector<std::string>{"", missing(1), said(1)}));
}

TEST(log_output, a_file_takes_everything) {
    char name[] = "/tmp/libp-log-XXXXXX";
    const unique_fd file(mkstemp(name));
    ASSERT_TRUE(file);
    {
        log_output out(log_format::text, file.get());
        for (std::size_t i = 0; i < 2000; ++i)
            say(out, i);
        out.write(log_level::info, "test", {{"text", std::string(100'000, 'z')}});
    }
    std::ifstream back(name);
    unlink(name);
    std::vector<std::string> lines;
    for (std::string line; std::getline(back, line);)
        lines.push_back(line);
    ASSERT_EQ(lines.size(), 2001u);
    EXPECT_TRUE(lines.back().ends_with(std::string(100'000, 'z')));
}

// It says that it has room for a line when it has room for half of one.
TEST(log_output, a_terminal_that_stands_still_holds_nobody_up) {
    const terminal_ends t;
    if (!t.master) GTEST_SKIP() << "no pseudo-terminals here";
    log_output out(log_format::text, t.slave.get());
    for (std::size_t i = 0; i < 2000; ++i)
        say(out, i);
}

TEST(log_output, json_says_what_is_missing_in_json) {
    const pipe_ends p;
    log_output out(log_format::json, p.in.get());
    for (std::size_t i = 0; i < 2000; ++i)
        say(out, i);
    char buffer[65536];
    const std::string before(buffer,
                             static_cast<std::size_t>(read(p.out.get(), buffer, sizeof buffer)));
    const auto left_out = 2000 - std::count(before.begin(), before.end(), '\n');
    say(out, 2000);
    const std::string after(buffer,
                            static_cast<std::size_t>(read(p.out.get(), buffer, sizeof buffer)));
    EXPECT_NE(after.find("\"level\":\"warn\",\"topic\":\"log\",\"left_out\":" +
                         std::to_string(left_out) + ",\"why\":\"nobody read them\"}\n{"),
              std::string::npos)
        << after;
}

}  // namespace
}  // namespace libp::app
