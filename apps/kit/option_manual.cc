// The table as a manual page: roff with the man(7) macros, which every man(1) reads.

#include <kit/option_table.h>

#include <algorithm>
#include <cctype>

namespace libp::app {

namespace {

// Text that means itself: no escapes, hyphens that can be copied, and no line that begins like a
// request.
std::string roff(std::string_view text) {
    std::string out;
    bool at_start = true;
    for (char c : text) {
        if (at_start && (c == '.' || c == '\'')) out += "\\&";
        if (c == '\\')
            out += "\\e";
        else if (c == '-')
            out += "\\-";
        else
            out += c;
        at_start = c == '\n';
    }
    return out;
}

std::string bold(std::string_view text) {
    return "\\fB" + roff(text) + "\\fR";
}

std::string upper(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return text;
}

// As it was laid out.
std::string literal(std::string_view text) {
    return ".nf\n" + roff(text) + (text.ends_with('\n') ? "" : "\n") + ".fi\n";
}

std::string entry(const option& o) {
    std::string names;
    if (o.letter) names += bold(std::string("-") + o.letter);
    if (o.letter && !o.name.empty()) names += ", ";
    if (!o.name.empty()) names += bold("--" + o.name);
    if (!o.metavar.empty()) names += " \\fI" + roff(o.metavar) + "\\fR";
    return ".TP\n" + names + "\n" + roff(o.help) + "\n";
}

}  // namespace

std::string option_table::manual(std::string_view version) const {
    std::string text = ".TH " + upper(program_) + " 1 \"\" \"" + program_ + " " +
                       std::string(version) + "\"\n.SH NAME\n" + roff(program_) + " \\- " +
                       roff(purpose_) + "\n.SH SYNOPSIS\n";
    std::string lines;
    for (const std::string& line : synopsis_)
        lines += program_ + (line.empty() ? "" : " ") + line + "\n";
    text += literal(lines) + ".SH OPTIONS\n";
    for (const row& r : rows_)
        text += r.title.empty() ? entry(r.what) : ".SS " + roff(r.title) + "\n";
    if (!epilogue_.empty()) text += ".SH NOTES\n" + literal(epilogue_);
    return text;
}

}  // namespace libp::app
