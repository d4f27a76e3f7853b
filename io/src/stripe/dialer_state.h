#pragma once

// The dialer's state, shared by the files that implement it:
//
//     dialer.cc        places, and dialling again
//     dialer_trial.cc  dealing subflows anew
//     redeal.h         ... and the choice behind it

#include <libp/event_loop.h>
#include <libp/stripe/dialer.h>

#include <deque>
#include <memory>
#include <random>
#include <utility>
#include <vector>

namespace libp::stripe {

// A place is where one subflow belongs: it goes round waiting -> queued -> connecting -> joining ->
// up.
struct dialer::core {
    struct place;
    struct route {
        stripe::path path;
        bool announced = false;   // the peer is to know it by name
        bool failing = false;     // logged, and nothing has come up since
        bool has_worked = false;  // a subflow of it was up once
        bool hopeless = false;    // tried since somebody last began to wait, and would fail again
        unsigned died_young = 0;  // subflows that were up and did not live, since one did
        error failure{};          // of the last try; none: it worked
        std::size_t up = 0;
        // While there is no way through, the one place that tries; the others wait for it, without
        // a timer.
        place* probe = nullptr;
        // One more than asked for, for when those that are up are silent. It takes the place of the
        // first that dies.
        place* spare = nullptr;
        instant gives_again_at{};  // it gave one away, and that did not pay

        bool down() const noexcept { return up == 0 && (failing || has_worked); }
    };
    enum class phase : std::uint8_t { waiting, queued, connecting, joining, up, stopped };

    struct place {
        place(core& o, route& r, std::uint64_t n)
            : of(o),
              over(r),
              token(n),
              due(o.loop, delegate<void()>::to<&place::on_due>(*this)),
              wait(o.options.first_wait) {}
        void on_due() { of.enqueue(*this); }
        void on_connected(result<std::unique_ptr<io_pipe>> r) { of.connected(*this, std::move(r)); }

        core& of;
        route& over;
        const std::uint64_t token;
        phase now = phase::waiting;
        timer due;
        duration wait;
        instant up_since{}, failed_at{};
        subflow_limit limit = subflow_limit::unknown;
        bool leaving = false;  // it is one too many: given up as soon as it is up
        std::unique_ptr<io_connector> connecting;
    };

    core(event_loop& l, resolver& r, node& n, const log& o, std::vector<path> paths,
         const dialer_options& opts, dialer& self);

    void add_routes(std::vector<path> paths);
    void add_places();
    void enqueue(place& p);
    void launch();
    void dial(place& p);
    void connected(place& p, result<std::unique_ptr<io_pipe>> r);
    void ready(place& p);
    void gone(place& p, error why);
    void failed(place& p, error why);
    bool probes(const place& p) const noexcept;
    bool hopeless() const noexcept;
    void hurry();
    void dial_spares();
    place& vacant_place(route& r);

    // A place comes, and when it is up another leaves.
    struct deal {
        place* comes;
        place* leaves;
        bool made = false;  // it came, and the other was told to leave
    };
    // Of a trial: counting before, waiting until it has settled, counting after.
    enum class trial : std::uint8_t { none, before, settling, after };

    std::vector<std::pair<route*, route*>> possible_deals();
    void consider_deals();
    void on_trial();
    void make(route& from, route& over, const char* why);
    bool is_newcomer(const place& p) const noexcept;
    void give_up(place& p);
    void leave_for(place& p);
    void judge(double rate);
    duration jittered(duration d);

    event_loop& loop;
    resolver& names;
    node& to;
    const log& out;
    const dialer_options options;
    dialer& owner;
    std::vector<route> routes;
    std::vector<std::unique_ptr<place>> places;
    std::deque<place*> queue;
    std::size_t under_way = 0;
    std::minstd_rand random;
    bool stopped = false;

    trial trial_now = trial::none;
    timer trial_due;
    std::vector<deal> deals;
    std::uint64_t carried = 0;  // when this phase of the trial began
    double rate_before = 0;
};

}  // namespace libp::stripe
