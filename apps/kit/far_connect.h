#pragma once

// The far end that is an address: connects to it, and puts the filters of its spec on top.

#include <kit/far_end.h>

#include <libp/io_connector.h>
#include <libp/stack.h>

namespace libp::app {

class far_connect final : public far_end {
  public:
    // Everything given outlives this.
    far_connect(event_loop& loop, resolver& names, const stack_spec& to,
                const connector_options& options);

    std::unique_ptr<attempt> start(done call) override;
    const std::string& name() const noexcept override { return name_; }

  private:
    class connecting;

    event_loop& loop_;
    resolver& names_;
    const stack_spec& to_;
    connector_options options_;
    std::string name_;
};

}  // namespace libp::app
