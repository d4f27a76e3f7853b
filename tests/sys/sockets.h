#pragma once

// What the tests of sys have in common: bounded waiting, sockets made in one line, a folder of
// one's own.

#include <libp/socket.h>

#include <gtest/gtest.h>

#include <poll.h>

#include <filesystem>
#include <string>

namespace libp::testing {

inline constexpr int patience_ms = 10'000;

inline bool wait_for(fd_type fd, short events) {
    pollfd p{fd, events, 0};
    return poll(&p, 1, patience_ms) == 1;
}
inline bool readable(fd_type fd) {
    return wait_for(fd, POLLIN);
}
inline bool writable(fd_type fd) {
    return wait_for(fd, POLLOUT);
}

inline socket_address address(std::string_view text) {
    auto a = socket_address::parse(text);
    EXPECT_TRUE(a) << text;
    return a ? *a : socket_address{};
}

struct linked {
    unique_fd client, server;
    socket_address seen;  // the peer as accept reported it
};

// A connection to `listener`, made and accepted.
inline linked link_through(fd_type listener) {
    linked out;
    auto fd = start_connect(local_address(listener));
    EXPECT_TRUE(fd) << to_string(fd.error());
    if (!fd || !writable(fd->get()) || !readable(listener)) return out;
    EXPECT_FALSE(take_error(fd->get()));
    accept_result got = accept_from(listener);
    EXPECT_EQ(got.status, io_status::ok);
    out.client = std::move(*fd);
    out.server = std::move(got.fd);
    out.seen = got.peer;
    return out;
}

inline linked tcp_pair() {
    auto listener = listen_on(address("127.0.0.1:0"));
    EXPECT_TRUE(listener);
    return link_through(listener->get());
}

inline linked unix_pair() {
    auto pair = socket_pair();
    EXPECT_TRUE(pair);
    return {std::move(pair->first), std::move(pair->second), {}};
}

// A chain over a text that outlives it.
inline chain static_chain(std::string_view text) {
    chain out;
    const bytes b = bytes_of(text);
    out.append(slice{{}, b.data(), b.size()});
    return out;
}

// One receive, as text; "again", "fin" or the reason in angle brackets when there is none.
inline std::string receive_text(fd_type fd, std::size_t room = 4096) {
    std::string text(room, '\0');
    const mutable_bytes buffer[] = {{reinterpret_cast<std::uint8_t*>(text.data()), text.size()}};
    const io_result r = receive(fd, buffer);
    if (r.status == io_status::again) return "<again>";
    if (r.status == io_status::fin) return "<fin>";
    if (r.status == io_status::broken) return std::string("<") + name_of(r.why.why) + ">";
    text.resize(r.bytes);
    return text;
}

class folder {
  public:
    folder() {
        std::string name = (std::filesystem::temp_directory_path() / "libp-XXXXXX").string();
        path_ = mkdtemp(name.data()) ? name : "";
        EXPECT_NE(path_, "");
    }
    ~folder() {
        std::error_code ignored;  // a left-over folder in /tmp is no test failure
        if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
    }
    folder(const folder&) = delete;
    folder& operator=(const folder&) = delete;

    std::string operator/(const std::string& name) const { return path_ + "/" + name; }

  private:
    std::string path_;
};

}  // namespace libp::testing
