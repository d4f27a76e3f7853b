#include <kit/stripe_program.h>

#include <libp/endian.h>

#include <algorithm>
#include <filesystem>
#include <utility>

namespace libp::app {

namespace {

// FNV-1a.
std::uint64_t hash_of(std::string_view text) noexcept {
    std::uint64_t h = 0xcbf29ce484222325;
    for (const char c : text)
        h = (h ^ static_cast<std::uint8_t>(c)) * 0x100000001b3;
    return h;
}

constexpr std::pair<std::string_view, stripe::scheduler> schedulers[] = {
    {"auto", stripe::scheduler::automatic},        {"rr", stripe::scheduler::round_robin},
    {"congestion", stripe::scheduler::congestion}, {"redundant", stripe::scheduler::redundant},
    {"backup", stripe::scheduler::backup},
};

}  // namespace

std::optional<stripe::scheduler> scheduler_called(std::string_view name) {
    for (const auto& [called, s] : schedulers)
        if (called == name) return s;
    return std::nullopt;
}

std::string_view name_of(stripe::scheduler scheduler) {
    for (const auto& [called, s] : schedulers)
        if (s == scheduler) return called;
    return {};
}

std::array<std::uint8_t, 16> server_node_id(const std::string& machine,
                                            const std::vector<stack_spec>& listen) {
    std::array<std::uint8_t, 16> id{};
    std::string where;
    // Without a current folder there is no such socket either.
    std::error_code nowhere;
    for (const stack_spec& at : listen) {
        if (!at.address.is_unix() && at.address.where.port == "0") return id;
        where += "|" + (at.address.is_unix() && at.address.unix_path[0] != '@'
                            ? std::filesystem::absolute(at.address.unix_path, nowhere)
                                  .lexically_normal()
                                  .string()
                            : at.address.to_string());
    }
    if (machine.empty()) return id;
    store_be64(id.data(), hash_of(machine + where));
    store_be64(id.data() + 8, hash_of(where));
    return id;
}

resource_limits stripe_limits(const stripe_settings& settings, const tls_limits& tls,
                              std::size_t datagrams) {
    const std::size_t fds = usable_fds();
    // Subflows, those shaking hands among them. Where descriptors are scarce there are fewer.
    std::size_t subflow_fds = std::min<std::size_t>(2 * most_subflows, fds / 4);
    return limits_for({.max_conns = settings.common.max_conns,
                       .max_memory = (settings.common.max_memory - tls.memory) / 2,
                       .fds = fds,
                       .reserved = subflow_fds,
                       .overlay = tls.overlay + datagrams});
}

tcp_options subflow_tcp_options(const stripe_settings& settings) {
    tcp_options options = settings.common.tcp;
    // A path that was down for ten seconds is in use again a second after it is back.
    options.rto_max = 1s;
    return options;
}

stripe::node_options stripe_node_options(const stripe_settings& settings, const tls_limits& tls) {
    stripe::node_options options;
    options.memory_budget = (settings.common.max_memory - tls.memory) / 2;
    options.handshake_timeout = settings.common.handshake_timeout;
    options.resume = settings.resume;
    options.max_subflows = most_subflows;
    options.engine.scheduler = settings.scheduler;
    return options;
}

void log_subflows(const log& out, const stripe::node& of) {
    for (const stripe::subflow_info& s : of.subflows())
        out.answer("status", {{"subflow", stripe::hex8(s.id)},
                              {"session", stripe::hex8(s.session)},
                              {"path", s.path},
                              {"up", s.up ? "yes" : "no"},
                              {"state", s.up ? stripe::name_of(s.stats.state) : "down"},
                              {"sent", s.stats.sent_bytes},
                              {"received", s.stats.received_bytes},
                              {"resent", s.stats.resent},
                              {"in_flight", s.stats.in_flight},
                              {"rate", static_cast<std::uint64_t>(s.stats.rate)},
                              {"rtt", seconds(s.stats.srtt)}});
}

}  // namespace libp::app
