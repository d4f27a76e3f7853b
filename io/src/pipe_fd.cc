#include <libp/assert.h>
#include <libp/pipe_fd.h>
#include <libp/pipe_state.h>
#include <libp/socket.h>

#include <utility>

#include "block_reader.h"
#include "chain_writer.h"

namespace libp {
namespace {

class fd_pipe final : public io_pipe {
  public:
    fd_pipe(event_loop& loop, unique_fd in, unique_fd out);
    ~fd_pipe() override {
        if (io_pipe::finished())
            close_both();
        else
            cut();
    }

    io_kind kind() const noexcept override { return io_kind::stream; }
    void attach(io_handler handler) override { state_.attach(handler); }
    io_flags state() const noexcept override { return state_.levels(); }
    error why() const noexcept override { return state_.why(); }
    void describe(std::string& out) const override;

    io_result recv(chain& to, std::size_t max) override;
    io_result send(chain& from) override;
    void send_fin() override;
    void reset() override;

  private:
    void on_input(flags<io_ready> ready);
    void on_output(flags<io_ready> ready);
    void close_input() noexcept;
    void close_output() noexcept;
    void close_both() noexcept;
    void cut() noexcept;
    void update_interest() noexcept;

    pipe_state state_;
    io_watch in_watch_, out_watch_;  // closed: the descriptor cannot be watched, it is always ready
    unique_fd in_, out_;
    block_reader reader_;
    bool restore_in_ = false;  // put O_NONBLOCK back on closing
    bool restore_out_ =
        false;  // never with one open file behind both: then it is `in`'s to do, which closes last
};

fd_pipe::fd_pipe(event_loop& loop, unique_fd in, unique_fd out)
    : state_(loop), in_(std::move(in)), out_(std::move(out)) {
    check(in_.get() != out_.get(), "an fd pipe needs two descriptors: duplicate");
    restore_in_ = !is_nonblocking(in_.get());
    const bool out_was_blocking = !is_nonblocking(out_.get());
    error e = set_nonblocking(in_.get(), true);
    const bool one_file = out_was_blocking && is_nonblocking(out_.get());
    restore_out_ = out_was_blocking && !one_file;
    if (!e) e = set_nonblocking(out_.get(), true);

    state_.raise(io_flag::ready | io_flags(io_flag::writable));
    if (!e) e = in_watch_.open(loop, in_.get(), io_watch::callback::to<&fd_pipe::on_input>(*this));
    if (e.why == reason::unsupported) {
        e = {};
        state_.raise(io_flag::readable);
    }
    if (!e)
        e = out_watch_.open(loop, out_.get(), io_watch::callback::to<&fd_pipe::on_output>(*this));
    if (e && e.why != reason::unsupported) state_.break_with(e);
    update_interest();
}

void fd_pipe::describe(std::string& out) const {
    const auto number = [](const unique_fd& fd) { return fd ? std::to_string(fd.get()) : "-"; };
    out += "fd " + number(in_) + "," + number(out_);
}

// -- recv -----------------------------------------------------------------------------------------

io_result fd_pipe::recv(chain& to, std::size_t max) {
    check(max > 0, "recv of nothing");
    if (has(io_flag::fin_rcvd)) return io_result::fin();
    if (!has(io_flag::readable) || !in_) {
        if (!has(io_flag::broken)) return io_result::again();
        state_.lower(io_flag::readable);
        return io_result::broken(why());
    }
    const bool was_broken = has(io_flag::broken);
    auto [r, emptied] = reader_.read(state_.loop().blocks(), in_.get(), read_from, to, max);
    if (r.ok()) {
        state_.loop().progress();
        // What cannot be watched stays readable until its end.
        if (emptied && in_watch_.is_open() && !was_broken) state_.lower(io_flag::readable);
    } else {
        // Nothing would ever tell when to try again.
        if (r.status == io_status::again && !in_watch_.is_open())
            r = io_result::broken({reason::unsupported});
        if (was_broken)
            r = io_result::broken(why());
        else if (r.status == io_status::fin)
            state_.raise(io_flag::fin_rcvd);
        else if (r.status == io_status::broken)
            state_.break_with(r.why);
        state_.lower(io_flag::readable);
    }
    update_interest();
    return r;
}

// -- send -----------------------------------------------------------------------------------------

io_result fd_pipe::send(chain& from) {
    if (has(io_flag::broken)) return io_result::broken(why());
    check(!has(io_flag::fin_wanted), "send after send_fin");
    if (!has(io_flag::writable)) return io_result::again();
    std::size_t sent = 0;
    error failure;
    while (!from.empty()) {
        const write_outcome w = write_chain(out_.get(), write_to, from);
        sent += w.bytes;
        failure = w.why;
        if (w.congested && w.bytes > 0 && !out_watch_.is_open())
            continue;  // a short write to a file: the next says why
        if (w.congested && !out_watch_.is_open()) failure = {reason::unsupported};
        if (w.congested) state_.lower(io_flag::writable);
        break;
    }
    if (failure) state_.break_with(failure);
    if (sent > 0) state_.loop().progress();
    update_interest();
    if (sent > 0 || from.empty()) return io_result::moved(sent);
    return failure ? io_result::broken(failure) : io_result::again();
}

void fd_pipe::send_fin() {
    if (has(io_flag::broken) || has(io_flag::fin_wanted)) return;
    // A socket may be held open by others, who would keep it from ending. On anything else this
    // fails, and closing is all there is.
    static_cast<void>(shutdown_write(out_.get()));
    close_output();
    state_.raise(io_flag::fin_wanted | io_flags(io_flag::fin_sent));
}

void fd_pipe::reset() {
    cut();
    state_.break_with({reason::local_abort});
}

// -- events ---------------------------------------------------------------------------------------

// A failure needs no care of its own: reading or writing on finds it.
void fd_pipe::on_input(flags<io_ready>) {
    state_.raise(io_flag::readable);
    update_interest();
    state_.deliver();
}

void fd_pipe::on_output(flags<io_ready>) {
    state_.raise(io_flag::writable);
    update_interest();
    state_.deliver();
}

void fd_pipe::close_input() noexcept {
    in_watch_.close();
    // The flag is a courtesy to whoever else has the file open; if that fails there is nobody to
    // tell.
    if (in_ && restore_in_) static_cast<void>(set_nonblocking(in_.get(), false));
    in_.reset();
}

void fd_pipe::close_output() noexcept {
    out_watch_.close();
    if (out_ && restore_out_) static_cast<void>(set_nonblocking(out_.get(), false));
    out_.reset();
}

void fd_pipe::close_both() noexcept {
    close_output();
    close_input();
}

// A TCP connection is reset, as who closes the last of its descriptors finds it said; on anything
// else that says nothing.
void fd_pipe::cut() noexcept {
    for (const unique_fd* fd : {&in_, &out_})
        if (*fd) reset_on_close(fd->get(), true);
    close_both();
}

void fd_pipe::update_interest() noexcept {
    const bool broken = has(io_flag::broken);
    if (in_watch_.is_open()) {
        const bool read = !broken && !has(io_flag::readable) && !has(io_flag::fin_rcvd);
        in_watch_.set_interest(read ? io_interest::read : flags<io_interest>{});
    }
    if (out_watch_.is_open()) {
        const bool write = !broken && !has(io_flag::writable) && !has(io_flag::fin_wanted);
        out_watch_.set_interest(write ? io_interest::write : flags<io_interest>{});
    }
}

}  // namespace

std::unique_ptr<io_pipe> make_fd_pipe(event_loop& loop, unique_fd in, unique_fd out) {
    return std::make_unique<fd_pipe>(loop, std::move(in), std::move(out));
}

}  // namespace libp
