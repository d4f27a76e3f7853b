#pragma once

// What every main begins with: the command line, --help and --version.

#include <kit/daemon_settings.h>
#include <kit/option_table.h>

#include <optional>
#include <string>
#include <vector>

namespace libp::app {

// First of all: makes sure that there are a stdin, stdout and stderr, and parses main's arguments into the table's settings and `operands`. A value is the status to exit with now: the error was
// reported, or the text that was asked for printed.
std::optional<int> parse_command_line(const option_table& table, const daemon_settings& settings,
                                      int argc, char** argv, std::vector<std::string>& operands);

// For what was asked for: to stdout. The status to exit with (os_error if it cannot be written).
int print(const std::string& text);

}  // namespace libp::app
