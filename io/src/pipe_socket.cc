#include <libp/assert.h>
#include <libp/compact_address.h>
#include <libp/pipe_socket.h>
#include <libp/pipe_state.h>
#include <libp/splice_pipe.h>

#include <algorithm>
#include <utility>

#include "block_reader.h"
#include "chain_writer.h"

namespace libp {
namespace {

class socket_pipe final : public io_pipe {
  public:
    socket_pipe(event_loop& loop, unique_fd fd, const socket_address& peer)
        : state_(loop), fd_(std::move(fd)), peer_(peer) {
        state_.raise(io_flag::ready | io_flags(io_flag::writable));
        if (error e = watch_.open(
                loop, fd_.get(), io_watch::callback::to<&socket_pipe::on_ready>(*this), interest()))
            state_.break_with(e);
    }
    ~socket_pipe() override {
        watch_.close();
        if (!io_pipe::finished()) close_with_reset(std::move(fd_));
    }

    io_kind kind() const noexcept override { return io_kind::stream; }
    void attach(io_handler handler) override { state_.attach(handler); }
    io_flags state() const noexcept override { return state_.levels(); }
    error why() const noexcept override { return state_.why(); }
    void describe(std::string& out) const override;
    bool can_splice() const noexcept override { return os_has_splice; }

    io_result recv(chain& to, std::size_t max) override;
    io_result recv_spliced(splice_pipe& to, std::size_t max) override;
    io_result send(chain& from) override;
    io_result send_spliced(splice_pipe& from) override;
    void send_fin() override;
    void reset() override;
    void keep_unsent(std::size_t bytes) override;
    bool get_tcp_state(tcp_state& to) const noexcept override;

  private:
    bool may_recv(io_result& otherwise) noexcept;
    bool may_send(io_result& otherwise) const noexcept;
    io_result received(io_result r, bool emptied);
    void on_ready(flags<io_ready> ready);
    flags<io_interest> interest() const noexcept;
    void update_interest() noexcept;

