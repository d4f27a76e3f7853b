// What listen_on() does about a UNIX path that exists: a left-over socket goes, everything else
// stays.

#include "sockets.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "support/as_nobody.h"

namespace libp::testing {
namespace {

namespace fs = std::filesystem;

reason listen_error(const std::string& path) {
    return listen_on(address(path)).error().why;
}

// Leaves the file of a socket behind that nobody listens on any more.
void leave_socket(const std::string& path, int type = SOCK_STREAM) {
    const socket_address at = address(path);
    const unique_fd fd(socket(AF_UNIX, type, 0));
    ASSERT_EQ(bind(fd.get(), at.raw(), static_cast<socklen_t>(at.raw_size())), 0);
}

TEST(UnixListen, NewPath) {
    const folder dir;
    const auto listener = listen_on(address(dir / "s"));
    ASSERT_TRUE(listener) << to_string(listener.error());
    EXPECT_EQ(local_address(listener->get()).path(), dir / "s");
    const linked l = link_through(listener->get());
    ASSERT_TRUE(l.server);
    EXPECT_EQ(l.seen.to_string(), "(unnamed)");
    EXPECT_EQ(peer_address(l.client.get()).path(), dir / "s");
}

TEST(UnixListen, LeftOverIsReplaced) {
    const folder dir;
    for (int type : {SOCK_STREAM, SOCK_DGRAM}) {
        const std::string path = dir / ("s" + std::to_string(type));
        leave_socket(path, type);
        const auto listener = listen_on(address(path));
        ASSERT_TRUE(listener) << to_string(listener.error());
        EXPECT_TRUE(link_through(listener->get()).server);
    }
}

TEST(UnixListen, LiveServerIsLeftAlone) {
    const folder dir;
    const auto first = listen_on(address(dir / "s"));
    ASSERT_TRUE(first);
    EXPECT_EQ(listen_error(dir / "s"), reason::address_in_use);

    // The file is still the first one's, and nobody has connected to it.
    EXPECT_EQ(accept_from(first->get()).status, io_status::again);
    EXPECT_TRUE(link_through(first->get()).server);
}

TEST(UnixListen, BusyServerIsLeftAlone) {
    const folder dir;
    const socket_address at = address(dir / "s");
    const auto first = listen_on(at, {.backlog = 0});
    ASSERT_TRUE(first);
    std::vector<unique_fd> queued;
    for (int i = 0; i < 1000; ++i) {
        auto fd = start_connect(at);
        if (!fd) {
            EXPECT_EQ(fd.error().why, reason::limit);
            break;
        }
        queued.push_back(std::move(*fd));
    }
    ASSERT_LT(queued.size(), 1000u);
    EXPECT_EQ(listen_error(dir / "s"), reason::address_in_use);
    EXPECT_TRUE(fs::is_socket(dir / "s"));

    // And the caller whom the full queue turned away gets in once there is room.
    ASSERT_EQ(accept_from(first->get()).status, io_status::ok);
    EXPECT_TRUE(start_connect(at));
}

TEST(UnixListen, LiveDatagramSocketIsLeftAlone) {
    const folder dir;
    const socket_address at = address(dir / "s");
    const unique_fd fd(socket(AF_UNIX, SOCK_DGRAM, 0));
    ASSERT_EQ(bind(fd.get(), at.raw(), static_cast<socklen_t>(at.raw_size())), 0);
    EXPECT_EQ(listen_error(dir / "s"), reason::address_in_use);
    EXPECT_TRUE(fs::is_socket(dir / "s"));
}

// Somebody who is about to listen.
TEST(UnixListen, BoundSocketIsLeftAlone) {
    const folder dir;
    const socket_address at = address(dir / "s");
    const unique_fd fd(socket(AF_UNIX, SOCK_STREAM, 0));
    ASSERT_EQ(bind(fd.get(), at.raw(), static_cast<socklen_t>(at.raw_size())), 0);
    EXPECT_EQ(listen_error(dir / "s"), reason::address_in_use);
    EXPECT_TRUE(fs::is_socket(dir / "s"));
}

TEST(UnixListen, RegularFileIsLeftAlone) {
    const folder dir;
    std::ofstream(dir / "f") << "precious";
    EXPECT_EQ(listen_error(dir / "f"), reason::address_in_use);
    std::string text;
    std::ifstream(dir / "f") >> text;
    EXPECT_EQ(text, "precious");
}

TEST(UnixListen, DirectoryIsLeftAlone) {
    const folder dir;
    fs::create_directory(dir / "d");
    EXPECT_EQ(listen_error(dir / "d"), reason::address_in_use);
    EXPECT_TRUE(fs::is_directory(dir / "d"));
}

TEST(UnixListen, FifoIsLeftAlone) {
    const folder dir;
    ASSERT_EQ(mkfifo((dir / "p").c_str(), 0600), 0);
    EXPECT_EQ(listen_error(dir / "p"), reason::address_in_use);
    EXPECT_TRUE(fs::is_fifo(dir / "p"));
}

TEST(UnixListen, DanglingLinkIsLeftAlone) {
    const folder dir;
    fs::create_symlink(dir / "nowhere", dir / "l");
    EXPECT_EQ(listen_error(dir / "l"), reason::address_in_use);
    EXPECT_TRUE(fs::is_symlink(dir / "l"));
    EXPECT_FALSE(fs::exists(dir / "nowhere"));
}

TEST(UnixListen, LinkToLeftOverIsLeftAlone) {
    const folder dir;
    leave_socket(dir / "s");
    fs::create_symlink(dir / "s", dir / "l");
    EXPECT_EQ(listen_error(dir / "l"), reason::address_in_use);
    EXPECT_TRUE(fs::is_symlink(dir / "l"));
    EXPECT_TRUE(fs::is_socket(dir / "s"));
}

TEST(UnixListen, ForbiddenIsPermission) {
    const folder dir;
    leave_socket(dir / "s");
    ASSERT_EQ(chmod((dir / "s").c_str(), 0), 0);
    ASSERT_EQ(chmod((dir / "").c_str(), 0755), 0);
    const as_nobody anybody;
    EXPECT_EQ(listen_error(dir / "s"), reason::permission);
    EXPECT_TRUE(fs::is_socket(dir / "s"));
}

TEST(UnixListen, NoSuchFolder) {
    const folder dir;
    EXPECT_FALSE(listen_on(address(dir / "no/s")));
    EXPECT_EQ(start_connect(address(dir / "no/s")).error().why, reason::refused);
}

}  // namespace
}  // namespace libp::testing
