#include <libp/assert.h>
#include <libp/random.h>
#include <libp/stripe/dialer.h>

#include <algorithm>
#include <deque>
#include <random>
#include <utility>

namespace libp::stripe {
namespace {

constexpr std::size_t connects_at_once = 4;
// A subflow that was up for this many first waits has lived: what ended it says nothing about dialling again.
constexpr int first_waits_to_live = 10;

}  // namespace

// A place is where one subflow belongs: it goes round waiting -> queued -> connecting -> joining -> up.
struct dialer::core {
    struct route {
        stripe::path path;
        bool failing = false;  // logged, and nothing has come up since
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
        instant up_since{};
        std::unique_ptr<io_connector> connecting;
    };

    core(event_loop& l, resolver& r, node& n, const log& o, std::vector<path> paths,
         const dialer_options& opts, dialer& self);

    void enqueue(place& p);
    void launch();
    void connected(place& p, result<std::unique_ptr<io_pipe>> r);
    void ready(place& p);
    void gone(place& p, error why);
    void failed(place& p, error why);
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
    error last_failure{};
    std::minstd_rand random;
    bool stopped = false;
};

dialer::core::core(event_loop& l, resolver& r, node& n, const log& o, std::vector<path> paths,
                   const dialer_options& opts, dialer& self)
    : loop(l), names(r), to(n), out(o), options(opts), owner(self) {
    check(!paths.empty(), "a dialer needs a path");
    for (path& p : paths) {
        if (p.name.empty()) p.name = p.to.to_string();
        routes.push_back({std::move(p), false});
    }
    std::uint32_t seed = 0;
    fill_random({reinterpret_cast<std::uint8_t*>(&seed), sizeof seed});
    random.seed(seed);
    const std::size_t count = std::max(options.subflows, routes.size());
    for (std::size_t i = 0; i < count; ++i)
        places.push_back(std::make_unique<place>(*this, routes[i % routes.size()], i));
}

// Uniform in three to five quarters of `d`.
duration dialer::core::jittered(duration d) {
    const double share = static_cast<double>(random() - random.min()) /
                         static_cast<double>(random.max() - random.min());
    return duration(
        static_cast<duration::rep>(static_cast<double>(d.count()) * (0.75 + share / 2)));
}

void dialer::core::enqueue(place& p) {
    p.due.cancel();
    p.now = phase::queued;
    queue.push_back(&p);
    launch();
}

void dialer::core::launch() {
    while (under_way < connects_at_once && !queue.empty()) {
        place& p = *queue.front();
        queue.pop_front();
        ++under_way;
        p.now = phase::connecting;
        connector_options c = options.connect;
        c.socket = p.over.path.socket;
        p.connecting = std::make_unique<io_connector>(
            loop, names, p.over.path.to, c, io_connector::done::to<&place::on_connected>(p));
    }
}

void dialer::core::connected(place& p, result<std::unique_ptr<io_pipe>> r) {
    loop.retire(std::move(p.connecting));
    --under_way;
    if (r) {
        p.now = phase::joining;
        to.adopt(std::move(*r), p.over.path.name, &owner, p.token);
    } else {
        failed(p, r.error());
    }
    launch();
}

void dialer::core::ready(place& p) {
    p.now = phase::up;
    p.up_since = loop.now();
    if (std::exchange(p.over.failing, false))
        out.write(log_level::info, "path", {{"name", p.over.path.name}, {"state", "up"}});
}

void dialer::core::gone(place& p, error why) {
    const bool lived =
        p.now == phase::up && loop.now() - p.up_since >= options.first_wait * first_waits_to_live;
    if (!lived) return failed(p, why);
    p.wait = options.first_wait;
    if (stopped)
        p.now = phase::stopped;
    else
        enqueue(p);
}

void dialer::core::failed(place& p, error why) {
    if (stopped) {
        p.now = phase::stopped;
        return;
    }
    last_failure = why;
    to.connect_failed(why);
    if (!std::exchange(p.over.failing, true))
        out.write(
            log_level::warn, "path",
            {{"name", p.over.path.name}, {"state", "failing"}, {"why", libp::to_string(why)}});
    p.now = phase::waiting;
    p.due.arm_in(jittered(p.wait));
    p.wait = std::min(p.wait * 2, options.longest_wait);
}

dialer::dialer(event_loop& loop, resolver& names, node& to, const log& out, std::vector<path> paths,
               const dialer_options& options)
    : core_(std::make_unique<core>(loop, names, to, out, std::move(paths), options, *this)) {
    for (const auto& p : core_->places)
        core_->enqueue(*p);
}

dialer::~dialer() {
    core_->to.forget_owner(*this);
}

void dialer::retry_now() {
    if (core_->stopped) return;
    for (const auto& p : core_->places) {
        p->wait = core_->options.first_wait;
        if (p->now == core::phase::waiting) core_->enqueue(*p);
    }
}

void dialer::stop() {
    core_->stopped = true;
    core_->queue.clear();
    for (const auto& p : core_->places) {
        if (p->now == core::phase::up || p->now == core::phase::joining) continue;
        if (p->now == core::phase::connecting) --core_->under_way;
        p->due.cancel();
        p->connecting.reset();
        p->now = core::phase::stopped;
    }
}

std::size_t dialer::up() const {
    return static_cast<std::size_t>(std::ranges::count_if(
        core_->places, [](const auto& p) { return p->now == core::phase::up; }));
}

error dialer::last_failure() const {
    return core_->last_failure;
}

void dialer::subflow_ready(std::uint64_t token) {
    core_->ready(*core_->places[token]);
}

void dialer::subflow_gone(std::uint64_t token, error why) {
    core_->gone(*core_->places[token], why);
}

}  // namespace libp::stripe
