#include <kit/announcement.h>

#include <kit/value_text.h>

#include <libp/block.h>
#include <libp/fd.h>
#include <libp/socket.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <tuple>
#include <utility>

namespace libp::app {

namespace {

startup_error failed(const std::string& where, const std::string& why) {
    return {exit_code::os_error, "announce: " + where + ": " + why, {}};
}

// In the system's own words: what has become of a pipe's reader is not "reset by peer" here.
startup_error failed(const std::string& where, int os_errno) {
    return failed(where, to_string(error{reason::system, os_errno}));
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
        if (!r.ok()) return failed(where, r.why ? r.why.os_errno : EAGAIN);
        data.drop_front(r.bytes);
    }
    // stdout and stderr are not ours to close.
    if (number <= 2) std::ignore = out.release();
    return std::nullopt;
}

// False: errno says why not.
bool write_file(const std::string& name, const std::string& text) {
    std::FILE* out = std::fopen(name.c_str(), "w");
    if (!out) return false;
    // What it cannot hold shows when it is closed.
    const bool taken = std::fwrite(text.data(), 1, text.size(), out) == text.size();
    return std::fclose(out) == 0 && taken;
}

startup_result to_file(const std::string& where, const std::string& text) {
    // What exists and is no plain file (a FIFO, /dev/stderr, a link to either or to a file) is
    // written to; anything else is replaced.
    std::error_code absent;
    auto there = std::filesystem::symlink_status(where, absent);
    bool replace = !std::filesystem::exists(there) || std::filesystem::is_regular_file(there);
    std::string name = replace ? where + ".new" : where;
    if (!write_file(name, text) || (replace && std::rename(name.c_str(), where.c_str()) != 0))
        return failed(where, errno);
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
