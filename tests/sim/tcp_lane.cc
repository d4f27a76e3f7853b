#include "sim/tcp_lane.h"

#include <algorithm>
#include <utility>

namespace libp::sim {

tcp_lane::tcp_lane(timeline& time, bottleneck& ahead, bottleneck& back, const tcp_options& o)
    : host(time),
      ahead_(ahead),
      back_(back),
      options_(o),
      cubic_(o.hystart),
      window_(static_cast<double>(o.first_window)) {
    if (o.congestion == congestion_control::bbr)
        model_.emplace(segment, window_ * segment, id() % 6 + 2);
}

void tcp_lane::send(chain& data) {
    while (!data.empty() && unsent() < lowat_) {
        const std::size_t n = std::min(data.size(), largest_write);
        data.move_front(undelivered_, n);
        written_ += n;
    }
    writable_ = data.empty();
    output();
}

void tcp_lane::arrived(const packet& p) {
    switch (p.what) {
        case packet::kind::data:
            if (receiver_gone) {
                if (on_refused) on_refused();
            } else {
                receive(p);
            }
            break;
        case packet::kind::ack:
            if (!sender_gone_) acknowledge(p);
            break;
        case packet::kind::reset:
            if (!receiver_gone && on_reset) on_reset();
            break;
    }
}

void tcp_lane::receive(const packet& p) {
    const bool in_order = p.begin == received_ && parked_.empty();
    packet ack{.to = id(),
               .what = packet::kind::ack,
               .size = ack_size,
               .number = p.number,
               .sent = p.sent};
    if (p.end > received_) {
        auto at = parked_.emplace(p.begin, p.end).first;
        at->second = std::max(at->second, p.end);
        merge(at);
        ack.begin = at->first;
        ack.end = at->second;
        if (at->first <= received_) {
            const std::uint64_t n = at->second - received_;
            received_ = at->second;
            parked_.erase(at);
            chain data;
            undelivered_.move_front(data, n);
            ack.next = received_;
            if (p.ask || !in_order) back_.enter(ack);
            if (on_bytes) on_bytes(std::move(data));
            return;
        }
    }
    ack.next = received_;
    back_.enter(ack);
}

void tcp_lane::merge(std::map<std::uint64_t, std::uint64_t>::iterator& at) {
    if (at != parked_.begin()) {
        auto before = std::prev(at);
        if (before->second >= at->first) {
            before->second = std::max(before->second, at->second);
            parked_.erase(at);
            at = before;
        }
    }
    for (auto after = std::next(at); after != parked_.end() && after->first <= at->second;
         after = parked_.erase(after))
        at->second = std::max(at->second, after->second);
}

void tcp_lane::acknowledge(const packet& p) {
    measure(now() - p.sent);
    newest_ = std::max(newest_, p.number);
    std::uint64_t gone = 0;
    const bool advanced = !out_.empty() && p.next > out_.front().begin;
    while (!out_.empty() && out_.front().end <= p.next) {
        gone += settle(out_.front());
        if (out_.front().arrived) --holes_;
        out_.pop_front();
    }
    if (p.end > p.next)
        for (auto at = find(p.begin); at != out_.end() && at->end <= p.end; ++at) {
            if (at->arrived) continue;
            gone += settle(*at);
            at->arrived = true;
            ++holes_;
        }
    if (advanced) backoff_ = 0, probed_ = false;
    find_losses();
    if (recovering_ && (out_.empty() || out_.front().begin >= recover_)) recovering_ = false;
    if (model_ && gone > 0) {
        model_->on_ack(now() - p.sent, lost_ > 0, flying_, now());
        window_ = model_->window() / segment;
    } else if (!recovering_ && gone > 0) {
        window_ = cubic_.grown(window_, static_cast<double>(gone) / segment,
                               use_.limited(window_, cubic_), rtt_min_, now());
    }
    if (out_.empty())
        deadline_ = never;
    else if (gone > 0)
        arm();
    output();
    wake();
}

std::uint64_t tcp_lane::settle(piece& s) {
    if (s.arrived) return 0;
    if (!s.lost) flying_ -= s.size();
    if (s.lost) lost_ -= 1;
    s.lost = false;
    if (model_) model_->on_arrived(s.mark, s.size());
    return s.size();
}

std::deque<tcp_lane::piece>::iterator tcp_lane::find(std::uint64_t begin) {
    return std::lower_bound(out_.begin(), out_.end(), begin,
                            [](const piece& s, std::uint64_t at) { return s.begin < at; });
}

void tcp_lane::find_losses() {
    if (holes_ == 0 && (out_.empty() || out_.front().number >= newest_)) return;
    for (piece& s : out_) {
        if (s.arrived || s.lost || s.number >= newest_) continue;
        lose(s);
        if (!recovering_) slow_down();
    }
}

void tcp_lane::lose(piece& s) {
    s.lost = true;
    lost_ += 1;
    flying_ -= s.size();
}

void tcp_lane::slow_down() {
    recovering_ = true;
    recover_ = next_;
    if (model_) return;
    window_ = cubic_.reduced(window_);
}

void tcp_lane::measure(duration rtt) {
    if (srtt_ == duration{0}) {
        srtt_ = rtt;
        rttvar_ = rtt / 2;
    } else {
        const duration off = rtt > srtt_ ? rtt - srtt_ : srtt_ - rtt;
        rttvar_ += (off - rttvar_) / 4;
        srtt_ += (rtt - srtt_) / 8;
    }
    rtt_min_ = rtt_min_ == duration{0} ? rtt : std::min(rtt_min_, rtt);
    if (model_) return;
    cubic_.on_round_trip(window_, rtt, rtt_min_, acknowledged(), next_);
}

void tcp_lane::output() {
    if (sender_gone_) return;
    if (!model_ && out_.empty() && next_ < written_)
        window_ = use_.idled(window_, now() - sent_at_, cubic_, rto(), now());
    bool any = false;
    while (room()) {
        if (model_ && model_->next() > now() && (lost_ > 0 || next_ < written_)) {
            pace();
            break;
        }
        if (lost_ > 0) {
            const auto at =
                std::find_if(out_.begin(), out_.end(), [](const piece& s) { return s.lost; });
            at->lost = false;
            lost_ -= 1;
            transmit(*at, true);
        } else if (next_ < written_) {
            const std::uint64_t n = std::min<std::uint64_t>(segment, written_ - next_);
            out_.push_back({next_, next_ + n, 0});
            next_ += n;
            transmit(out_.back(), false);
        } else {
            if (model_) model_->on_starved(flying_);
            break;
        }
        any = true;
    }
    if (any || !room())
        window_ = use_.sent(window_, static_cast<double>(out_.size()), !room(), acknowledged(),
                            next_, cubic_, model_ || recovering_, rto(), now());
    if (any) arm();
}

void tcp_lane::pace() {
    if (std::exchange(paced_, true)) return;
    schedule(model_->next(), pacing);
}

void tcp_lane::transmit(piece& s, bool again) {
    s.number = ++transmissions_;
    if (model_) s.mark = model_->on_sent(s.size(), flying_, now());
    flying_ += s.size();
    sent_at_ = now();
    if (again) ++retransmitted;
    const bool more = room() && (lost_ > 0 || next_ < written_);
    ahead_.enter({.to = id(),
                  .what = packet::kind::data,
                  .ask = again || !more || s.number % 2 == 0,
                  .size = s.size() + overhead,
                  .begin = s.begin,
                  .end = s.end,
                  .number = s.number,
                  .sent = now()});
}

void tcp_lane::wake() {
    if (writable_ || unsent() * 2 >= lowat_) return;
    writable_ = true;
    if (on_writable) on_writable();
}

duration tcp_lane::rto() const noexcept {
    const duration base =
        srtt_ == duration{0} ? duration{1s} : std::max(options_.rto_min, srtt_ + 4 * rttvar_);
    return std::min(base * (std::int64_t{1} << std::min(backoff_, 20)), options_.rto_max);
}

void tcp_lane::arm() {
    deadline_ = now() + rto();
    if (!probed_ && !recovering_ && backoff_ == 0 && srtt_ > duration{0})
        deadline_ = std::min(deadline_, now() + std::max(2 * srtt_, duration{10ms}));
    if (deadline_ < scheduled_) {
        scheduled_ = deadline_;
        schedule(deadline_, timeout);
    }
}

void tcp_lane::on_time(int what) {
    if (what == pacing) {
        paced_ = false;
        output();
        return wake();
    }
    if (now() < scheduled_) return;
    scheduled_ = never;
    if (deadline_ == never || sender_gone_) return;
    if (now() < deadline_) {
        scheduled_ = deadline_;
        schedule(deadline_, timeout);
        return;
    }
    if (!probed_ && !recovering_ && backoff_ == 0) {
        probed_ = true;
        const auto last = std::find_if(out_.rbegin(), out_.rend(),
                                       [](const piece& s) { return !s.arrived && !s.lost; });
        if (last != out_.rend()) {
            flying_ -= last->size();
            transmit(*last, true);
        }
    } else {
        ++timeouts;
        if (backoff_ == 0) slow_down();
        for (piece& s : out_)
            if (!s.arrived && !s.lost) lose(s);
        window_ = 1;  // a model opens it again with the next acknowledgement
        recovering_ = false;
        cubic_.on_timeout();
        ++backoff_;
        output();
    }
    arm();
}

}  // namespace libp::sim
