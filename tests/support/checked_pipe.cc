#include "support/checked_pipe.h"

#include <gtest/gtest.h>

#include <string>

namespace libp {
namespace {

std::string text_of_flags(io_flags f) {
    const char* const names[] = {"ready",    "readable", "writable", "fin_wanted",
                                 "fin_sent", "fin_rcvd", "broken"};
    std::string s = "{";
    for (int bit = 0; bit < 7; ++bit)
        if (f.has(static_cast<io_flag>(1 << bit))) s += std::string(" ") + names[bit];
    return s + " }";
}

class checked_pipe final : public io_pipe {
  public:
    checked_pipe(std::unique_ptr<io_pipe> lower, bool early)
        : lower_(std::move(lower)), early_(early), last_(lower_->state()) {
        // The handler is ours from the start, so that what rises meanwhile is known.
        lower_->attach(io_handler::to<&checked_pipe::on_lower>(*this));
        owed_ = last_;
    }
    ~checked_pipe() override {
        expect(!in_handler_, "destroyed inside its own handler");
        expect(!in_call_, "destroyed inside a call");
    }

    io_kind kind() const noexcept override { return lower_->kind(); }
    std::size_t max_datagram() const noexcept override { return lower_->max_datagram(); }
    void attach(io_handler handler) override;
    io_flags state() const noexcept override { return lower_->state(); }
    io_result recv(chain& to, std::size_t max) override;
    io_result send(chain& from) override;
    void send_fin() override;
    void reset() override;
    error why() const noexcept override { return lower_->why(); }
    void describe(std::string& out) const override { lower_->describe(out); }
    std::string peer_identity() const override { return lower_->peer_identity(); }
    void keep_unsent(std::size_t bytes) override { lower_->keep_unsent(bytes); }
    bool get_tcp_state(tcp_state& to) const noexcept override { return lower_->get_tcp_state(to); }
    bool can_splice() const noexcept override { return lower_->can_splice(); }
    io_result recv_spliced(splice_pipe& to, std::size_t max) override;
    io_result send_spliced(splice_pipe& from) override;

  private:
    void expect(bool holds, const std::string& what) const {
        if (!holds)
            ADD_FAILURE() << "contract: " << libp::describe(*lower_) << ": " << what
                          << ", up: " << text_of_flags(lower_->state())
                          << ", were: " << text_of_flags(last_);
    }
    void look();
    void enter(const char* call);
    void leave(const char* call, io_flags may_fall);
    void check_recv(const io_result& r);
    void check_send(const io_result& r);
    void check_levels() const;
    void on_lower(io_flags risen);

