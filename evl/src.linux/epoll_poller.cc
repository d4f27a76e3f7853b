// The poller of Linux: epoll(7), level-triggered.

#include <libp/assert.h>
#include <libp/clock.h>
#include <libp/fd.h>
#include <libp/poller.h>

#include <linux/time_types.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>

namespace libp {

namespace {

// epoll reports errors and hang-ups whether asked to or not, again and again. Without interest the
// registration is therefore one-shot: the first such report, which nobody gets to see, disables it,
// and the next interest, by modifying it, finds the condition still there. Modifying needs no
// memory, so it cannot fail as removing and adding again could.
std::uint32_t mask_of(flags<io_interest> interest) noexcept {
    if (interest.none()) return EPOLLONESHOT;
    std::uint32_t mask = 0;
    if (interest.has(io_interest::read)) mask |= EPOLLIN;
    if (interest.has(io_interest::write)) mask |= EPOLLOUT;
    return mask;
}

// An error or a hang-up is readable and writable: receiving or sending tells which. A hang-up
// alone, as where both sides have ended, is no failure: there is no error to ask for.
flags<io_ready> ready_of(std::uint32_t mask, flags<io_interest> interest) noexcept {
    flags<io_ready> ready;
    if (interest.has(io_interest::read) && (mask & (EPOLLIN | EPOLLERR | EPOLLHUP)))
        ready.set(io_ready::read);
    if (interest.has(io_interest::write) && (mask & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
        ready.set(io_ready::write);
    if (mask & EPOLLERR) ready.set(io_ready::failed);
    return ready;
}

class epoll_poller final : public poller {
  public:
    // False: the system refuses.
    bool make() noexcept {
        epoll_ = unique_fd(::epoll_create1(EPOLL_CLOEXEC));
        wake_ = unique_fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        if (!epoll_ || !wake_) return false;
        // Edge-triggered: every write is reported once, and the counter never has to be read.
        epoll_event e{};
        e.events = EPOLLIN | EPOLLET;
        e.data.ptr = nullptr;
        return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &e) == 0;
    }

    error add(poll_slot& slot) override {
        if (control(EPOLL_CTL_ADD, slot) == 0) return {};
        if (errno == EPERM) return {reason::unsupported, EPERM};
        if (errno == ENOSPC || errno == ENOMEM) return {reason::limit, errno};
        return error_from_errno(errno);
    }

    void update(poll_slot& slot) override {
        check(control(EPOLL_CTL_MOD, slot) == 0, "a descriptor was closed before its watch");
    }

    void remove(poll_slot& slot) override {
        // Fails if the descriptor was closed before: then it is off already.
        control(EPOLL_CTL_DEL, slot);
    }

    void wait(instant deadline, std::vector<poll_event>& out) override {
        const int found = wait_until(deadline);
        if (found < 0) {
            check(errno == EINTR, "epoll failed to wait");
            return;
        }
        for (int i = 0; i < found; ++i) {
            const epoll_event& e = events_[static_cast<std::size_t>(i)];
            auto* slot = static_cast<poll_slot*>(e.data.ptr);
            if (!slot || slot->interest.none()) continue;
            out.push_back({slot, ready_of(e.events, slot->interest)});
        }
    }

    void wake() noexcept override {
        const std::uint64_t one = 1;
        // Cannot block short of 2^64 wakes.
        while (::write(wake_.get(), &one, sizeof one) < 0 && errno == EINTR) {
        }
    }

    instant now() noexcept override { return now_ = monotonic_now(); }
    const char* name() const noexcept override { return "epoll"; }

  private:
    static constexpr int batch = 256;

    int control(int what, poll_slot& slot) noexcept {
        epoll_event e{};
        e.events = mask_of(slot.interest);
        e.data.ptr = &slot;
        return ::epoll_ctl(epoll_.get(), what, slot.fd, &e);
    }

    int wait_until(instant deadline) noexcept {
        if (deadline == never) return ::epoll_wait(epoll_.get(), events_.data(), batch, -1);
        if (deadline <= now_) return ::epoll_wait(epoll_.get(), events_.data(), batch, 0);
        const duration left = deadline - now_;
#ifdef SYS_epoll_pwait2
        if (precise_) {
            const auto whole = std::chrono::duration_cast<std::chrono::seconds>(left);
            const __kernel_timespec t{whole.count(), (left - whole).count()};
            const long found = ::syscall(SYS_epoll_pwait2, epoll_.get(), events_.data(), batch, &t,
                                         nullptr, std::size_t{0});
            if (found >= 0 || errno != ENOSYS) return static_cast<int>(found);
            precise_ = false;  // a kernel before 5.11
        }
#endif
        // Rounded up: rounded down, a timer due within the millisecond would spin until it is.
        const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
        return ::epoll_wait(epoll_.get(), events_.data(), batch,
                            static_cast<int>(std::min<std::int64_t>(ms, INT_MAX)));
    }

    instant now_ = monotonic_now();
    unique_fd epoll_, wake_;
    [[maybe_unused]] bool precise_ = true;
    std::array<epoll_event, batch> events_;
};

}  // namespace

std::unique_ptr<poller> make_epoll_poller() {
    auto p = std::make_unique<epoll_poller>();
    if (!p->make()) return nullptr;
    return p;
}

}  // namespace libp
