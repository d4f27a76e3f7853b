// How a subflow begins: two HELLOs that cross, and what both ends make of them alike.

#include <libp/block.h>
#include <libp/crc32c.h>
#include <libp/endian.h>
#include <libp/stripe/handshake.h>
#include <libp/stripe/wire.h>
#include <support/seed.h>

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace libp::stripe {
namespace {

hello hello_of(std::uint8_t node, std::uint8_t nonce) {
    hello h;
    h.who.node_id.fill(node);
    h.who.instance.fill(7);
    h.nonce.fill(nonce);
    return h;
}

struct handshake_test : ::testing::Test {
    block_pool blocks;

    chain bytes_in(std::string_view text) {
        chain c;
        c.append_copy(blocks, bytes_of(text));
        return c;
    }
    std::string hello_bytes(const hello& h) {
        handshake from(blocks, h);
        return from.take_output().to_string();
    }
    // What a HELLO with some bytes of its payload changed looks like, CRC made right again.
    std::string changed(std::size_t at, std::string_view to) {
        std::string s = hello_bytes(hello_of(2, 2));
        s.replace(wire::header_size + at, to.size(), to);
        return resealed(s);
    }
    std::string resealed(std::string s) {
        auto* raw = reinterpret_cast<std::uint8_t*>(s.data());
        const std::size_t size = s.size() - wire::header_size - wire::trailer_size;
        wire::encode({.type = wire::type::hello,
                      .flags = wire::flag::crc,
                      .length = static_cast<std::uint32_t>(size)},
                     raw);
        store_be32(raw + wire::header_size + size, crc32c(0, {raw + wire::header_size, size}));
        return s;
    }
    // Nobody is told why but who speaks another version.
    reason reply_to(std::string_view text) {
        handshake h(blocks, hello_of(1, 1));
        h.take_output();
        chain c = bytes_in(text);
        const error e = h.received(c);
        if (!e) {
            EXPECT_TRUE(h.undecided() || !h.done());
        }
        const bool told = e.why == reason::other_version;
        EXPECT_EQ(h.refused(), told);
        EXPECT_EQ(h.take_output().to_string(), told ? goaway(0x3b) : "");
        return e.why;
    }
    static std::string frame(const wire::header& h, std::string_view payload = {}) {
        std::string s(wire::header_size, '\0');
        wire::encode(h, reinterpret_cast<std::uint8_t*>(s.data()));
        return s + std::string(payload);
    }
    static std::string goaway(std::uint16_t code) {
        return frame({.type = wire::type::goaway, .aux = code});
    }
    // What one that has said HELLO, or READY too, is ended with by these bytes, in two parts.
    error end_of(bool accepts, std::string_view answer, std::size_t split) {
        handshake h(blocks, hello_of(1, 1));
        chain c = bytes_in(hello_bytes(hello_of(2, 2)));
        EXPECT_FALSE(h.received(c));
        if (accepts) h.accept();
        h.take_output();
        error e;
        for (std::string_view part : {answer.substr(0, split), answer.substr(split)}) {
            if (e) break;
            c = bytes_in(part);
            e = h.received(c);
        }
        EXPECT_FALSE(h.done());
        EXPECT_TRUE(h.take_output().empty()) << "it is not answered";
        return e;
    }
};

TEST_F(handshake_test, ready_says_whether_the_session_goes_on) {
    for (const bool goes_on : {false, true}) {
        handshake a(blocks, hello_of(1, 1)), b(blocks, hello_of(2, 2));
        chain c = a.take_output();
        ASSERT_FALSE(b.received(c));
        b.accept(goes_on);
        c = b.take_output();
        ASSERT_FALSE(a.received(c));
        a.accept();
        ASSERT_FALSE(a.received(c));
        EXPECT_TRUE(a.done());
        EXPECT_EQ(a.peer_goes_on(), goes_on);
    }
    EXPECT_EQ(end_of(true, frame({.type = wire::type::ready, .aux = 2}), 10),
              error{reason::protocol_error});
}

TEST_F(handshake_test, the_hello_is_124_bytes_as_the_page_says) {
    hello h = hello_of(0xaa, 0xbb);
    h.max_frame = 0x10000;
    h.max_streams = 0x4000;
    h.initial_credit = 0x1000;
    h.heartbeat_ms = 15000;
    h.send_time_us = 0x0102030405060708;
    const std::string s = hello_bytes(h);
    ASSERT_EQ(s.size(), 24u + 96 + 4);
    EXPECT_EQ(s.substr(0, 12), std::string("\x01\x04\0\0\0\0\0\x60\0\0\0\0", 12));
    EXPECT_EQ(s.substr(24, 8), std::string("STR1\x01\x01\0\x01", 8));
    EXPECT_EQ(s.substr(32, 16), std::string(16, '\xaa'));
    EXPECT_EQ(s.substr(48, 8), std::string(8, '\x07'));
    EXPECT_EQ(s.substr(56, 16), std::string(16, '\0'));
    EXPECT_EQ(s.substr(72, 16), std::string(16, '\xbb'));
    EXPECT_EQ(s.substr(88, 32),
              std::string("\0\x01\0\0\0\0\x40\0\0\0\0\0\0\0\x10\0\0\0\x3a\x98\0\0\0\0"
                          "\x01\x02\x03\x04\x05\x06\x07\x08",
                          32));
}

TEST_F(handshake_test, any_split_and_what_follows_is_left_over) {
    for (std::uint64_t seed : test_seeds(50)) {
        SCOPED_TRACE(seed_note(seed));
        test_random random(seed);
        handshake a(blocks, hello_of(1, 0x11)), b(blocks, hello_of(2, 0x22));
        chain to_b = a.take_output(), to_a = b.take_output();
        chain rest_a, rest_b;
        const auto pass = [&](chain& from, handshake& to, chain& rest) {
            if (from.empty()) return;
            chain part;
            from.move_front(part, 1 + random.below(from.size()));
            ASSERT_FALSE(to.received(part));
            if (to.done()) rest.append(std::move(part));
        };
        // An end that has the peer's READY may send frames at once, right behind its own.
        const auto speak = [&](handshake& h, chain& to, bool& spoke, std::string_view frames) {
            if (h.undecided() && random.one_in(2)) h.accept();
            to.append(h.take_output());
            if (h.done() && !std::exchange(spoke, true)) to.append(bytes_in(frames));
        };
        bool a_spoke = false, b_spoke = false;
        while (!(a_spoke && b_spoke && to_a.empty() && to_b.empty())) {
            pass(to_b, b, rest_b);
            pass(to_a, a, rest_a);
            speak(a, to_b, a_spoke, "frames of a");
            speak(b, to_a, b_spoke, "frames of b");
        }
        ASSERT_TRUE(a.done() && b.done());
        EXPECT_EQ(rest_a.to_string(), "frames of b");
        EXPECT_EQ(rest_b.to_string(), "frames of a");
        EXPECT_EQ(a.id(), 0x33333333u);
        EXPECT_EQ(b.id(), a.id());
        EXPECT_EQ(a.key(), b.key());
        EXPECT_TRUE(a.even());
        EXPECT_FALSE(b.even());
        EXPECT_EQ(a.peer().who, b.own().who);
    }
}

TEST_F(handshake_test, the_lower_identity_is_even_whoever_it_is) {
    const auto even_of = [&](const hello& own, const hello& peer) {
        handshake h(blocks, own);
        chain c = bytes_in(hello_bytes(peer));
        EXPECT_FALSE(h.received(c));
        return h.even();
    };
    const hello low = hello_of(1, 9), high = hello_of(2, 8);
    EXPECT_TRUE(even_of(low, high));
    EXPECT_FALSE(even_of(high, low));
    // The same node started again: the instance decides.
    hello before = hello_of(1, 9), after = hello_of(1, 8);
    before.who.instance.fill(3);
    EXPECT_TRUE(even_of(before, after));
    EXPECT_FALSE(even_of(after, before));
}

TEST_F(handshake_test, a_tag_of_either_end_makes_another_session) {
    hello a = hello_of(1, 1), b = hello_of(2, 2);
    const auto key_of = [&](const hello& own, const hello& peer) {
        handshake h(blocks, own);
        chain c = bytes_in(hello_bytes(peer));
        EXPECT_FALSE(h.received(c));
        return h.key();
    };
    const session_key plain = key_of(a, b);
    a.session_tag.fill(5);
    EXPECT_NE(key_of(a, b), plain);
    EXPECT_EQ(key_of(a, b), key_of(b, a));
}

TEST_F(handshake_test, s20_both_ends_in_one_process) {
    EXPECT_EQ(reply_to(hello_bytes(hello_of(1, 2))), reason::self_connect);
    // A reflector that sends our own HELLO back.
    EXPECT_EQ(reply_to(hello_bytes(hello_of(1, 1))), reason::self_connect);
}

TEST_F(handshake_test, s20_strangers_are_turned_away_at_the_first_wrong_byte) {
    EXPECT_EQ(reply_to("G"), reason::protocol_error);
    EXPECT_EQ(reply_to("SSH-2.0-OpenSSH\r\n"), reason::protocol_error);
    EXPECT_EQ(reply_to(std::string("\x01\x04\x00\x01", 4)), reason::protocol_error);
    EXPECT_EQ(reply_to(std::string("\x01\x04\x00\x00", 4)), reason::none) << "so far so good";
}

TEST_F(handshake_test, s20_a_wrong_hello) {
    EXPECT_EQ(reply_to(changed(0, "STR2")), reason::protocol_error);
    EXPECT_EQ(reply_to(changed(4, "\x02\x03")), reason::other_version) << "too new";
    EXPECT_EQ(reply_to(changed(4, std::string("\x00\x00", 2))), reason::other_version);
    EXPECT_EQ(reply_to(changed(4, std::string("\x00\x09", 2))), reason::none) << "speaks 1 too";
    EXPECT_EQ(reply_to(changed(64, std::string("\0\0\x3f\xff", 4))), reason::protocol_error);
    EXPECT_EQ(reply_to(changed(64, std::string("\0\x10\0\x01", 4))), reason::protocol_error);
    EXPECT_EQ(reply_to(changed(68, std::string("\0\0\0\0", 4))), reason::protocol_error);
    EXPECT_EQ(reply_to(changed(72, "\x40")), reason::protocol_error);
    EXPECT_EQ(reply_to(changed(6, "\xff\xff")), reason::none) << "unknown features are not used";

    std::string flipped = hello_bytes(hello_of(2, 2));
    flipped[30] = static_cast<char>(flipped[30] ^ 1);
    EXPECT_EQ(reply_to(flipped), reason::checksum_error);
    flipped = hello_bytes(hello_of(2, 2));
    flipped[5] = static_cast<char>(flipped[5] ^ 1);
    EXPECT_EQ(reply_to(flipped), reason::checksum_error);
}

TEST_F(handshake_test, tlvs_are_skipped_unless_they_must_be_understood) {
    const auto with = [&](std::string_view tlvs) {
        std::string s = hello_bytes(hello_of(2, 2));
        s.insert(s.size() - wire::trailer_size, tlvs);
        return resealed(s);
    };
    EXPECT_EQ(reply_to(with(std::string("\0\x09\0\x02pq", 6))), reason::none);
    EXPECT_EQ(reply_to(with(std::string("\x80\x09\0\x02pq", 6))), reason::other_version);
    EXPECT_EQ(reply_to(with(std::string("\0\x09\0\x03pq", 6))), reason::protocol_error);
    EXPECT_EQ(reply_to(with(std::string("\0\x09\0", 3))), reason::protocol_error);
    EXPECT_EQ(reply_to(with(std::string(4000, '\0'))), reason::none) << "empty TLVs of type 0";
    EXPECT_EQ(reply_to(with(std::string(4004, '\0'))), reason::protocol_error) << "too long";
}

TEST_F(handshake_test, a_path_may_have_a_name_and_a_rank) {
    hello h = hello_of(2, 2);
    h.path = "lte";
    h.rank = 7;
    const std::string s = hello_bytes(h);
    ASSERT_EQ(s.size(), 24u + 96 + 8 + 4);
    EXPECT_EQ(s.substr(24 + 96, 8), std::string("\0\x01\0\x04\x07lte", 8));
    handshake to(blocks, hello_of(1, 1));
    chain in = bytes_in(s);
    ASSERT_FALSE(to.received(in));
    EXPECT_EQ(to.peer().path, "lte");
    EXPECT_EQ(to.peer().rank, 7);

    h.path = std::string(wire::path_name_max, 'p');
    const std::string longest = hello_bytes(h);
    EXPECT_EQ(reply_to(longest), reason::none);
    const auto sized = [&](std::string tlv) {
        std::string plain = hello_bytes(hello_of(2, 2));
        plain.insert(plain.size() - wire::trailer_size, tlv);
        return reply_to(resealed(plain));
    };
    EXPECT_EQ(sized(std::string("\0\x01\0\x01\x03", 5)), reason::none) << "a rank alone";
    EXPECT_EQ(sized(std::string("\0\x01\0\0", 4)), reason::protocol_error) << "without a rank";
    EXPECT_EQ(sized(std::string("\0\x01\0\x42", 4) + std::string(66, 'p')), reason::protocol_error)
        << "a name of 65 bytes";
}

TEST_F(handshake_test, s20_only_ready_follows_a_hello) {
    const std::string h = hello_bytes(hello_of(2, 2));
    EXPECT_EQ(reply_to(h + h), reason::protocol_error) << "a second HELLO";
    const std::string ready = frame({.type = wire::type::ready});
    const std::string ping = frame({.type = wire::type::ping});
    EXPECT_EQ(reply_to(h + ready), reason::none);
    EXPECT_EQ(reply_to(h + ping), reason::protocol_error);
    EXPECT_EQ(reply_to(h + ready + ping), reason::protocol_error) << "it has no READY of ours";
    EXPECT_EQ(reply_to(h + std::string(100000, 'x')), reason::protocol_error);
}

TEST_F(handshake_test, who_is_refused_is_told_why) {
    for (const reason why : {reason::limit, reason::session_lost, reason::auth_failed}) {
        handshake h(blocks, hello_of(1, 1));
        h.take_output();
        chain c = bytes_in(hello_bytes(hello_of(2, 2)));
        ASSERT_FALSE(h.received(c));
        h.refuse({why});
        EXPECT_TRUE(h.refused());
        EXPECT_FALSE(h.undecided() || h.done());
        const std::string said = h.take_output().to_string();
        EXPECT_EQ(said, goaway(wire::code_of(why)));
        c = bytes_in(frame({.type = wire::type::ready}));
        EXPECT_EQ(h.received(c), error{why}) << "READY may have been under way";
        for (const bool accepts : {false, true})
            for (std::size_t split = 0; split < said.size(); ++split)
                EXPECT_EQ(end_of(accepts, said, split), (error{why, by_peer})) << split;
    }
}

TEST_F(handshake_test, a_refusal_may_have_words_and_a_code_of_its_own) {
    const auto told = [&](std::string_view answer) { return end_of(true, answer, 0); };
    const wire::header wordy{.type = wire::type::goaway,
                             .flags = wire::flag::crc,
                             .aux = static_cast<std::uint16_t>(wire::code::limit),
                             .length = 256};
    EXPECT_EQ(told(frame(wordy, "full")), (error{reason::limit, by_peer}))
        << "no need for the rest";
    EXPECT_EQ(told(goaway(0x3b)), (error{reason::other_version, by_peer}));
    // What says nothing of how another try would end does not say that it would not, whoever says
    // it.
    for (const std::uint16_t code : {0x00, 0x01, 0x07, 0x20, 0x21, 0x27, 0x36, 0x38, 0x3c, 0xffff})
        EXPECT_EQ(told(goaway(code)), error{reason::peer_reset}) << code;
    wire::header wrong = wordy;
    wrong.length = 257;
    EXPECT_EQ(told(frame(wrong)), error{reason::protocol_error});
    std::string flipped = goaway(0x08);
    flipped[3] = static_cast<char>(flipped[3] ^ 1);
    EXPECT_EQ(told(flipped), error{reason::checksum_error});
    EXPECT_EQ(reply_to(goaway(0x08)), reason::protocol_error) << "before its HELLO";
    EXPECT_EQ(end_of(false, frame({.type = wire::type::ready}) + goaway(0x08), 0),
              error{reason::protocol_error})
        << "it has no READY of ours";
}

TEST_F(handshake_test, an_error_is_final) {
    handshake h(blocks, hello_of(1, 1));
    chain bad = bytes_in("nonsense");
    EXPECT_TRUE(h.received(bad));
    chain good = bytes_in(hello_bytes(hello_of(2, 2)));
    EXPECT_TRUE(h.received(good));
    EXPECT_FALSE(h.undecided());
}

}  // namespace
}  // namespace libp::stripe
