#pragma once

// The log of a program: lines on stderr, as text or JSON, each with the time of day.
//
//  -- a reader who stops --
//
// Whoever reads the log can hold nobody up. A line is written if that does not block, and is left
// out otherwise; as soon as one can be written again, a line says how many are missing:
//
//     2026-11-21T02:05:44.000Z warn log left_out=17 why="nobody read them"
//
// `why` is the system's word where it was no reader that stopped ("no space left on device").
// Nothing is kept in order to be written later, so a burst that is longer than what the reader's
// pipe holds (64 KiB on Linux, some four hundred lines) loses lines to a reader who is only slower
// than the burst: the status of a thousand subflows, say. A file takes them all.
//
// A line of up to PIPE_BUF bytes (4096 on Linux, 512 anywhere), which all but the oddest are, is
// written to a pipe whole or not at all. Of a longer one, and on a terminal, it may be that only
// the beginning is taken. Such a line counts as left out, and the next begins on a line of its own.

#include <libp/fd.h>
#include <libp/log.h>

namespace libp::app {

enum class log_format : std::uint8_t { text, json };

inline constexpr fd_type stderr_fd = 2;

class log_output final : public log_sink {
  public:
    // `to` stays the caller's.
    explicit log_output(log_format format, fd_type to = stderr_fd);
    // Says what is missing at the end, if it can.
    ~log_output() override;
    log_output(const log_output&) = delete;
    log_output& operator=(const log_output&) = delete;

    // Never blocks.
    void write(log_level level, std::string_view topic, log_fields fields) override;

  private:
    // Whether all of the line was taken.
    bool put(std::string_view time, log_level level, std::string_view topic, log_fields fields);
    void say_left_out(std::string_view time);

    const log_format format_;
    const unique_fd terminal_;  // that `to` is, if it is one
    const fd_type to_;
    std::uint64_t left_out_ = 0;
    int trouble_ = 0;   // errno of the last line that was left out; 0: it would have blocked
    bool cut_ = false;  // what was written last has no line end
};

}  // namespace libp::app