    pipe_state state_;
    io_watch watch_;
    unique_fd fd_;  // gone after reset()
    block_reader reader_;
    compact_address peer_;  // as it was in the beginning: a reset socket has forgotten it
};

// -- recv -----------------------------------------------------------------------------------------

bool socket_pipe::may_recv(io_result& otherwise) noexcept {
    if (has(io_flag::readable) && fd_) return true;
    otherwise = has(io_flag::fin_rcvd) ? io_result::fin()
                : has(io_flag::broken) ? io_result::broken(why())
                                       : io_result::again();
    state_.lower(io_flag::readable);
    return false;
}

io_result socket_pipe::recv(chain& to, std::size_t max) {
    check(max > 0, "recv of nothing");
    io_result otherwise;
    if (!may_recv(otherwise)) return otherwise;
    const auto [r, emptied] = reader_.read(state_.loop().blocks(), fd_.get(), receive, to, max);
    return received(r, emptied);
}

io_result socket_pipe::recv_spliced(splice_pipe& to, std::size_t max) {
    io_result otherwise;
    if (!may_recv(otherwise)) return otherwise;
    const std::size_t held = to.held();
    const std::size_t want = std::min(max, to.capacity() - std::min(to.capacity(), held));
    const io_result r = to.fill(fd_.get(), max);
    // A kernel pipe counts pages, not bytes: with bytes in it, it may be the one that is full. Then
    // the socket is not known to be empty, and watching it would only spin.
    if (r.status == io_status::again && held > 0) return r;
    return received(r, r.bytes < want);
}

// What a receive means for the flags. On a broken pipe this is what the kernel still had from
// before the break; its end must not pass for a FIN: the system answers 0 once its error was taken.
io_result socket_pipe::received(io_result r, bool emptied) {
    const bool was_broken = has(io_flag::broken);
    if (r.ok()) {
        state_.loop().progress();
        if (emptied && !was_broken) state_.lower(io_flag::readable);
    } else {
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

bool socket_pipe::may_send(io_result& otherwise) const noexcept {
    if (has(io_flag::broken)) {
        otherwise = io_result::broken(why());
        return false;
    }
    check(!has(io_flag::fin_wanted), "send after send_fin");
    otherwise = io_result::again();
    return has(io_flag::writable);
}

io_result socket_pipe::send(chain& from) {
    io_result otherwise;
    if (!may_send(otherwise)) return otherwise;
    if (from.empty()) return io_result::moved(0);
    const auto [bytes, congested, failure] = write_chain(fd_.get(), transmit, from);
    if (failure) state_.break_with(failure);
    if (congested) state_.lower(io_flag::writable);
    if (bytes > 0) state_.loop().progress();
    update_interest();
    if (bytes > 0) return io_result::moved(bytes);
    return failure ? io_result::broken(failure) : io_result::again();
}

io_result socket_pipe::send_spliced(splice_pipe& from) {
    io_result r;
    if (!may_send(r)) return r;
    if (from.held() == 0) return io_result::moved(0);
    r = from.drain(fd_.get());
    if (r.status == io_status::broken)
        state_.break_with(r.why);
    else if (from.held() > 0)
        state_.lower(io_flag::writable);
    if (r.ok()) state_.loop().progress();
    update_interest();
    return r;
}

void socket_pipe::send_fin() {
    if (has(io_flag::broken) || has(io_flag::fin_wanted)) return;
    state_.raise(io_flag::fin_wanted);
    // Before it: what is cut off from now on had been finished.
    if (peer_.is_ip()) reset_on_close(fd_.get(), false);
    if (error e = shutdown_write(fd_.get())) {
        // "Not connected" only says that the connection is gone; the socket's own error says why.
        const error cause = take_error(fd_.get());
        state_.break_with(cause ? cause : e);
    } else {
        state_.raise(io_flag::fin_sent);
    }
    update_interest();
}

void socket_pipe::reset() {
    watch_.close();
    if (fd_) close_with_reset(std::move(fd_));
    state_.break_with({reason::local_abort});
}

void socket_pipe::keep_unsent(std::size_t bytes) {
    // A hint that the system does not take costs nothing but what it would have gained.
    if (fd_ && peer_.is_ip()) std::ignore = limit_unsent(fd_.get(), bytes);
}

bool socket_pipe::get_tcp_state(tcp_state& to) const noexcept {
    return fd_ && peer_.is_ip() && libp::get_tcp_state(fd_.get(), to);
}

// -- events ---------------------------------------------------------------------------------------

void socket_pipe::on_ready(flags<io_ready> ready) {
    if (ready.has(io_ready::failed)) {
        // An error, or a hang-up that the next receive or send will explain.
        if (error e = take_error(fd_.get()))
            state_.break_with(e);
        else
            ready.set(io_ready::read | flags<io_ready>(io_ready::write));
    }
    if (ready.has(io_ready::read) && !has(io_flag::fin_rcvd)) state_.raise(io_flag::readable);
    if (ready.has(io_ready::write)) state_.raise(io_flag::writable);
    update_interest();
    state_.deliver();
}

flags<io_interest> socket_pipe::interest() const noexcept {
    const bool broken = has(io_flag::broken);
    flags<io_interest> wanted;
    wanted.put(io_interest::read, !broken && !has(io_flag::readable) && !has(io_flag::fin_rcvd));
    wanted.put(io_interest::write, !broken && !has(io_flag::writable) && !has(io_flag::fin_wanted));
    return wanted;
}

void socket_pipe::update_interest() noexcept {
    if (watch_.is_open()) watch_.set_interest(interest());
}

// "tcp 127.0.0.1:22", "unix /run/x": the path of whichever end has one.
void socket_pipe::describe(std::string& out) const {
    if (peer_.is_ip()) {
        out += "tcp " + peer_.to_string();
        return;
    }
    out += "unix";
    std::string path = fd_ ? peer_address(fd_.get()).path() : std::string();
    if (path.empty() && fd_) path = local_address(fd_.get()).path();
    if (!path.empty()) out += " " + path;
}

}  // namespace

std::unique_ptr<io_pipe> make_socket_pipe(event_loop& loop, unique_fd fd,
                                          const socket_address& peer) {
    const bool known = peer.family() != address_family::none;
    const socket_address asked = known ? peer : peer_address(fd.get());
    return std::make_unique<socket_pipe>(loop, std::move(fd), asked);
}

}  // namespace libp
