#pragma once

// The log of a program: lines on stderr, as text or JSON, each with the time of day.

#include <libp/log.h>

#include <cstdio>

namespace libp::app {

enum class log_format : std::uint8_t { text, json };

class log_output final : public log_sink {
  public:
    // `to` stays the caller's. It should be unbuffered (stderr is), so that a line is one write.
    explicit log_output(log_format format, std::FILE* to = stderr) noexcept
        : format_(format), to_(to) {}

    // A line that cannot be written is lost: there is nowhere to complain.
    void write(log_level level, std::string_view topic, log_fields fields) override;

  private:
    log_format format_;
    std::FILE* to_;
};

}  // namespace libp::app
