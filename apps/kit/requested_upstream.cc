#include <kit/refused_attempt.h>
#include <kit/requested_upstream.h>

#include <utility>

namespace libp::app {

namespace {

// What a log shows of text that is no target.
constexpr std::size_t shown = 64;

}  // namespace

class requested_upstream::connecting final : public attempt {
  public:
    connecting(requested_upstream& owner, target_name to, done call)
        : owner_(owner),
          to_(std::move(to)),
          name_(to_.to_string()),
          call_(call),
          connector_(owner.loop_, owner.names_, endpoint{{to_.host, std::to_string(to_.port)}, {}},
                     options(), io_connector::done::to<&connecting::on_done>(*this)) {}

    const std::string& name() const noexcept override { return name_; }

  private:
    connector_options options() {
        connector_options o = owner_.options_;
        o.admit = delegate<bool(const socket_address&)>::to<&connecting::admit>(*this);
        return o;
    }
    bool admit(const socket_address& at) {
        const bool allowed = owner_.rules_.allow(to_.host, at);
        if (!allowed) denied_ = at;
        return allowed;
    }
    void on_done(result<std::unique_ptr<io_pipe>> pipe) {
        if (pipe) return call_({*std::move(pipe), {}, compact_address(connector_.connected_to())});
        call_({nullptr, pipe.error(), {}, detail_of(pipe.error())});
    }
    std::string detail_of(const error& why) const {
        if (why.why != reason::not_allowed) return {};
        return owner_.rules_.empty()
                   ? denied_.to_string() + " is not public, and there is no --allow"
                   : "no --allow covers " + denied_.to_string();
    }

    requested_upstream& owner_;
    const target_name to_;
    const std::string name_;
    done call_;
    socket_address denied_;
    io_connector connector_;
};

requested_upstream::requested_upstream(event_loop& loop, resolver& names, const target_rules& rules,
                                       const connector_options& options)
    : loop_(loop), names_(names), rules_(rules), options_(options) {}

std::unique_ptr<upstream::attempt> requested_upstream::start(const std::string& wanted, done call) {
    if (auto to = target_name::parse(wanted))
        return std::make_unique<connecting>(*this, *std::move(to), call);
    if (wanted.empty())
        return std::make_unique<refused_attempt>(loop_, name_, reason::not_allowed,
                                                 "no target was asked for, and there is none here",
                                                 call);
    return std::make_unique<refused_attempt>(loop_, "-", reason::protocol_error,
                                             "not a target: " + wanted.substr(0, shown), call);
}

}  // namespace libp::app
