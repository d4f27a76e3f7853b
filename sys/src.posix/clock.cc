#include <libp/assert.h>
#include <libp/clock.h>

#include <time.h>

#include <cstdio>

namespace libp {

namespace {

timespec read_clock(clockid_t id) noexcept {
    timespec t{};
    check(clock_gettime(id, &t) == 0, "the system has no such clock");
    return t;
}

}  // namespace

instant monotonic_now() noexcept {
    const timespec t = read_clock(CLOCK_MONOTONIC);
    return instant(std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec));
}

std::string wall_clock_text() {
    const timespec t = read_clock(CLOCK_REALTIME);
    tm utc{};
    check(gmtime_r(&t.tv_sec, &utc) != nullptr, "the year is out of range");
    char text[80];
    std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", utc.tm_year + 1900,
                  utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                  static_cast<int>(t.tv_nsec / 1'000'000));
    return text;
}

std::int64_t wall_clock_us() noexcept {
    const timespec t = read_clock(CLOCK_REALTIME);
    return static_cast<std::int64_t>(t.tv_sec) * 1'000'000 + t.tv_nsec / 1'000;
}

}  // namespace libp
