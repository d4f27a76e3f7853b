#include <kit/far_connect.h>

namespace libp::app {

class far_connect::connecting final : public attempt {
  public:
    connecting(far_connect& owner, done call)
        : owner_(owner),
          call_(call),
          connector_(owner.loop_, owner.names_, owner.to_.address, owner.options_,
                     io_connector::done::to<&connecting::on_done>(*this)) {}

  private:
    void on_done(result<std::unique_ptr<io_pipe>> pipe) {
        made m;
        m.why = pipe.error();
        if (pipe) {
            m.pipe = wrap_in_filters(owner_.loop_, *std::move(pipe), owner_.to_);
            m.at = compact_address(connector_.connected_to());
        }
        call_(std::move(m));
    }

    far_connect& owner_;
    done call_;
    io_connector connector_;
};

far_connect::far_connect(event_loop& loop, resolver& names, const stack_spec& to,
                         const connector_options& options)
    : loop_(loop), names_(names), to_(to), options_(options), name_(to.address.to_string()) {}

std::unique_ptr<far_end::attempt> far_connect::start(done call) {
    return std::make_unique<connecting>(*this, call);
}

}  // namespace libp::app
