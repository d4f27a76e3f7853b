#include "stripe/striped_stream.h"

#include <libp/assert.h>
#include <libp/stripe/wire.h>

#include <algorithm>
#include <utility>

#include "stripe/session.h"

namespace libp::stripe {

striped_stream::~striped_stream() {
    if (session_) reset();
}

void striped_stream::ask(open_request request, duration most, const error& trouble) {
    wish_.reset(new wish{std::move(request),
                         trouble,
                         {state_.loop(), delegate<void()>::to<&striped_stream::on_late>(*this)}});
    wish_->late.arm_in(most);
}

void striped_stream::on_late() {
    if (!session_) {
        const error trouble = wish_->trouble;
        return on_broken(trouble ? trouble : error{reason::session_lost}, {});
    }
    session_->engine().abort(id_, {reason::timed_out}, session_->now());
    session_->later();
    let_go();
    on_broken({reason::timed_out}, {});
}

void striped_stream::bind(session& to, stream_id id, bool ours) {
    session_ = &to;
    session_number_ = to.number();
    id_ = id;
    ours_ = ours;
    if (state_.has(io_flag::fin_wanted))
        to.engine().finish(id, to.now());
    else if (ours)
        state_.raise(io_flag::writable);
}

// -- recv -----------------------------------------------------------------------------------------

io_result striped_stream::recv(chain& to, std::size_t max) {
    check(max > 0 || datagrams_, "recv of nothing");
    if (state_.has(io_flag::fin_rcvd)) return io_result::fin();
    if (state_.has(io_flag::broken)) return recv_broken(to, max);
    if (completed_) return recv_completed(to, max);
    if (!session_ || !state_.has(io_flag::ready)) return io_result::again();
    engine& e = session_->engine();
    const io_result r = datagrams_ ? e.next_datagram(id_, to, session_->now())
                                   : e.read(id_, to, max, session_->now());
    switch (r.status) {
        case io_status::ok:
            session_->later();  // reading grants credit
            state_.loop().progress();
            break;
        case io_status::broken:  // the event that says so is on its way
        case io_status::again:
            state_.lower(io_flag::readable);
            return io_result::again();
        case io_status::fin:
            state_.lower(io_flag::readable);
            state_.raise(io_flag::fin_rcvd);
            session_->later();
            ended_one_way();
            break;
    }
    return r;
}

// What came before the break first.
io_result striped_stream::recv_broken(chain& to, std::size_t max) {
    const std::size_t n = std::min(max, unread_.size());
    unread_.move_front(to, n);
    if (n > 0) return io_result::moved(n);
    state_.lower(io_flag::readable);
    return io_result::broken(why());
}

io_result striped_stream::recv_completed(chain& to, std::size_t max) {
    const std::size_t n = std::min(max, unread_.size());
    unread_.move_front(to, n);
    if (n > 0) return io_result::moved(n);
    state_.lower(io_flag::readable);
    state_.raise(io_flag::fin_rcvd);
    return io_result::fin();
}

// -- send -----------------------------------------------------------------------------------------

io_result striped_stream::send(chain& from) {
    if (state_.has(io_flag::broken)) return io_result::broken(why());
    check(!state_.has(io_flag::fin_wanted), "send after send_fin");
    if (!state_.has(io_flag::writable)) return io_result::again();
    if (datagrams_) return send_datagram(from);
    if (from.empty()) return io_result::moved(0);
    const std::size_t before = from.size();
    // Asked until it says again, so that stream_writable follows.
    io_result r = io_result::moved(0);
    while (r.ok() && !from.empty())
        r = session_->engine().write(id_, from, session_->now(), session_->send_bound());
    if (!r.ok()) state_.lower(io_flag::writable);
    if (from.size() == before) return io_result::again();
    session_->later();
    state_.loop().progress();
    return io_result::moved(before - from.size());
}

std::size_t striped_stream::max_datagram() const noexcept {
    if (!datagrams_) return stream_pipe::max_datagram();
    return session_ ? session_->engine().max_datagram() : wire::smallest_max_frame;
}

// There is always room: where there is not, the oldest make it.
io_result striped_stream::send_datagram(chain& from) {
    if (from.size() > max_datagram()) {
        session_->engine().abort(id_, {reason::oversize}, session_->now());
        session_->later();
        let_go();
        on_broken({reason::oversize}, {});
        return io_result::broken(why());
    }
    const io_result r =
        session_->engine().send_datagram(id_, std::move(from), ttl_, session_->now());
    if (!r.ok()) {  // the event that says so is on its way
        state_.lower(io_flag::writable);
        return io_result::again();
    }
    session_->later();
    state_.loop().progress();
    return r;
}

void striped_stream::send_fin() {
    if (state_.has(io_flag::broken) || state_.has(io_flag::fin_wanted)) return;
    state_.raise(io_flag::fin_wanted);
    state_.lower(io_flag::writable);
    if (!session_) return;  // bind() says it
    session_->engine().finish(id_, session_->now());
    session_->later();
}

// -- ending ---------------------------------------------------------------------------------------

void striped_stream::reset() {
    if (state_.has(io_flag::broken)) return;
    const bool finished_both_ways = finished();
    if (session_) {
        if (!ours_ && !state_.has(io_flag::ready))
            session_->engine().refuse(id_, {reason::local_abort}, session_->now());
        else
            session_->engine().abort(id_, {reason::local_abort}, session_->now());
        session_->later();
    }
    let_go();
    if (!finished_both_ways) state_.break_with({reason::local_abort});
}

void striped_stream::accept() {
    check(!ours_, "a stream of our own was accepted");
    if (!session_ || state_.has(io_flag::ready)) return;
    session_->engine().accept(id_, session_->now());
    session_->later();
    on_ready();
}

void striped_stream::refuse(error why) {
    check(!ours_ && !state_.has(io_flag::ready), "a stream was refused that is in use");
    if (!session_) return;
    session_->engine().refuse(id_, why, session_->now());
    session_->later();
    let_go();
    on_broken(why, {});
}

compact_address striped_stream::peer() const noexcept {
    return session_ ? session_->peer_address() : compact_address();
}

void striped_stream::let_go() noexcept {
    hook.unlink();
    wish_.reset();
    if (session_) std::exchange(session_, nullptr)->forget(id_);
}

void striped_stream::ended_one_way() noexcept {
    if (finished()) let_go();
}

// -- events ---------------------------------------------------------------------------------------

void striped_stream::on_ready() {
    wish_.reset();
    state_.raise(io_flag::ready);
    if (!ours_ && !state_.has(io_flag::fin_wanted)) state_.raise(io_flag::writable);
    if (std::exchange(early_data_, false)) state_.raise(io_flag::readable);
}

void striped_stream::on_readable() {
    if (state_.has(io_flag::fin_rcvd)) return;  // recv() was quicker than the event
    if (state_.has(io_flag::ready))
        state_.raise(io_flag::readable);
    else
        early_data_ = true;
}

void striped_stream::on_writable() {
    if (!state_.has(io_flag::fin_wanted)) state_.raise(io_flag::writable);
}

void striped_stream::on_fin_acked() {
    state_.raise(io_flag::fin_sent);
    ended_one_way();
}

void striped_stream::on_broken(error why, chain unread) {
    session_ = nullptr;
    unread_ = std::move(unread);
    hook.unlink();
    wish_.reset();
    state_.break_with(why);
}

void striped_stream::on_completed(chain unread) {
    session_ = nullptr;
    // Its OPEN_OK was overtaken by all the rest.
    if (!state_.has(io_flag::ready)) on_ready();
    state_.raise(io_flag::fin_sent);
    if (state_.has(io_flag::fin_rcvd)) return;
    completed_ = true;
    unread_ = std::move(unread);
    state_.raise(io_flag::readable);
}

void striped_stream::describe(std::string& out) const {
    if (session_number_ == 0) {
        out += "stripe";
        return;
    }
    out += "stripe " + hex8(session_number_) + "/" + std::to_string(id_);
}

}  // namespace libp::stripe
