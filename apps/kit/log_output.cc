#include <kit/log_output.h>

#include <libp/clock.h>

namespace libp::app {

void log_output::write(log_level level, std::string_view topic, log_fields fields) {
    std::string time = wall_clock_text();
    std::string line = format_ == log_format::json ? format_json(time, level, topic, fields)
                                                   : format_text(time, level, topic, fields);
    line += '\n';
    std::fwrite(line.data(), 1, line.size(), to_);
}

}  // namespace libp::app
