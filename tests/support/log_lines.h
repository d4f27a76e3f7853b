#pragma once

#include <libp/log.h>

#include <algorithm>
#include <string>
#include <vector>

namespace libp {

// Log lines as text, without the time.
class log_lines final : public log_sink {
  public:
    void write(log_level level, std::string_view topic, log_fields fields) override {
        lines.push_back(format_text("", level, topic, fields));
    }
    std::size_t count(std::string_view part) const {
        return static_cast<std::size_t>(std::ranges::count_if(
            lines, [part](const std::string& l) { return l.find(part) != std::string::npos; }));
    }

    std::vector<std::string> lines;
};

}  // namespace libp
