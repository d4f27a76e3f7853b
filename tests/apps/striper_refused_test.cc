// A server that will not have a client says why, and a client that was to be of use once ends by
// it.

#include <apps/striper_pair.h>
#include <libp/block.h>
#include <libp/crc32c.h>
#include <libp/endian.h>
#include <libp/stripe/handshake.h>
#include <libp/stripe/wire.h>

namespace libp::app {
namespace {

constexpr std::size_t hello_frame =
    stripe::wire::header_size + stripe::wire::hello_size + stripe::wire::trailer_size;

stripe::hello hello_of(std::uint32_t n) {
    stripe::hello h;
    store_be32(h.who.node_id.data(), n);
    store_be32(h.nonce.data(), n);
    return h;
}

// Says HELLO, and what comes behind it.
struct hand_made_end {
    explicit hand_made_end(std::uint32_t n) : shakes(blocks, hello_of(n)) {}
    std::string hello() { return shakes.take_output().to_string(); }
    std::string ready(const std::string& peer) {
        chain in;
        in.append_copy(blocks, bytes_of(peer));
        EXPECT_FALSE(shakes.received(in));
        shakes.accept();
        return shakes.take_output().to_string();
    }
    static std::string goaway(std::uint16_t code) {
        std::string frame(stripe::wire::header_size, '\0');
        stripe::wire::encode({.type = stripe::wire::type::goaway, .aux = code},
                             reinterpret_cast<std::uint8_t*>(frame.data()));
        return frame;
    }

    block_pool blocks;
    stripe::handshake shakes;
};

std::string last_words(const std::string& what, const std::string& why) {
    return "\ntcp-striper: error: " + what + ": " + why;
}

constexpr const char* other_version =
    "the versions of the two ends differ\n"
    "  hint: compare: tcp-striper --version, at both ends\n";

// All its sessions are taken; each has a subflow, and nothing to carry.
TEST(tcp_striper_refused, stdin_to_a_server_that_is_full_is_69) {
    test_listener target;
    spawned_program far(striper_with({"-q", "-s", "127.0.0.1:0", target.address()}));
    const std::string path = far.wait_announced();
    std::vector<test_socket> others;
    for (std::uint32_t n = 1; n <= 256; ++n) {
        hand_made_end other(n);
        test_socket& s = others.emplace_back(test_socket::connect(path));
        ASSERT_TRUE(s.send(other.hello()));
        ASSERT_TRUE(s.send(other.ready(s.receive(hello_frame))));
        ASSERT_EQ(s.receive(stripe::wire::header_size).size(), stripe::wire::header_size) << n;
    }
    const run_result r =
        run_program("tcp-striper", {"--connect-timeout=500ms", "-n", "1", "-c", "-", path});
    EXPECT_EQ(r.status, 69);
    EXPECT_TRUE(r.errors.ends_with(
        last_words("connect: " + path, "refused by the other end: limit reached\n")))
        << r.errors;
    EXPECT_NE(r.errors.find(" state=refused end=limit why=\"refused by the other end: limit "
                            "reached\""),
              std::string::npos)
        << r.errors;
    EXPECT_NE(r.errors.find(" info conn id="), std::string::npos) << r.errors;
    EXPECT_EQ(field_of(r.errors.substr(r.errors.find(" info conn id=")), "end"), "limit");
}

// At once: these answers are final.
TEST(tcp_striper_refused, stdin_to_a_server_that_will_never_have_it_is_77_or_76) {
    const std::string turned_away = "refused by the other end: ";
    for (const auto& [code, status, what, why] :
         {std::tuple(0x34, 77, "auth: ", turned_away + "authentication failed\n"),
          std::tuple(0x3b, 76, "connect: ", turned_away + other_version)}) {
        test_listener server;
        spawned_program near(
            {.program = "tcp-striper",
             .arguments = {"--connect-timeout=1h", "-n", "1", "-c", "-", server.address()}});
        test_socket there = server.accept();
        const auto told = static_cast<std::uint16_t>(code);
        ASSERT_TRUE(there.send(hand_made_end(9).hello() + hand_made_end::goaway(told)));
        EXPECT_EQ(near.wait_exit(), status);
        EXPECT_TRUE(near.errors().ends_with(last_words(what + server.address(), why)))
            << near.errors();
    }
}

TEST(tcp_striper_refused, stdin_to_a_server_of_another_version_is_76) {
    std::string hello = hand_made_end(9).hello();
    hello[stripe::wire::header_size + 4] = hello[stripe::wire::header_size + 5] = 2;
    const bytes payload =
        bytes_of(hello).subspan(stripe::wire::header_size, stripe::wire::hello_size);
    store_be32(
        reinterpret_cast<std::uint8_t*>(hello.data() + hello.size()) - stripe::wire::trailer_size,
        crc32c(0, payload));
    test_listener server;
    spawned_program near(
        {.program = "tcp-striper",
         .arguments = {"--connect-timeout=1h", "-n", "1", "-c", "-", server.address()}});
    test_socket there = server.accept();
    ASSERT_TRUE(there.send(hello));
    EXPECT_EQ(there.receive(hello_frame + stripe::wire::header_size).substr(hello_frame),
              hand_made_end::goaway(0x3b));
    EXPECT_EQ(near.wait_exit(), 76);
    EXPECT_TRUE(near.errors().ends_with(last_words("connect: " + server.address(), other_version)))
        << near.errors();
}

}  // namespace
}  // namespace libp::app
