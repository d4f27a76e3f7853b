#pragma once

// A pipe that is the one below it in all respects but that it does not splice: what a test derives
// from to change one of them.

#include <libp/io_pipe.h>

#include <memory>
#include <utility>

namespace libp {

template <class Interface>
class forwarding_pipe_of : public Interface {
  public:
    explicit forwarding_pipe_of(std::unique_ptr<io_pipe> lower) : lower_(std::move(lower)) {}

    io_kind kind() const noexcept override { return lower_->kind(); }
    std::size_t max_datagram() const noexcept override { return lower_->max_datagram(); }
    void attach(io_handler handler) override { lower_->attach(handler); }
    io_flags state() const noexcept override { return lower_->state(); }
    io_result recv(chain& to, std::size_t max) override { return lower_->recv(to, max); }
    io_result send(chain& from) override { return lower_->send(from); }
    void send_fin() override { lower_->send_fin(); }
    void reset() override { lower_->reset(); }
    void keep_unsent(std::size_t most) override { lower_->keep_unsent(most); }
    bool get_tcp_state(tcp_state& to) const noexcept override { return lower_->get_tcp_state(to); }
    error why() const noexcept override { return lower_->why(); }
    void describe(std::string& out) const override { lower_->describe(out); }
    std::string peer_identity() const override { return lower_->peer_identity(); }

  private:
    std::unique_ptr<io_pipe> lower_;
};
using forwarding_pipe = forwarding_pipe_of<io_pipe>;

}  // namespace libp
