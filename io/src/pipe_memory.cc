#include <libp/assert.h>
#include <libp/pipe_memory.h>
#include <libp/pipe_state.h>

#include <algorithm>
#include <deque>

namespace libp {
namespace {

// One end, and the direction towards it: what the peer sent and this end has not yet received is in
// its inbox.
//
// Calls of one end change the levels of the other, whose handler is then called by its own deferred
// call: nobody's handler runs inside somebody's send().
class memory_pipe final : public io_pipe {
  public:
    memory_pipe(event_loop& loop, const memory_pair_options& options)
        : state_(loop),
          more_room_(loop, delegate<void()>::to<&memory_pipe::on_more_room>(*this)),
          options_(options) {
        state_.raise(io_flag::ready | io_flags(io_flag::writable));
    }
    ~memory_pipe() override {
        if (!io_pipe::finished()) abandon_peer();
        if (peer_) peer_->peer_ = nullptr;
    }

    static void join(memory_pipe& a, memory_pipe& b) noexcept {
        a.peer_ = &b;
        b.peer_ = &a;
    }

    io_kind kind() const noexcept override { return options_.kind; }
    std::size_t max_datagram() const noexcept override {
        return is_stream() ? io_pipe::max_datagram() : options_.max_datagram;
    }
    void attach(io_handler handler) override { state_.attach(handler); }
    io_flags state() const noexcept override { return state_.levels(); }
    error why() const noexcept override { return state_.why(); }
    void describe(std::string& out) const override { out += "memory"; }

    io_result recv(chain& to, std::size_t max) override;
    io_result send(chain& from) override;
    void send_fin() override;
    void reset() override;

  private:
    bool is_stream() const noexcept { return options_.kind == io_kind::stream; }
    bool inbox_is_empty() const noexcept {
        return is_stream() ? inbox_.empty() : datagrams_.empty();
    }
    std::size_t take_bytes(chain& to, std::size_t max);
    std::size_t take_datagram(chain& to);
    io_result send_bytes(chain& from);
    io_result send_datagram(chain& from);
    std::size_t inbox_room() const noexcept {
        return options_.capacity - std::min(options_.capacity, charged_);
    }
    void inbox_drained() noexcept;
    void on_more_room();
    void abandon_peer() noexcept;
    void fail_with(error e) noexcept;

    pipe_state state_;
    deferred more_room_;  // after a send cut short by max_chunk
    const memory_pair_options options_;
    memory_pipe* peer_ = nullptr;  // gone: dead

    chain inbox_;
    std::deque<std::size_t> datagrams_;  // their sizes
    std::size_t charged_ = 0;            // against capacity; an empty datagram counts as one byte
    bool fin_in_ = false;                // the peer's FIN, behind what is in the inbox
};

// -- recv -----------------------------------------------------------------------------------------

io_result memory_pipe::recv(chain& to, std::size_t max) {
    check(max > 0 || !is_stream(), "recv of nothing");
    if (has(io_flag::fin_rcvd)) return io_result::fin();
    if (has(io_flag::broken)) {
        state_.lower(io_flag::readable);
        return io_result::broken(why());
    }
    if (inbox_is_empty()) {
        state_.lower(io_flag::readable);
        if (!fin_in_) return io_result::again();
        state_.raise(io_flag::fin_rcvd);
        return io_result::fin();
    }
    const std::size_t n = is_stream() ? take_bytes(to, max) : take_datagram(to);
    if (inbox_is_empty() && !fin_in_ && (n < max || !is_stream())) state_.lower(io_flag::readable);
    inbox_drained();
    state_.loop().progress();
    return io_result::moved(n);
}

std::size_t memory_pipe::take_bytes(chain& to, std::size_t max) {
    const std::size_t n = std::min({max, inbox_.size(), options_.max_chunk});
    inbox_.move_front(to, n);
    charged_ -= n;
    return n;
}

std::size_t memory_pipe::take_datagram(chain& to) {
    const std::size_t n = datagrams_.front();
    datagrams_.pop_front();
    inbox_.move_front(to, n);
    charged_ -= std::max<std::size_t>(n, 1);
    return n;
}

void memory_pipe::inbox_drained() noexcept {
    if (peer_ && inbox_room() > 0) peer_->state_.raise(io_flag::writable);
}

// -- send -----------------------------------------------------------------------------------------

io_result memory_pipe::send(chain& from) {
    if (has(io_flag::broken)) return io_result::broken(why());
    check(!has(io_flag::fin_wanted), "send after send_fin");
    if (!has(io_flag::writable)) return io_result::again();
    const io_result r = is_stream() ? send_bytes(from) : send_datagram(from);
    if (r.ok() && !peer_->inbox_is_empty()) peer_->state_.raise(io_flag::readable);
    return r;
}

io_result memory_pipe::send_bytes(chain& from) {
    const std::size_t n = std::min({from.size(), peer_->inbox_room(), options_.max_chunk});
    from.move_front(peer_->inbox_, n);
    peer_->charged_ += n;
    if (!from.empty()) {
        state_.lower(io_flag::writable);
        if (peer_->inbox_room() > 0) more_room_.schedule();
        if (n == 0) return io_result::again();
    }
    return io_result::moved(n);
}

io_result memory_pipe::send_datagram(chain& from) {
    const std::size_t n = from.size();
    if (n > options_.max_datagram) {
        abandon_peer();
        fail_with({reason::oversize});
        return io_result::broken(why());
    }
    const std::size_t charge = std::max<std::size_t>(n, 1);
    if (!peer_->datagrams_.empty() && charge > peer_->inbox_room()) {
        state_.lower(io_flag::writable);
        return io_result::again();
    }
    peer_->inbox_.append(std::move(from));
    peer_->datagrams_.push_back(n);
    peer_->charged_ += charge;
    return io_result::moved(n);
}

void memory_pipe::send_fin() {
    if (has(io_flag::broken) || has(io_flag::fin_wanted)) return;
    state_.raise(io_flag::fin_wanted | io_flags(io_flag::fin_sent));
    peer_->fin_in_ = true;
    peer_->state_.raise(io_flag::readable);
}

void memory_pipe::on_more_room() {
    state_.raise(io_flag::writable);
    state_.deliver();
}

// -- breaking -------------------------------------------------------------------------------------

void memory_pipe::reset() {
    abandon_peer();
    fail_with({reason::local_abort});
}

// The peer sees a reset, unless it is done already and would not look.
void memory_pipe::abandon_peer() noexcept {
    if (peer_ && !peer_->finished()) peer_->fail_with({reason::peer_reset});
}

void memory_pipe::fail_with(error e) noexcept {
    if (has(io_flag::broken)) return;
    more_room_.cancel();
    inbox_.clear();
    datagrams_.clear();
    charged_ = 0;
    state_.break_with(e);
}

}  // namespace

std::pair<std::unique_ptr<io_pipe>, std::unique_ptr<io_pipe>> make_memory_pair(
    event_loop& loop, const memory_pair_options& options) {
    check(options.capacity > 0 && options.max_chunk > 0, "a memory pipe of no size");
    auto a = std::make_unique<memory_pipe>(loop, options);
    auto b = std::make_unique<memory_pipe>(loop, options);
    memory_pipe::join(*a, *b);
    return {std::move(a), std::move(b)};
}

}  // namespace libp
