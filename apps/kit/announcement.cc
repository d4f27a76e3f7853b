#include <kit/announcement.h>

#include <kit/value_text.h>

#include <libp/block.h>
#include <libp/fd.h>
#include <libp/socket.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <tuple>
#include <utility>

namespace libp::app {

namespace {

startup_error failed(const std::string& where, const std::string& why) {
    return {exit_code::os_error, "announce: " + where + ": " + why, {}};
}

// Of a number; nothing: it is a file's name.
std::optional<fd_type> descriptor_of(const std::string& where) {
    const auto number = parse_count(where);
    if (!number || *number > 1'000'000) return std::nullopt;
    return static_cast<fd_type>(*number);
}

startup_result to_descriptor(const std::string& where, fd_type number, const std::string& text) {
    unique_fd out(number);
    block_pool blocks;
    chain data;
    data.append_copy(blocks, bytes_of(text));
    while (!data.empty()) {
        io_result r = write_to(out.get(), data);
        if (!r.ok()) return failed(where, r.why ? to_string(r.why) : "not ready");
        data.drop_front(r.bytes);
    }
    // stdout and stderr are not ours to close.
    if (number <= 2) std::ignore = out.release();
    return std::nullopt;
}

startup_result to_file(const std::string& where, const std::string& text) {
    // What exists and is no plain file (a FIFO, /dev/stderr) is written to; anything else is replaced.
    std::error_code absent;
    auto there = std::filesystem::status(where, absent);
    bool replace = !std::filesystem::exists(there) || std::filesystem::is_regular_file(there);
    std::string name = replace ? where + ".new" : where;
    std::ofstream out(name, std::ios::trunc);
    out << text << std::flush;
    out.close();
    if (!out || (replace && std::rename(name.c_str(), where.c_str()) != 0))
        return failed(where, "cannot be written");
    return std::nullopt;
}

}  // namespace

std::string announcement_text(const std::vector<socket_address>& bound) {
    std::string text;
    for (const socket_address& at : bound)
        text += std::string("listen ") + (at.is_ip() ? "tcp " : "unix ") + at.to_string() + "\n";
    return text;
}

startup_result check_announce(const std::string& where) {
    const auto number = descriptor_of(where);
    if (!number || fd_is_open(*number)) return std::nullopt;
    startup_error e = failed(where, "no such descriptor was handed over");
    e.hint = "in a shell: --announce " + where + " " + where + ">FILE; or --announce FILE";
    return e;
}

startup_result announce(const std::string& where, const std::vector<socket_address>& bound) {
    if (where.empty()) return std::nullopt;
    const std::string text = announcement_text(bound);
    const auto number = descriptor_of(where);
    return number ? to_descriptor(where, *number, text) : to_file(where, text);
}

}  // namespace libp::app
