#include <libp/signal_watch.h>

namespace libp {

signal_watch::signal_watch(event_loop& loop, std::initializer_list<int> signals,
                           delegate<void(int)> call)
    : pipe_(signals), call_(call) {
    const error e = watch_.open(loop, pipe_.fd(),
                                delegate<void(flags<io_ready>)>::to<&signal_watch::on_ready>(*this),
                                io_interest::read);
    check(!e, "the signal pipe cannot be watched: create it before other descriptors run out");
}

void signal_watch::on_ready(flags<io_ready>) {
    // One signal a turn, as the last statement: the callback may destroy this watch, and the loop
    // calls again for what is left.
    if (const auto signal = pipe_.take()) call_(*signal);
}

}  // namespace libp
