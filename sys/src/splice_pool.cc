#include <libp/assert.h>
#include <libp/splice_pipe.h>

namespace libp {

namespace {

// Enough that flows which fill and empty in turn do not open pipes all the time; no more, as idle
// pipes count against the user's pages too.
constexpr std::size_t most_idle = 8;

}  // namespace

std::unique_ptr<splice_pipe> splice_pool::take() {
    if (refused_ || lent_ >= most_) return nullptr;
    std::unique_ptr<splice_pipe> pipe;
    if (!idle_.empty()) {
        pipe = std::move(idle_.back());
        idle_.pop_back();
    } else {
        auto made = splice_pipe::make(capacity_);
        if (!made) {
            // A limit may pass; a system without splice stays one.
            refused_ = made.error().why == reason::unsupported;
            return nullptr;
        }
        pipe = std::make_unique<splice_pipe>(std::move(*made));
    }
    ++lent_;
    return pipe;
}

void splice_pool::give_back(std::unique_ptr<splice_pipe> pipe) noexcept {
    if (!pipe) return;
    check(lent_ > 0, "a splice_pipe was given back that was not lent here");
    --lent_;
    // Lent and idle together stay within most_: a pipe is only made when none is idle.
    if (pipe->held() == 0 && idle_.size() < most_idle) idle_.push_back(std::move(pipe));
}

}  // namespace libp
