#pragma once

// What every main begins with: the command line, --help and --version.

#include <kit/daemon_settings.h>
#include <kit/option_table.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace libp::app {

// First of all: makes sure that there are a stdin, stdout and stderr and descriptors to go on with,
// and parses main's arguments into the table's settings and `operands`. A value is the status to
// exit with now: the error was reported, or the text that was asked for printed.
std::optional<int> parse_command_line(const option_table& table, const daemon_settings& settings,
                                      int argc, char** argv, std::vector<std::string>& operands);

// For what was asked for: to stdout. The status to exit with; os_error, and a line that says so, if
// it cannot be written.
int print(std::string_view program, const std::string& text);

// What --explain does: says what the plan is, or why it would come to nothing. The status to exit
// with.
template <class any_plan>
int print_explanation(const any_plan& plan) {
    std::string text;
    const startup_result wrong = explain(plan, text);
    return wrong ? report(plan.program, *wrong) : print(plan.program, text);
}

}  // namespace libp::app
