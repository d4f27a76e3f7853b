#pragma once

// A path of the lab as the emulator's command line has it, and its values as commands change them:
//
//     RATE/DELAY/QUEUE[,loss=X][,jitter=MS][,flow=RATE][,flowqueue=BYTES][,seed=N]
//
// Mbit/s (0: no limit), ms one way, bytes (K and M are understood). loss is a fraction, or 1%.
// flow: every flow (5-tuple) is held to this rate in a queue of its own, then enters the path's.
// Each value may be UP:DOWN, where up is from client to server.

#include <cstdlib>
#include <string>
#include <string_view>

namespace lab {

// Of one direction.
struct settings {
    double rate = 0, delay = 0, queue = 0, loss = 0, jitter = 0;
    double flow = 0, flowqueue = 256 * 1024, seed = 1;

    double* named(std::string_view name) {
        if (name == "rate") return &rate;
        if (name == "delay") return &delay;
        if (name == "queue") return &queue;
        if (name == "loss") return &loss;
        if (name == "jitter") return &jitter;
        if (name == "flow") return &flow;
        if (name == "flowqueue") return &flowqueue;
        if (name == "seed") return &seed;
        return nullptr;
    }
};

inline bool number(std::string_view text, double& out) {
    const std::string copy(text);
    char* end = nullptr;
    out = std::strtod(copy.c_str(), &end);
    const std::string_view unit = end;
    if (unit == "K") out *= 1024;
    if (unit == "M") out *= 1024 * 1024;
    if (unit == "%") out /= 100;
    return end != copy.c_str() && out >= 0 &&
           (unit.empty() || unit == "K" || unit == "M" || unit == "%");
}

// VALUE or UP:DOWN
inline bool assign(settings& up, settings& down, std::string_view name, std::string_view value) {
    const auto colon = value.find(':');
    const auto second = colon == value.npos ? value : value.substr(colon + 1);
    double *a = up.named(name), *b = down.named(name);
    return a && number(value.substr(0, colon), *a) && number(second, *b);
}

inline bool parse_path(std::string_view text, settings& up, settings& down) {
    const char* positional[] = {"rate", "delay", "queue"};
    const auto comma = text.find(',');
    std::string_view shape = text.substr(0, comma);
    for (const char* name : positional) {
        const auto slash = shape.find('/');
        if (!assign(up, down, name, shape.substr(0, slash))) return false;
        shape = slash == shape.npos ? "0" : shape.substr(slash + 1);
    }
    while (text.find(',') != text.npos) {
        text = text.substr(text.find(',') + 1);
        const std::string_view option = text.substr(0, text.find(','));
        const auto equals = option.find('=');
        if (equals == option.npos) return false;
        if (!assign(up, down, option.substr(0, equals), option.substr(equals + 1))) return false;
    }
    return true;
}

}  // namespace lab
