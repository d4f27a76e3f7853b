#include "sim/tcp_flow.h"

#include <utility>

namespace libp::stripe::sim {

tcp_flow::tcp_flow(timeline& time, link_user& user, subflow_id id, libp::sim::route& over,
                   const libp::sim::tcp_options& o)
    : lanes_{{time, over.lines[0], over.lines[1], o}, {time, over.lines[1], over.lines[0], o}} {
    for (int from : {0, 1}) {
        lanes_[from].on_bytes = [this, &user, id, from](chain&& data) {
            if (flip_[from] > 0) flip(from, data);
            user.on_bytes(id, 1 - from, std::move(data));
        };
        lanes_[from].on_writable = [&user, id, from] { user.on_writable(id, from); };
        lanes_[from].on_reset = [&user, id, from] { user.on_death(id, 1 - from); };
        lanes_[from].on_refused = [this, from] { lanes_[1 - from].send_reset(); };
    }
}

void tcp_flow::close(int side) {
    lanes_[1 - side].receiver_gone = true;
    lanes_[side].reset_by_sender();
}

void tcp_flow::flip(int from, chain& data) {
    if (flip_[from] > data.size()) {
        flip_[from] -= data.size();
        return;
    }
    // The sender's own copy stays as it is.
    const std::size_t at = std::exchange(flip_[from], 0) - 1;
    chain out;
    data.move_front(out, at);
    std::uint8_t byte = 0;
    data.copy_out({&byte, 1});
    data.drop_front(1);
    byte ^= static_cast<std::uint8_t>(1u << (at % 8));
    out.append_copy(pool_, {&byte, 1});
    out.append(std::move(data));
    data = std::move(out);
}

}  // namespace libp::stripe::sim
