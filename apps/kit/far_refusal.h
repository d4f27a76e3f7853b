#pragma once

// An attempt that came to nothing before it began; says so from the loop, as all attempts do.

#include <kit/far_end.h>

#include <libp/event_loop.h>

#include <string>
#include <utility>

namespace libp::app {

class far_refusal final : public far_end::attempt {
  public:
    far_refusal(event_loop& loop, std::string name, far_end::made outcome, far_end::done call)
        : name_(std::move(name)),
          outcome_(std::move(outcome)),
          call_(call),
          later_(loop, delegate<void()>::to<&far_refusal::say>(*this)) {
        later_.schedule();
    }
    const std::string& name() const noexcept override { return name_; }

  private:
    void say() { call_(std::move(outcome_)); }

    std::string name_;
    far_end::made outcome_;
    far_end::done call_;
    deferred later_;
};

}  // namespace libp::app
