#pragma once

// How many lines of one sort a second may have: what strangers do shall not fill the log. Of the
// others it is counted how many there were, and that is for a line of its own, before the next one
// that is written.
//
//     const auto [write, left_out] = quota.ask(now);
//     if (left_out > 0)
//         out.write(log_level::info, "door", {{"closed", left_out}, {"why", "not logged"}});
//     if (write) out.write(...);

#include <libp/time.h>

namespace libp {

class log_quota {
  public:
    explicit constexpr log_quota(unsigned lines_a_second) noexcept : most_(lines_a_second) {}

    struct answer {
        bool write;
        unsigned left_out;  // in the second that is over
    };
    constexpr answer ask(instant now) noexcept {
        unsigned left_out = 0;
        if (now - began_ >= std::chrono::seconds(1)) {
            left_out = left_out_;
            began_ = now;
            written_ = left_out_ = 0;
        }
        const bool write = written_ < most_;
        ++(write ? written_ : left_out_);
        return {write, left_out};
    }

  private:
    const unsigned most_;
    instant began_{};
    unsigned written_ = 0, left_out_ = 0;
};

}  // namespace libp
