#include <kit/fixed_upstream.h>
#include <kit/refused_attempt.h>

namespace libp::app {

class fixed_upstream::connecting final : public attempt {
  public:
    connecting(fixed_upstream& owner, done call)
        : owner_(owner),
          call_(call),
          connector_(owner.loop_, owner.names_, owner.to_.address, owner.options_,
                     io_connector::done::to<&connecting::on_done>(*this)) {}

    const std::string& name() const noexcept override { return owner_.name_; }

  private:
    void on_done(result<std::unique_ptr<io_pipe>> pipe) {
        if (!pipe) return call_({nullptr, pipe.error(), {}});
        pipe_ = wrap_in_filters(owner_.loop_, *std::move(pipe), owner_.to_, owner_.tls_);
        if (pipe_->has(io_flag::ready)) return finish();
        pipe_->attach(io_handler::to<&connecting::on_pipe>(*this));
    }
    void on_pipe(io_flags risen) {
        if (risen.has(io_flag::broken)) return fail();
        if (risen.has(io_flag::ready)) finish();
    }
    void finish() { call_({std::move(pipe_), {}, compact_address(connector_.connected_to())}); }
    void fail() {
        const error why = pipe_->why();
        owner_.loop_.retire(std::move(pipe_));
        call_({nullptr, why, compact_address(connector_.connected_to())});
    }

    fixed_upstream& owner_;
    done call_;
    io_connector connector_;
    std::unique_ptr<io_pipe> pipe_;  // while it shakes hands
};

fixed_upstream::fixed_upstream(event_loop& loop, resolver& names, const stack_spec& to,
                               const connector_options& options, const stack_tls& tls)
    : loop_(loop),
      names_(names),
      to_(to),
      options_(options),
      tls_(tls),
      name_(to.address.to_string()) {}

std::unique_ptr<upstream::attempt> fixed_upstream::start(const std::string& wanted, done call) {
    if (!wanted.empty())
        return std::make_unique<refused_attempt>(loop_, wanted, reason::not_allowed,
                                                 "a target was asked for, but there is one here",
                                                 call);
    return std::make_unique<connecting>(*this, call);
}

}  // namespace libp::app
