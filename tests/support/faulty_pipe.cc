#include "support/faulty_pipe.h"

#include <libp/pipe_state.h>

#include <algorithm>

#include "support/seed.h"

namespace libp {
namespace {

class faulty_pipe final : public io_pipe {
  public:
    faulty_pipe(event_loop& loop, std::unique_ptr<io_pipe> lower, const faults& f)
        : state_(loop),
          lower_(std::move(lower)),
          faults_(f),
          random_(f.seed),
          later_(loop, delegate<void()>::to<&faulty_pipe::on_lower_again>(*this)) {
        lower_->attach(io_handler::to<&faulty_pipe::on_lower>(*this));
    }

    io_kind kind() const noexcept override { return lower_->kind(); }
    std::size_t max_datagram() const noexcept override { return lower_->max_datagram(); }
    void attach(io_handler handler) override { state_.attach(handler); }
    io_flags state() const noexcept override { return state_.levels(); }
    error why() const noexcept override { return state_.why(); }
    void describe(std::string& out) const override {
        out += "faulty < ";
        lower_->describe(out);
    }

    std::string peer_identity() const override { return lower_->peer_identity(); }
    void keep_unsent(std::size_t bytes) override { lower_->keep_unsent(bytes); }
    bool get_tcp_state(tcp_state& to) const noexcept override { return lower_->get_tcp_state(to); }
    io_result recv(chain& to, std::size_t max) override {
        if (has(io_flag::broken) && (failed_ || !has(io_flag::readable))) return recv_broken();
        if (fails_now()) return recv_broken();
        // A broken pipe has no later: it says what is left, and then that it broke.
        if (!has(io_flag::broken) && says_again()) {
            state_.lower(io_flag::readable);
            return io_result::again();
        }
        const io_result r = lower_->recv(to, std::min(max, chunk()));
        if (r.status == io_status::fin) state_.raise(io_flag::fin_rcvd);
        if (r.status == io_status::broken) state_.break_with(r.why);
        if (!lower_->has(io_flag::readable)) state_.lower(io_flag::readable);
        return r;
    }

    io_result send(chain& from) override {
        if (has(io_flag::broken)) return io_result::broken(why());
        if (!has(io_flag::writable)) return io_result::again();
        if (fails_now()) return io_result::broken(why());
        if (says_again()) {
            state_.lower(io_flag::writable);
            return io_result::again();
        }
        const bool stream = kind() == io_kind::stream;
        chain piece;
        from.move_front(piece, stream ? std::min(from.size(), chunk()) : from.size());
        const io_result r = lower_->send(piece);
        from.prepend(std::move(piece));
        if (r.status == io_status::broken) state_.break_with(r.why);
        if (!from.empty() || !lower_->has(io_flag::writable)) state_.lower(io_flag::writable);
        if (!from.empty() && lower_->has(io_flag::writable)) later_.arm_in(faults_.delay);
        return r;
    }

    void send_fin() override {
        if (has(io_flag::broken) || has(io_flag::fin_wanted)) return;
        if (fails_now()) return;
        state_.raise(io_flag::fin_wanted);
        lower_->send_fin();
    }

    void reset() override {
        if (has(io_flag::broken)) return lower_->reset();
        failed_ = true;
        state_.break_with({reason::local_abort});
        lower_->reset();
    }

  private:
    std::size_t chunk() {
        if (faults_.max_chunk == static_cast<std::size_t>(-1)) return faults_.max_chunk;
        return random_.below(faults_.max_chunk) + 1;
    }
    bool fails_now() {
        if (calls_++ != faults_.fail_at || has(io_flag::broken)) return false;
        failed_ = true;
        state_.break_with(faults_.failure);
        lower_->reset();
        return true;
    }
    bool says_again() {
        if (faults_.again_one_in == 0 || !random_.one_in(faults_.again_one_in)) return false;
        later_.arm_in(faults_.delay);
        return true;
    }
    io_result recv_broken() {
        state_.lower(io_flag::readable);
        return io_result::broken(why());
    }

    void on_lower(io_flags risen) {
        if (failed_) return;
        if (risen.has(io_flag::broken)) {
            state_.break_with(lower_->why());
            risen.clear(io_flag::broken);
        }
        // What the flag stood for may have been used up by a call between the edge and now.
        state_.raise(risen & lower_->state());
        state_.deliver();
    }
    void on_lower_again() {
        if (!has(io_flag::broken)) on_lower(lower_->state() - io_flags(io_flag::broken));
    }

    pipe_state state_;
    std::unique_ptr<io_pipe> lower_;
    const faults faults_;
    test_random random_;
    timer later_;
    std::size_t calls_ = 0;
    bool failed_ = false;  // by itself: nothing more from below
};

}  // namespace

std::unique_ptr<io_pipe> make_faulty_pipe(event_loop& loop, std::unique_ptr<io_pipe> lower,
                                          const faults& f) {
    return std::make_unique<faulty_pipe>(loop, std::move(lower), f);
}

}  // namespace libp
