#include <libp/endpoint.h>

namespace libp {

std::string endpoint::to_string() const {
    return is_unix() ? unix_path : where.to_string();
}

bool endpoint::is_path(std::string_view text) noexcept {
    return text.starts_with('/') || text.starts_with("./") || text.starts_with('@');
}

result<endpoint> endpoint::parse(std::string_view text, std::string_view default_port) {
    endpoint e;
    if (is_path(text)) {
        // Whether it fits a socket's address is best said now, not at the first connect.
        if (result<socket_address> at = socket_address::from_path(text); !at) return at.error();
        e.unix_path = text;
        return e;
    }
    result<host_port> split = split_host_port(text, true);
    if (!split) return split.error();
    e.where = std::move(*split);
    if (e.where.host == "*") e.where.host.clear();
    if (e.where.port.empty()) e.where.port = default_port;
    if (e.where.port.empty()) return error{reason::invalid, 0};
    return e;
}

}  // namespace libp
