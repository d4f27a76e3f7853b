#pragma once

// An attempt that came to nothing before it began; says so from the loop, as all attempts do.

#include <kit/upstream.h>

#include <libp/event_loop.h>

#include <string>
#include <utility>

namespace libp::app {

class refused_attempt final : public upstream::attempt {
  public:
    // `detail` as in upstream::made.
    refused_attempt(event_loop& loop, std::string name, reason why, std::string detail,
                    upstream::done call)
        : name_(std::move(name)),
          outcome_{nullptr, {why}, {}, std::move(detail)},
          call_(call),
          later_(loop, delegate<void()>::to<&refused_attempt::say>(*this)) {
        later_.schedule();
    }
    const std::string& name() const noexcept override { return name_; }

  private:
    void say() { call_(std::move(outcome_)); }

    std::string name_;
    upstream::made outcome_;
    upstream::done call_;
    deferred later_;
};

}  // namespace libp::app