    std::unique_ptr<io_pipe> lower_;
    const bool early_;
    io_handler handler_;
    io_flags last_;      // as they were when last looked at
    io_flags owed_{};    // rose outside calls, or are up since before attach: must be told
    io_flags untold_{};  // rose inside calls: may be told
    error why_{};        // once broken
    bool recv_broken_ = false;
    bool told_broken_ = false;
    bool in_call_ = false;
    bool in_handler_ = false;
};

// -- what may change when -------------------------------------------------------------------------

// Between calls flags only rise, but for writable, which a break takes down.
void checked_pipe::look() {
    const io_flags now = lower_->state();
    const io_flags may_fall = now.has(io_flag::broken) ? io_flags(io_flag::writable) : io_flags{};
    expect((last_ - now - may_fall).none(), "a flag fell outside a call");
    owed_.set(now - last_);
    owed_ = owed_ & now;
    last_ = now;
    check_levels();
}

void checked_pipe::check_levels() const {
    const io_flags f = last_;
    const bool may_send =
        (early_ || f.has(io_flag::ready)) && !f.has(io_flag::fin_wanted) && !f.has(io_flag::broken);
    expect(!f.has(io_flag::writable) || may_send, "writable although nothing may be sent");
    expect(!f.has(io_flag::fin_sent) || f.has(io_flag::fin_wanted), "fin_sent but never wanted");
    expect(f.has(io_flag::broken) == bool(why()), "why() and broken do not agree");
    expect(!why_ || why_ == why(), "the reason for the break changed");
}

void checked_pipe::enter(const char* call) {
    expect(!in_call_, std::string("a call inside a call: ") + call);
    look();
    why_ = why();
    in_call_ = true;
}

void checked_pipe::leave(const char* call, io_flags may_fall) {
    in_call_ = false;
    const io_flags now = lower_->state();
    if (now.has(io_flag::broken)) may_fall.set(io_flag::writable);
    expect((last_ - now - may_fall).none(), std::string("a flag fell that may not in ") + call);
    untold_.set(now - last_);
    untold_ = untold_ & now;
    owed_ = owed_ & now;
    last_ = now;
    check_levels();
}

void checked_pipe::on_lower(io_flags risen) {
    expect(!in_call_, "the handler was called inside a call");
    expect(!in_handler_, "the handler was called inside the handler");
    look();
    expect(risen.any(), "the handler was called for nothing");
    expect((risen - lower_->state()).none(),
           "told of a flag that is down: " + text_of_flags(risen));
    expect((owed_ - risen).none(), "not told of " + text_of_flags(owed_ - risen));
    const io_flags known = owed_ | untold_;
    expect((risen - known).none(), "told again of " + text_of_flags(risen - known));
    expect(!told_broken_, "called after it was told that the pipe broke");
    told_broken_ = risen.has(io_flag::broken);
    untold_ = untold_ - risen;
    owed_ = {};
    if (!handler_) return;
    const io_handler handler = handler_;
    in_handler_ = true;
    handler(risen);
    in_handler_ = false;
}

// -- calls ----------------------------------------------------------------------------------------

void checked_pipe::attach(io_handler handler) {
    enter("attach");
    handler_ = handler;
    lower_->attach(io_handler::to<&checked_pipe::on_lower>(*this));
    leave("attach", {});
    owed_ = last_;  // the first mask has all that is up
    untold_ = {};
    told_broken_ = false;
}

io_result checked_pipe::recv(chain& to, std::size_t max) {
    const std::size_t before = to.size();
    const bool had_fin = has(io_flag::fin_rcvd);
    enter("recv");
    const io_result r = lower_->recv(to, max);
    leave("recv", io_flag::readable);
    expect(to.size() - before == r.bytes, "recv gave other than it said");
    expect(!had_fin || !r.ok(), "data after the FIN");
    const bool stream = kind() == io_kind::stream;
    if (r.ok() && stream) {
        expect(r.bytes > 0, "recv on a stream was ok with no bytes");
        expect(r.bytes <= max, "recv gave more than was asked for");
        expect(r.bytes < max || has(io_flag::readable), "readable fell though recv gave all");
    }
    check_recv(r);
    return r;
}

io_result checked_pipe::recv_spliced(splice_pipe& to, std::size_t max) {
    enter("recv_spliced");
    const io_result r = lower_->recv_spliced(to, max);
    leave("recv_spliced", io_flag::readable);
    if (r.status != io_status::again) check_recv(r);
    return r;
}

void checked_pipe::check_recv(const io_result& r) {
    expect(!recv_broken_ || r.status == io_status::broken, "recv went on after broken");
    switch (r.status) {
        case io_status::ok:
            break;
        case io_status::again:
            expect(!has(io_flag::readable), "readable after again");
            expect(!has(io_flag::broken), "again from a broken pipe");
            break;
        case io_status::fin:
            expect(has(io_flag::fin_rcvd), "fin without fin_rcvd");
            expect(!has(io_flag::readable), "readable after fin");
            break;
        case io_status::broken:
            recv_broken_ = true;
            expect(has(io_flag::broken), "recv says broken, the flag does not");
            expect(r.why == why(), "recv and why() give different reasons");
            expect(!has(io_flag::readable), "readable after broken");
            break;
    }
    expect(r.ok() || r.bytes == 0, "bytes without ok");
}

io_result checked_pipe::send(chain& from) {
    const std::size_t before = from.size();
    expect(!has(io_flag::fin_wanted) || has(io_flag::broken), "CONSUMER: send after send_fin");
    enter("send");
    const io_result r = lower_->send(from);
    leave("send", io_flag::writable);
    if (r.status != io_status::broken)
        expect(before - from.size() == r.bytes, "send took other than it said");
    if (r.ok() && kind() == io_kind::datagram) expect(from.empty(), "part of a datagram was sent");
    if (r.ok() && !from.empty())
        expect(!has(io_flag::writable), "writable though send took less than it was given");
    check_send(r);
    return r;
}

io_result checked_pipe::send_spliced(splice_pipe& from) {
    enter("send_spliced");
    const io_result r = lower_->send_spliced(from);
    leave("send_spliced", io_flag::writable);
    check_send(r);
    return r;
}

void checked_pipe::check_send(const io_result& r) {
    expect(r.status != io_status::fin, "send returned fin");
    if (r.status == io_status::again) expect(!has(io_flag::writable), "writable after again");
    if (r.status == io_status::broken) {
        expect(has(io_flag::broken), "send says broken, the flag does not");
        expect(r.why == why(), "send and why() give different reasons");
    }
}

void checked_pipe::send_fin() {
    enter("send_fin");
    lower_->send_fin();
    leave("send_fin", io_flag::writable);
    expect(has(io_flag::fin_wanted) || has(io_flag::broken), "send_fin left fin_wanted down");
}

void checked_pipe::reset() {
    const bool was_broken = has(io_flag::broken);
    enter("reset");
    lower_->reset();
    leave("reset", io_flag::writable);
    expect(has(io_flag::broken), "not broken after reset");
    expect(was_broken || why().why == reason::local_abort, "reset is no local_abort");
}

}  // namespace

std::unique_ptr<io_pipe> make_checked_pipe(std::unique_ptr<io_pipe> lower, bool early) {
    return std::make_unique<checked_pipe>(std::move(lower), early);
}

}  // namespace libp
