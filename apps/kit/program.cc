#include <kit/announcement.h>
#include <kit/program.h>
#include <kit/resource_limits.h>

#include <libp/os.h>
#include <libp/process.h>
#include <libp/tls_library.h>
#include <libp/version.h>

#include <cstdio>

namespace libp::app {

namespace {

// With -v, what it would find at run time too.
std::string version_text(const std::string& program, bool verbose) {
    std::string text = program + " " + version() + " (" + os_name + ")\n";
    if (!verbose) return text;
    const tls_library tls;
    return text + "tls: " + (tls ? tls.version() : tls.why()) + "\n";
}

}  // namespace

std::optional<int> parse_command_line(const option_table& table, const daemon_settings& settings,
                                      int argc, char** argv, std::vector<std::string>& operands) {
    open_standard_fds();
    std::span<char* const> arguments(argv, static_cast<std::size_t>(argc));
    if (!arguments.empty()) arguments = arguments.subspan(1);
    if (auto wrong = table.parse(arguments, operands)) return report(table.program(), *wrong);
    if (settings.help) return print(table.program(), table.help());
    if (settings.manual) return print(table.program(), table.manual(version()));
    if (settings.version)
        return print(table.program(),
                     version_text(table.program(), settings.verbosity > log_level::info));
    if (auto wrong = check_descriptors()) return report(table.program(), *wrong);
    if (auto wrong = check_announce(settings.announce)) return report(table.program(), *wrong);
    return std::nullopt;
}

int print(std::string_view program, const std::string& text) {
    bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
    if (std::fflush(stdout) != 0) written = false;
    return written ? 0 : report(program, {exit_code::os_error, "stdout: cannot be written", {}});
}

}  // namespace libp::app
