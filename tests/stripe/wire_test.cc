// The bytes of stripe/1, as wire.h's page says them.

#include <libp/block.h>
#include <libp/crc32c.h>
#include <libp/endian.h>
#include <libp/stripe/wire.h>
#include <support/seed.h>

#include <gtest/gtest.h>

#include <array>
#include <cctype>
#include <string>

#include "stripe/frame_reader.h"
#include "stripe/frame_writer.h"

namespace libp::stripe {
namespace {

std::string hex(const chain& c) {
    static const char digits[] = "0123456789abcdef";
    std::string out;
    for (char byte : c.to_string()) {
        out += digits[static_cast<unsigned char>(byte) >> 4];
        out += digits[static_cast<unsigned char>(byte) & 15];
    }
    return out;
}

std::string unspaced(std::string s) {
    std::erase_if(s, [](unsigned char c) { return std::isspace(c); });
    return s;
}

// The checksum written out from its definition, so that the golden frames do not rest on the code
// under test.
std::uint32_t crc_by_definition(bytes data) {
    std::uint32_t crc = ~0u;
    for (std::uint8_t byte : data) {
        crc ^= byte;
        for (int i = 0; i < 8; ++i)
            crc = (crc >> 1) ^ (0x82f63b78u & (0u - (crc & 1)));
    }
    return ~crc;
}

std::string hex32(std::uint32_t v) {
    char out[9];
    std::snprintf(out, sizeof out, "%08x", v);
    return out;
}

TEST(wire, golden_data_frame) {
    block_pool blocks;
    frame_writer writer(blocks);
    chain out, payload;
    payload.append_copy(blocks, bytes_of("hello"));
    writer.shared(out,
                  {.type = wire::type::data,
                   .flags = wire::flag::fin | wire::flag::crc,
                   .length = 5,
                   .stream = 0x01020304,
                   .offset = 0x1122334455667788},
                  payload, crc32c(0, payload));
    const std::array<std::uint8_t, 20> summed = {
        0x12, 0x05, 0, 0, 0, 0, 0, 5, 1, 2, 3, 4, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88};
    EXPECT_EQ(hex(out),
              unspaced("12 05 0000 00000005 01020304 " + hex32(crc_by_definition(summed)) +
                       " 1122334455667788 68656c6c6f 9a71bb4c"));
    // The value RFC 3720's algorithm gives for "hello", not computed by any code here.
    EXPECT_EQ(crc_by_definition(bytes_of("hello")), 0x9a71bb4cu);
}

TEST(wire, golden_control_frames) {
    block_pool blocks;
    frame_writer writer(blocks);
    const auto frame = [&](const wire::header& h, bytes payload = {}, bool crc = false) {
        chain out;
        writer.small(out, h, payload, crc);
        return hex(out);
    };
    EXPECT_EQ(frame({.type = wire::type::ready}),
              "030000000000000000000000"
              "e5014ef9"
              "0000000000000000");
    EXPECT_EQ(frame({.type = wire::type::credit, .stream = 2, .offset = 0x40000}),
              "210000000000000000000002"
              "0cde1e7e"
              "0000000000040000");
    const std::array<std::uint8_t, 8> path = {0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 9};
    EXPECT_EQ(frame({.type = wire::type::path_ack, .offset = 0x1000}, path, true),
              "220400000000000800000000"
              "75d8e2e4"
              "0000000000001000"
              "deadbeef00000009"
              "9b8dc9e0");
}

TEST(wire, golden_datagram) {
    block_pool blocks;
    frame_writer writer(blocks);
    chain out;
    writer.small(out, {.type = wire::type::dgram, .aux = 150, .stream = 3, .offset = 7},
                 bytes_of("hello"), true);
    const std::array<std::uint8_t, 20> summed = {0x30, 4, 0, 150, 0, 0, 0, 5, 0, 0,
                                                 0,    3, 0, 0,   0, 0, 0, 0, 0, 7};
    EXPECT_EQ(hex(out),
              unspaced("30 04 0096 00000005 00000003 " + hex32(crc_by_definition(summed)) +
                       " 0000000000000007 68656c6c6f 9a71bb4c"));
    EXPECT_TRUE(wire::elicits(wire::type::dgram));
    EXPECT_EQ(wire::ttl_ms(duration{0}), 0);
    EXPECT_EQ(wire::ttl_ms(duration{1}), 1);
    EXPECT_EQ(wire::ttl_ms(150ms), 150);
    EXPECT_EQ(wire::ttl_ms(100s), 65535);
}

TEST(wire, headers_survive_the_round_trip) {
    test_random random(1);
    for (int i = 0; i < 1000; ++i) {
        const wire::header h{static_cast<std::uint8_t>(random.below(256)),
                             static_cast<std::uint8_t>(random.below(256)),
                             static_cast<std::uint16_t>(random.below(65536)),
                             static_cast<std::uint32_t>(random.below(UINT32_MAX)),
                             static_cast<std::uint32_t>(random.below(UINT32_MAX)),
                             random.below(UINT64_MAX)};
        std::uint8_t raw[wire::header_size];
        wire::encode(h, raw);
        wire::header back;
        ASSERT_TRUE(wire::decode(raw, back));
        EXPECT_EQ(h, back);
    }
}

TEST(wire, s15_any_flipped_bit_of_a_header_is_found) {
    std::uint8_t raw[wire::header_size];
    wire::encode({wire::type::data, wire::flag::crc, 0, 1000, 7, 123456}, raw);
    for (std::size_t bit = 0; bit < 8 * wire::header_size; ++bit) {
        raw[bit / 8] ^= static_cast<std::uint8_t>(1 << (bit % 8));
        wire::header h;
        EXPECT_FALSE(wire::decode(raw, h)) << bit;
        raw[bit / 8] ^= static_cast<std::uint8_t>(1 << (bit % 8));
    }
}

TEST(wire, only_what_the_table_allows_is_well_formed) {
    using wire::header;
    namespace type = wire::type;
    namespace flag = wire::flag;
    constexpr std::uint32_t max = 64 * kib;
    const auto ok = [](const header& h) { return wire::well_formed(h, max); };

    EXPECT_TRUE(ok({type::data, 0, 0, max, 1, UINT64_MAX}));
    EXPECT_FALSE(ok({type::data, 0, 0, max + 1, 1, 0}));
    EXPECT_FALSE(ok({type::data, 0, 0, UINT32_MAX, 1, 0}));
    EXPECT_FALSE(ok({type::data, 0, 0, 0, 1, 0})) << "neither payload nor FIN";
    EXPECT_TRUE(ok({type::data, flag::fin, 0, 0, 1, 0}));
    EXPECT_FALSE(ok({type::data, flag::fin | flag::crc, 0, 0, 1, 0})) << "a CRC of nothing";
    EXPECT_FALSE(ok({type::data, 0x08, 0, 1, 1, 0})) << "an unknown flag";
    EXPECT_FALSE(ok({type::data, 0, 1, 1, 1, 0})) << "aux must be 0";
    EXPECT_TRUE(ok({type::ack, 0, 2, 32, 1, 0}));
    EXPECT_FALSE(ok({type::ack, 0, 2, 31, 1, 0}));
    EXPECT_TRUE(ok({type::ack, 0, 64, 1024, 1, 0}));
    EXPECT_FALSE(ok({type::ack, 0, 65, 1040, 1, 0}));
    EXPECT_FALSE(ok({type::path_ack, 0, 0, 7, 0, 0}));
    EXPECT_TRUE(ok({type::path_ack, 0, 0, 8, 0, 0}));
    EXPECT_FALSE(ok({type::path_ack, 0, 0, 8, 1, 0})) << "not a stream's frame";
    EXPECT_FALSE(ok({type::ready, 0, 0, 0, 0, 1}));
    EXPECT_FALSE(ok({type::hello, flag::crc, 0, 95, 0, 0}));
    EXPECT_FALSE(ok({type::open, 0, 0, 1025, 1, 0}));
    EXPECT_FALSE(ok({type::rst, 0, 0, 257, 1, 0}));
    EXPECT_TRUE(ok({type::dgram, 0, 0, 0, 1, 0})) << "a datagram may be empty";
    EXPECT_TRUE(ok({type::dgram, flag::resent | flag::crc, 65535, 65507, 1, UINT64_MAX}));
    EXPECT_FALSE(ok({type::dgram, 0, 0, 65508, 1, 0}));
    EXPECT_FALSE(ok({type::dgram, flag::crc, 0, 0, 1, 0})) << "a CRC of nothing";
    EXPECT_FALSE(ok({type::dgram, flag::fin, 0, 1, 1, 0}));
    EXPECT_TRUE(wire::well_formed({type::dgram, 0, 0, 16 * kib, 1, 0}, 16 * kib));
    EXPECT_FALSE(wire::well_formed({type::dgram, 0, 0, 16 * kib + 1, 1, 0}, 16 * kib));
    for (std::uint8_t reserved : {0x00, 0x02, 0x04, 0x14, 0x31, 0x39, 0x3e})
        EXPECT_FALSE(ok({reserved, 0, 0, 0, 0, 0})) << int{reserved};
    EXPECT_TRUE(ok({0x40, 0xfb, 9, max, 3, 3}));
    EXPECT_FALSE(ok({0x40, 0, 0, max + 1, 0, 0}));
    EXPECT_TRUE(ok({0xff, 0, 0, 0, 0, 0}));
}

TEST(wire, reset_codes_name_the_same_reason_at_both_ends) {
    for (int i = 0; i <= static_cast<int>(reason::system); ++i) {
        const auto why = static_cast<reason>(i);
        const reason there = wire::reason_of(wire::code_of(why));
        if (why == reason::local_abort || why == reason::none) {
            EXPECT_EQ(there, reason::peer_reset);
        } else {
            EXPECT_EQ(there, why) << name_of(why);
        }
    }
    EXPECT_EQ(wire::reason_of(0xffff), reason::peer_reset);
}

// Frames of every size, fed in every split: the same frames come out.
TEST(frame_reader, s16_any_split) {
    block_pool blocks;
    for (std::uint64_t seed : test_seeds(30)) {
        SCOPED_TRACE(seed_note(seed));
        test_random random(seed);
        frame_writer writer(blocks);
        chain sent;
        std::vector<std::pair<wire::header, std::string>> frames;
        for (int i = 0; i < 20; ++i) {
            const std::string text =
                random.text(random.one_in(4) ? 1 + random.below(60000) : 1 + random.below(50));
            chain payload;
            payload.append_copy(blocks, bytes_of(text));
            wire::header h{.type = wire::type::data,
                           .length = static_cast<std::uint32_t>(text.size()),
                           .stream = static_cast<std::uint32_t>(i + 1),
                           .offset = random.below(1 << 30)};
            if (random.one_in(2)) h.flags = wire::flag::crc;
            writer.shared(sent, h, payload, crc32c(0, payload));
            frames.emplace_back(h, text);
        }
        frame_reader reader(blocks, 64 * kib);
        frame f;
        std::size_t got = 0;
        while (!sent.empty()) {
            chain part;
            const std::size_t most = random.one_in(3) ? 100000 : random.one_in(2) ? 700 : 3;
            sent.move_front(part, std::min<std::size_t>(sent.size(), 1 + random.below(most)));
            reader.feed(std::move(part));
            while (reader.next(f)) {
                ASSERT_LT(got, frames.size());
                EXPECT_EQ(f.head, frames[got].first);
                EXPECT_EQ(f.payload.to_string(), frames[got].second);
                ++got;
            }
            ASSERT_FALSE(reader.error());
        }
        EXPECT_EQ(got, frames.size());
        EXPECT_EQ(reader.buffered(), 0u);
    }
}

TEST(frame_reader, one_byte_at_a_time_holds_little_memory) {
    block_pool blocks(0);
    frame_writer writer(blocks);
    chain sent, payload;
    payload.append_copy(blocks, bytes_of(std::string(60000, 'x')));
    writer.shared(sent, {.type = wire::type::data, .length = 60000, .stream = 1}, payload, 0);
    const std::string all = sent.to_string();
    sent.clear();
    payload.clear();

    frame_reader reader(blocks, 64 * kib);
    const std::size_t before = blocks.in_use();
    frame f;
    for (std::size_t i = 0; i + 1 < all.size(); ++i) {
        block_ref b = blocks.take(64 * kib);
        b->data()[0] = static_cast<std::uint8_t>(all[i]);
        b->set_used(1);
        chain one;
        const std::uint8_t* at = b->data();
        one.append(slice{std::move(b), at, 1});
        reader.feed(std::move(one));
        ASSERT_FALSE(reader.next(f));
    }
    EXPECT_LE(blocks.in_use() - before, 3 * 64 * kib);
}

TEST(frame_reader, s15_a_flipped_payload_bit_breaks_it_for_good) {
    block_pool blocks;
    frame_writer writer(blocks);
    chain good;
    writer.small(good, {.type = wire::type::open, .stream = 1}, bytes_of("abcd"), true);
    const std::string sound = good.to_string();
    for (std::size_t bit = 8 * wire::header_size; bit < 8 * sound.size(); ++bit) {
        std::string bad = sound;
        bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
        chain c;
        c.append_copy(blocks, bytes_of(bad));
        frame_reader reader(blocks, 64 * kib);
        reader.feed(std::move(c));
        frame f;
        EXPECT_FALSE(reader.next(f));
        EXPECT_EQ(reader.error().why, reason::checksum_error);
        chain again;
        again.append_copy(blocks, bytes_of(sound));
        reader.feed(std::move(again));
        EXPECT_FALSE(reader.next(f));
    }
}

}  // namespace
}  // namespace libp::stripe
