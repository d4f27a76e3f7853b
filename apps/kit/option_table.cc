#include <kit/option_table.h>

#include <kit/value_text.h>

#include <algorithm>

namespace libp::app {

namespace {

constexpr std::size_t help_column = 28;

std::string quoted(std::string_view text) {
    return "'" + std::string(text) + "'";
}

std::string names_of(const option& o) {
    std::string text = "  ";
    if (o.letter) text += std::string("-") + o.letter;
    if (o.letter && !o.name.empty()) text += ", ";
    if (!o.name.empty()) text += "--" + o.name;
    if (!o.metavar.empty()) text += " " + o.metavar;
    return text;
}

}  // namespace

option_table::option_table(std::string program, std::string purpose,
                           std::vector<std::string> synopsis)
    : program_(std::move(program)), purpose_(std::move(purpose)), synopsis_(std::move(synopsis)) {}

void option_table::group(std::string title) {
    rows_.push_back({std::move(title), {}});
}

void option_table::add(option what) {
    rows_.push_back({{}, std::move(what)});
}

const option* option_table::find(std::string_view name) const noexcept {
    for (const row& r : rows_)
        if (!name.empty() && r.what.name == name) return &r.what;
    return nullptr;
}

const option* option_table::find(char letter) const noexcept {
    for (const row& r : rows_)
        if (letter && r.what.letter == letter) return &r.what;
    return nullptr;
}

startup_error option_table::unknown(std::string_view name) const {
    std::vector<std::string_view> names;
    for (const row& r : rows_)
        if (!r.what.name.empty()) names.push_back(r.what.name);
    return usage_error("unknown option '--" + std::string(name) + "'" +
                       did_you_mean(name, names, "--"));
}

startup_result option_table::apply(const option& o, std::string_view shown,
                                   std::string_view value) const {
    std::string wrong = o.set(value);
    if (wrong.empty()) return std::nullopt;
    return usage_error(std::string(shown) + ": " + wrong);
}

startup_result option_table::parse_long(std::span<char* const> arguments, std::size_t& i) const {
    std::string_view text = std::string_view(arguments[i]).substr(2);
    std::size_t equals = text.find('=');
    std::string_view name = text.substr(0, equals);
    const option* o = find(name);
    if (!o) return unknown(name);

    std::string shown = "--" + o->name;
    bool has_value = equals != std::string_view::npos;
    if (o->metavar.empty()) {
        if (has_value) return usage_error("option " + quoted(shown) + " takes no value");
        return apply(*o, shown, {});
    }
    if (has_value) return apply(*o, shown, text.substr(equals + 1));
    if (i + 1 == arguments.size())
        return usage_error("option " + quoted(shown) + " needs a value: " + o->metavar);
    return apply(*o, shown, arguments[++i]);
}

startup_result option_table::parse_short(std::span<char* const> arguments, std::size_t& i) const {
    std::string_view text = std::string_view(arguments[i]).substr(1);
    for (std::size_t k = 0; k < text.size(); ++k) {
        std::string shown = std::string("-") + text[k];
        const option* o = find(text[k]);
        if (!o) return usage_error("unknown option " + quoted(shown));
        if (o->metavar.empty()) {
            if (auto wrong = apply(*o, shown, {})) return wrong;
            continue;
        }
        if (k + 1 < text.size()) return apply(*o, shown, text.substr(k + 1));
        if (i + 1 == arguments.size())
            return usage_error("option " + quoted(shown) + " needs a value: " + o->metavar);
        return apply(*o, shown, arguments[++i]);
    }
    return std::nullopt;
}

startup_result option_table::parse(std::span<char* const> arguments,
                                   std::vector<std::string>& operands) const {
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        std::string_view text = arguments[i];
        if (text == "--") {
            operands.insert(operands.end(), arguments.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                            arguments.end());
            return std::nullopt;
        }
        startup_result wrong;
        if (text.starts_with("--"))
            wrong = parse_long(arguments, i);
        else if (text.size() > 1 && text[0] == '-')
            wrong = parse_short(arguments, i);
        else
            operands.emplace_back(text);
        if (wrong) return wrong;
    }
    return std::nullopt;
}

std::string option_table::help() const {
    std::string text;
    for (const std::string& line : synopsis_)
        text += (text.empty() ? "Usage: " : "       ") + program_ + (line.empty() ? "" : " ") +
                line + "\n";
    for (const row& r : rows_) {
        if (!r.title.empty()) {
            text += "\n" + r.title + "\n";
            continue;
        }
        std::string names = names_of(r.what);
        if (names.size() + 2 > help_column)
            names += "\n" + std::string(help_column, ' ');
        else
            names.resize(help_column, ' ');
        text += names + r.what.help + "\n";
    }
    if (!epilogue_.empty()) text += "\n" + epilogue_;
    return text;
}

option_setter into_flag(bool& to) {
    return [&to](std::string_view) {
        to = true;
        return std::string();
    };
}

option_setter into_text(std::string& to) {
    return [&to](std::string_view value) {
        to = value;
        return std::string(value.empty() ? "the value is empty" : "");
    };
}

option_setter into_duration(duration& to, duration least) {
    return [&to, least](std::string_view value) {
        auto d = parse_duration(value);
        if (!d) return quoted(value) + " is not a duration (250ms, 10s, 5m)";
        if (*d < least) return quoted(value) + " is less than " + duration_text(least);
        to = *d;
        return std::string();
    };
}

option_setter into_size(std::size_t& to, std::size_t least, std::size_t most) {
    return [&to, least, most](std::string_view value) {
        auto n = parse_size(value);
        if (!n) return quoted(value) + " is not a size (64k, 8M, 1G)";
        if (*n < least || *n > most)
            return quoted(value) + " is not between " + size_text(least) + " and " +
                   size_text(most);
        to = *n;
        return std::string();
    };
}

option_setter into_count(std::size_t& to, std::size_t least, std::size_t most) {
    return [&to, least, most](std::string_view value) {
        auto n = parse_count(value);
        if (!n || *n < least || *n > most)
            return quoted(value) + " is not a number from " + std::to_string(least) + " to " +
                   std::to_string(most);
        to = *n;
        return std::string();
    };
}

}  // namespace libp::app
