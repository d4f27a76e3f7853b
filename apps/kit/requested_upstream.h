#pragma once

// The upstream that the near side chooses: connects each connection to the target that it asks for,
// if the rules allow the addresses that it has (target_rules.h). What is no target, and who asks
// for none, is refused.

#include <kit/upstream.h>

#include <libp/io_connector.h>
#include <libp/target_rules.h>

namespace libp::app {

class requested_upstream final : public upstream {
  public:
    // Everything given outlives this.
    requested_upstream(event_loop& loop, resolver& names, const target_rules& rules,
                       const connector_options& options);

    std::unique_ptr<attempt> start(const std::string& wanted, done call) override;
    const std::string& name() const noexcept override { return name_; }

  private:
    class connecting;

    event_loop& loop_;
    resolver& names_;
    const target_rules& rules_;
    connector_options options_;
    std::string name_ = "any";
};

}  // namespace libp::app
