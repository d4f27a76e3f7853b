#include <kit/striped_upstream.h>

#include <utility>

namespace libp::app {

namespace {

constexpr duration for_ever = std::chrono::hours(24 * 365);

}  // namespace

class striped_upstream::opening final : public attempt {
  public:
    opening(striped_upstream& owner, const std::string& target, done call)
        : loop_(owner.loop_),
          call_(call),
          name_(target.empty() ? owner.name_ : target),
          pipe_(owner.node_.open_stream({.target = target}, owner.wait_)) {
        pipe_->attach(io_handler::to<&opening::on_edges>(*this));
    }

    const std::string& name() const noexcept override { return name_; }

  private:
    void on_edges(io_flags risen) {
        if (risen.has(io_flag::broken)) return fail();
        if (risen.has(io_flag::writable)) call_({std::move(pipe_), {}, {}});
    }
    void fail() {
        error why = pipe_->why();
        // There was none to lose: none has come about in time, and nobody said why.
        if (why == error{reason::session_lost}) why = {reason::timed_out};
        loop_.retire(std::move(pipe_));
        call_({nullptr, why, {}});
    }

    event_loop& loop_;
    done call_;
    std::string name_;
    std::unique_ptr<stripe::stream_pipe> pipe_;
};

striped_upstream::striped_upstream(event_loop& loop, stripe::node& over, duration wait,
                                   std::string target)
    : loop_(loop),
      node_(over),
      wait_(wait > duration{0} ? wait : for_ever),
      target_(std::move(target)),
      name_(target_.empty() ? "stripe" : target_) {}

std::unique_ptr<upstream::attempt> striped_upstream::start(const std::string& wanted, done call) {
    return std::make_unique<opening>(*this, wanted.empty() ? target_ : wanted, call);
}

}  // namespace libp::app
