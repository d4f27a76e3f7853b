#include <kit/program.h>

#include <libp/os.h>
#include <libp/process.h>
#include <libp/version.h>

#include <cstdio>

namespace libp::app {

std::optional<int> parse_command_line(const option_table& table, const daemon_settings& settings,
                                      int argc, char** argv, std::vector<std::string>& operands) {
    open_standard_fds();
    std::span<char* const> arguments(argv, static_cast<std::size_t>(argc));
    if (!arguments.empty()) arguments = arguments.subspan(1);
    if (auto wrong = table.parse(arguments, operands)) return report(table.program(), *wrong);
    if (settings.help) return print(table.help());
    if (settings.version) return print(table.program() + " " + version() + " (" + os_name + ")\n");
    return std::nullopt;
}

int print(const std::string& text) {
    bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
    if (std::fflush(stdout) != 0) written = false;
    return static_cast<int>(written ? exit_code::ok : exit_code::os_error);
}

}  // namespace libp::app
