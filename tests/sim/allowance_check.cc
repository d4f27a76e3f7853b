#include "sim/allowance_check.h"

#include <algorithm>

namespace libp::stripe::sim {

std::string allowance_check::look(const chain& out, const subflow_stats& before,
                                  std::size_t in_flight_after, instant now) {
    frames_.clear();
    std::size_t last = 0;  // the end of the last frame that has to be confirmed
    for (std::size_t at = 0; at < out.size();) {
        std::uint8_t bytes[wire::header_size];
        wire::header h;
        if (out.copy_out(bytes, at) < sizeof bytes || !wire::decode(bytes, h))
            return "transmit() sent what is no frame";
        at += h.frame_size();
        if (at > out.size()) return "transmit() sent part of a frame";
        if (!wire::elicits(h.type)) continue;
        frames_.push_back({h, at});
        last = at;
    }
    std::size_t in_flight = before.in_flight;
    for (const auto& [h, end] : frames_) {
        if (h.type == wire::type::data && !may_go(h, in_flight, before.allowance, now))
            return std::to_string(h.length) + " bytes were sent with " + std::to_string(in_flight) +
                   " in flight, where " + std::to_string(before.allowance) + " are allowed";
        in_flight = in_flight_after - (last - end);
    }
    return {};
}

bool allowance_check::may_go(const wire::header& h, std::size_t in_flight, std::size_t allowance,
                             instant now) {
    bool sparse = false;
    if (!h.has(wire::flag::resent)) {
        usage& u = new_bytes_[h.stream];
        u.recent = std::max(0.0, u.recent - sparse_rate * seconds(now - u.at));
        u.at = now;
        sparse = u.recent <= sparse_burst;
        u.recent += h.length;
    }
    return in_flight == 0 || in_flight + h.length <= allowance ||
           (sparse && in_flight <= allowance + hurry);
}

}  // namespace libp::stripe::sim
