#include <kit/dry_run.h>

#include <kit/listeners.h>

namespace libp::app {

startup_result dry_run::listen(const stack_spec& at, const std::string& protocol, listening& to) {
    if (auto e = tls_.prepare(at, true, protocol, to.tls)) return e;
    if (at.base == stack_spec::base_kind::stdio) return std::nullopt;
    return addresses_to_bind(at, to.where);
}

startup_result dry_run::connect(const stack_spec& to, const std::string& protocol) {
    stack_tls made;
    return tls_.prepare(to, false, protocol, made);
}

}  // namespace libp::app
