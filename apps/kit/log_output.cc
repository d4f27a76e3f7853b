#include <kit/log_output.h>

#include <libp/clock.h>
#include <libp/socket.h>
#include <libp/terminal.h>

namespace libp::app {

log_output::log_output(log_format format, fd_type to)
    : format_(format), terminal_(open_terminal_again(to)), to_(terminal_ ? terminal_.get() : to) {}

log_output::~log_output() {
    say_left_out(wall_clock_text());
}

void log_output::write(log_level level, std::string_view topic, log_fields fields) {
    const std::string time = wall_clock_text();
    say_left_out(time);
    if (left_out_ > 0 || !put(time, level, topic, fields)) ++left_out_;
}

void log_output::say_left_out(std::string_view time) {
    if (left_out_ == 0) return;
    const std::string why =
        trouble_ != 0 ? to_string(error{reason::system, trouble_}) : "nobody read them";
    if (put(time, log_level::warn, "log", {{"left_out", left_out_}, {"why", why}})) left_out_ = 0;
}

bool log_output::put(std::string_view time, log_level level, std::string_view topic,
                     log_fields fields) {
    std::string line = format_ == log_format::json ? format_json(time, level, topic, fields)
                                                   : format_text(time, level, topic, fields);
    line += '\n';
    if (cut_) line.insert(0, 1, '\n');
    std::string_view rest = line;
    while (!rest.empty()) {
        const io_result r = write_at_once(to_, rest);
        if (r.bytes == 0) {
            trouble_ = r.why.os_errno;
            break;
        }
        rest.remove_prefix(r.bytes);
    }
    if (rest.size() < line.size()) cut_ = !rest.empty();
    return rest.empty();
}

}  // namespace libp::app
