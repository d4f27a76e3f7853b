// The portable poller: pselect(2). Its cost grows with the highest descriptor and it takes none of
// FD_SETSIZE or above; it is for systems that have nothing better, and for proving that the rest is
// portable.

#include <libp/assert.h>
#include <libp/clock.h>
#include <libp/fd.h>
#include <libp/poller.h>

#include <fcntl.h>
#include <sys/select.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>

namespace libp {

namespace {

bool fits(fd_type fd) noexcept {
    return fd >= 0 && fd < static_cast<fd_type>(FD_SETSIZE);
}

class select_poller final : public poller {
  public:
    select_poller() noexcept {
        FD_ZERO(&want_read_);
        FD_ZERO(&want_write_);
    }

    // False: no descriptors left that select can take.
    bool make_wake_pipe() noexcept {
        int ends[2];
        if (::pipe(ends) != 0) return false;
        wake_read_ = unique_fd(ends[0]);
        wake_write_ = unique_fd(ends[1]);
        for (fd_type fd : ends) {
            if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || set_nonblocking(fd, true)) return false;
        }
        if (!fits(ends[0])) return false;
        FD_SET(ends[0], &want_read_);
        highest_ = ends[0];
        return true;
    }

    error add(poll_slot& slot) override {
        if (slot.fd < 0 || ::fcntl(slot.fd, F_GETFD) == -1) return error_from_errno(EBADF);
        if (!fits(slot.fd)) return {reason::limit, 0};
        if (slots_[index(slot.fd)]) return error_from_errno(EEXIST);
        slots_[index(slot.fd)] = &slot;
        highest_ = std::max(highest_, slot.fd);
        update(slot);
        return {};
    }

    void update(poll_slot& slot) override {
        put(want_read_, slot.fd, slot.interest.has(io_interest::read));
        put(want_write_, slot.fd, slot.interest.has(io_interest::write));
    }

    void remove(poll_slot& slot) override {
        put(want_read_, slot.fd, false);
        put(want_write_, slot.fd, false);
        slots_[index(slot.fd)] = nullptr;
        while (highest_ > wake_read_.get() && !slots_[index(highest_)])
            --highest_;
    }

    void wait(instant deadline, std::vector<poll_event>& out) override {
        fd_set can_read = want_read_;
        fd_set can_write = want_write_;
        timespec left{};
        if (deadline != never) left = until(deadline);
        int found = ::pselect(highest_ + 1, &can_read, &can_write, nullptr,
                              deadline == never ? nullptr : &left, nullptr);
        if (found < 0) {
            check(errno == EINTR, "a descriptor was closed before its watch");
            return;
        }
        if (FD_ISSET(wake_read_.get(), &can_read)) {
            --found;
            swallow_wakes();
        }
        for (fd_type fd = 0; found > 0 && fd <= highest_; ++fd) {
            poll_slot* slot = slots_[index(fd)];
            if (!slot) continue;
            flags<io_ready> ready;
            ready.put(io_ready::read, FD_ISSET(fd, &can_read));
            ready.put(io_ready::write, FD_ISSET(fd, &can_write));
            found -= ready.has(io_ready::read) + ready.has(io_ready::write);
            if (ready.any()) out.push_back({slot, ready});
        }
    }

    void wake() noexcept override {
        const char any = 0;
        // A full pipe fails, and wakes as well as one byte more would.
        while (::write(wake_write_.get(), &any, 1) < 0 && errno == EINTR) {
        }
    }

    instant now() noexcept override { return now_ = monotonic_now(); }
    const char* name() const noexcept override { return "select"; }

  private:
    static std::size_t index(fd_type fd) noexcept { return static_cast<std::size_t>(fd); }

    static void put(fd_set& set, fd_type fd, bool on) noexcept {
        if (on)
            FD_SET(fd, &set);
        else
            FD_CLR(fd, &set);
    }

    // The system need not take more than 31 days; a wait that ends too early is legal.
    timespec until(instant deadline) const noexcept {
        if (deadline <= now_) return {};
        const duration left = std::min<duration>(deadline - now_, 31 * 24h);
        const auto whole = std::chrono::duration_cast<std::chrono::seconds>(left);
        timespec t{};
        t.tv_sec = static_cast<std::time_t>(whole.count());
        t.tv_nsec = static_cast<long>((left - whole).count());
        return t;
    }

    void swallow_wakes() noexcept {
        char bin[64];
        // What is left after a full read ends the next wait too, which is legal. Nothing but EINTR
        // can go wrong with a readable pipe of our own.
        while (::read(wake_read_.get(), bin, sizeof bin) < 0 && errno == EINTR) {
        }
    }

    instant now_ = monotonic_now();
    unique_fd wake_read_, wake_write_;
    fd_type highest_ = no_fd;  // of those watched and the wake pipe
    fd_set want_read_, want_write_;
    std::array<poll_slot*, FD_SETSIZE> slots_{};  // by descriptor
};

}  // namespace

std::unique_ptr<poller> make_select_poller() {
    auto p = std::make_unique<select_poller>();
    if (!p->make_wake_pipe()) return nullptr;
    return p;
}

}  // namespace libp
