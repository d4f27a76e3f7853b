#pragma once

// Logging: a level, a topic, and named values. Where it goes is the sink's business.
//
//     log.write(log_level::info, "conn", {{"id", id}, {"end", "ok"}, {"up", up}});
//     2026-11-21T02:05:39.998Z info conn id=7f3a-12 end=ok up=7
//
// A line is one event. Values are quoted only when they hold a space, a quote, '=', a control
// character (U+0080 to U+009F and U+2028, U+2029 count as such) or bytes that are not UTF-8, with
// \" \\ \n \t \xNN escapes, NN a byte: a peer's bytes can never forge a second line or reach a
// terminal as commands. A log is passed by reference to whoever may speak; there is no global one.

#include <libp/types.h>

#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace libp {

enum class log_level : std::uint8_t { error, warn, info, debug, trace };

// "error", "warn", "info", "debug", "trace".
const char* name_of(log_level level) noexcept;

struct log_field {
    log_field(std::string_view k, std::string_view v) : key(k), value(v) {}
    log_field(std::string_view k, const char* v) : key(k), value(v) {}
    log_field(std::string_view k, std::string v) : key(k), value(std::move(v)) {}
    template <std::integral T>
    log_field(std::string_view k, T v) : key(k), value(std::to_string(v)), number(true) {}
    // Three decimals, in any locale: seconds to the millisecond.
    log_field(std::string_view k, double v);

    std::string_view key;
    std::string value;
    bool number = false;  // JSON writes it without quotes
};

using log_fields = std::initializer_list<log_field>;

// One line without its line end, `time` first as it stands.
std::string format_text(std::string_view time, log_level level, std::string_view topic,
                        log_fields fields);
// One JSON object: {"time":...,"level":...,"topic":...,fields...}. Invalid UTF-8 becomes U+FFFD.
std::string format_json(std::string_view time, log_level level, std::string_view topic,
                        log_fields fields);

class log_sink {
  public:
    virtual ~log_sink() = default;
    // Called only for levels that are on, and for answers. Must not block for long, must not call
    // back into the program.
    virtual void write(log_level level, std::string_view topic, log_fields fields) = 0;
};

// What code holds: a threshold in front of a sink. A default-made log drops everything.
class log {
  public:
    log() = default;
    log(log_sink& sink, log_level threshold) noexcept : sink_(&sink), threshold_(threshold) {}

    // Ask first where building the fields costs something.
    bool on(log_level level) const noexcept { return sink_ && level <= threshold_; }
    void write(log_level level, std::string_view topic, log_fields fields) const {
        if (on(level)) sink_->write(level, topic, fields);
    }
    // What somebody has just asked to be told: written whatever the threshold.
    void answer(std::string_view topic, log_fields fields) const {
        if (sink_) sink_->write(log_level::info, topic, fields);
    }

  private:
    log_sink* sink_ = nullptr;
    log_level threshold_ = log_level::info;
};

}  // namespace libp
