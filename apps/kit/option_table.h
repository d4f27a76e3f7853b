#pragma once

// The options of a program as a table: one row says an option's names, its value, its help and what
// it does. Parsing, --help, the manual page and the spelling hints all come from the same rows.
//
//     option_table table("tcp-proxy", "a relay", {"[-c LISTEN | -s LISTEN] [TARGET]"});
//     table.group("Limits:");
//     table.add({.name = "max-conns", .metavar = "N", .help = "most connections at once",
//                .set = into_count(settings.max_conns, 1, 1'000'000)});
//
// Accepted: --name=value, --name value, -n value, -nvalue, flags together (-vv, -1v), `--` before
// operands that begin with '-', and `-` as an operand. Options and operands may be mixed. The last
// of a repeated option wins.

#include <kit/startup_error.h>

#include <libp/time.h>

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace libp::app {

// Takes a value (empty for a flag). Returns what is wrong with it, for after the option's name:
// "'10x' is not a duration". Empty: nothing.
using option_setter = std::function<std::string(std::string_view value)>;

struct option {
    char letter = 0;           // 0: no short form
    std::string name = {};     // without dashes; empty: no long form
    std::string metavar = {};  // empty: a flag, which takes no value
    std::string help = {};
    option_setter set = {};
};

class option_table {
  public:
    // `purpose`: half a sentence, for the manual page. `synopsis`: what follows the program's name,
    // a line each.
    option_table(std::string program, std::string purpose, std::vector<std::string> synopsis);

    // A headline in --help above the options added from here on.
    void group(std::string title);
    void add(option what);
    // Closing paragraphs of --help.
    void epilogue(std::string text) { epilogue_ = std::move(text); }

    // Applies the arguments (without the program's name); operands are appended to `operands`.
    startup_result parse(std::span<char* const> arguments,
                         std::vector<std::string>& operands) const;
    std::string help() const;
    // The same as a manual page, for man(1). `version`: the program's.
    std::string manual(std::string_view version) const;
    const std::string& program() const noexcept { return program_; }

  private:
    struct row {
        std::string title;  // a headline when not empty
        option what;
    };

    const option* find(std::string_view name) const noexcept;
    const option* find(char letter) const noexcept;
    startup_error unknown(std::string_view name) const;
    startup_result apply(const option& o, std::string_view shown, std::string_view value) const;
    startup_result parse_long(std::span<char* const> arguments, std::size_t& i) const;
    startup_result parse_short(std::span<char* const> arguments, std::size_t& i) const;

    std::string program_;
    std::string purpose_;
    std::vector<std::string> synopsis_;
    std::vector<row> rows_;
    std::string epilogue_;
};

// Setters. What they refer to outlives the table.
option_setter into_flag(bool& to);
option_setter into_text(std::string& to);
option_setter into_duration(duration& to, duration least = duration{0});
option_setter into_size(std::size_t& to, std::size_t least, std::size_t most);
option_setter into_count(std::size_t& to, std::size_t least, std::size_t most);

}  // namespace libp::app
