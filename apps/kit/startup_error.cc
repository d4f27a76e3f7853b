#include <kit/startup_error.h>

#include <algorithm>
#include <cstdio>

namespace libp::app {

std::string startup_error::to_string(std::string_view program) const {
    std::string text = std::string(program) + ": error: " + what + "\n";
    if (!hint.empty()) text += "  hint: " + hint + "\n";
    if (code == exit_code::usage) text += "Try '" + std::string(program) + " --help'.\n";
    // What was typed may be shown, but not be obeyed by a terminal.
    std::ranges::replace_if(
        text, [](unsigned char c) { return (c < ' ' && c != '\n') || c == 0x7f; }, '?');
    return text;
}

startup_error usage_error(std::string what, std::string hint) {
    return {exit_code::usage, std::move(what), std::move(hint)};
}

int report(std::string_view program, const startup_error& e) {
    std::string text = e.to_string(program);
    // Nobody is left to tell when stderr fails too.
    std::fwrite(text.data(), 1, text.size(), stderr);
    return static_cast<int>(e.code);
}

}  // namespace libp::app
