#include <gtest/gtest.h>
#include <libp/chain.h>
#include <libp/crc32c.h>

#include <cstring>

#include "support/seed.h"

namespace libp {
namespace {

slice static_slice(std::string_view text) {
    return {{}, bytes_of(text).data(), text.size()};
}

// A block of its own that holds `text`.
slice block_slice(block_pool& pool, std::string_view text, std::size_t reserve = 0) {
    block_ref b = pool.take(std::max(text.size(), reserve));
    std::memcpy(b->data(), text.data(), text.size());
    b->set_used(text.size());
    const std::uint8_t* const start = b->data();
    return {std::move(b), start, text.size()};
}

slice part_of(const slice& s, std::size_t offset, std::size_t size) {
    return {s.owner, s.data + offset, size};
}

TEST(chain_test, starts_empty_and_drops_empty_slices) {
    chain c;
    EXPECT_TRUE(c.empty());
    c.append(slice{});
    c.prepend(slice{});
    c.append(chain());
    EXPECT_EQ(c.slices(), 0u);
    EXPECT_EQ(c.to_string(), "");
    EXPECT_LE(sizeof(chain), 40u);
}

TEST(chain_test, joins_slices_of_one_block_that_meet) {
    block_pool pool;
    const slice whole = block_slice(pool, "headerpayload");
    chain c;
    c.append(part_of(whole, 6, 3));
    c.append(part_of(whole, 9, 4));
    EXPECT_EQ(c.slices(), 1u);
    c.prepend(part_of(whole, 0, 6));
    EXPECT_EQ(c.slices(), 1u);
    EXPECT_EQ(c.to_string(), "headerpayload");
    c.append(part_of(whole, 0, 6));  // same block, but it does not go on there
    EXPECT_EQ(c.slices(), 2u);

    chain moved;
    c.move_front(moved, 4);
    c.move_front(moved, 3);
    EXPECT_EQ(moved.slices(), 1u);
    EXPECT_EQ(moved.to_string(), "headerp");
}

TEST(chain_test, does_not_join_static_bytes) {
    static const char text[] = "abcdef";
    chain c;
    c.append(static_slice({text, 3}));
    c.append(static_slice({text + 3, 3}));
    EXPECT_EQ(c.slices(), 2u);
    EXPECT_EQ(c.to_string(), "abcdef");
}

TEST(chain_test, a_copy_fills_the_last_block_only_where_nobody_else_holds_it) {
    block_pool pool;
    chain c;
    c.append_copy(pool, bytes_of("abc"));
    c.append_copy(pool, bytes_of("def"));
    EXPECT_EQ(c.slices(), 1u);
    EXPECT_EQ(pool.in_use(), 512u);

    chain other;
    c.share(other, 0, 6);
    c.append_copy(pool, bytes_of("ghi"));
    EXPECT_EQ(c.slices(), 2u);
    other.append_copy(pool, bytes_of("XYZ"));
    EXPECT_EQ(c.to_string(), "abcdefghi");
    EXPECT_EQ(other.to_string(), "abcdefXYZ");
}

TEST(chain_test, a_copy_never_overwrites_bytes_behind_the_slice) {
    block_pool pool;
    chain c;
    {
        const slice whole = block_slice(pool, "keep-rest");
        c.append(part_of(whole, 0, 4));
    }
    const std::uint8_t* const behind = c[0].data + 4;
    c.append_copy(pool, bytes_of("NEW"));
    EXPECT_EQ(std::memcmp(behind, "-rest", 5), 0);
    EXPECT_EQ(c.to_string(), "keepNEW");
}

TEST(chain_test, reserve_makes_room_for_the_next_copies) {
    block_pool pool;
    chain c;
    c.append_copy(pool, bytes_of("x"), 4 * kib);
    for (int i = 0; i < 4095; ++i)
        c.append_copy(pool, bytes_of("y"));
    EXPECT_EQ(c.slices(), 1u);
    c.append_copy(pool, bytes_of("z"));
    EXPECT_EQ(c.slices(), 2u);
    EXPECT_EQ(c.size(), 4097u);
}

TEST(chain_test, slices_keep_their_blocks_and_no_longer) {
    block_pool pool;
    chain a, b;
    a.append_copy(pool, bytes_of("0123456789"));
    a.share(b, 2, 5);
    a.clear();
    EXPECT_EQ(b.to_string(), "23456");
    EXPECT_EQ(pool.in_use(), 512u);
    b.drop_front(5);
    EXPECT_EQ(pool.in_use(), 0u);
}

TEST(chain_test, moving_a_chain_leaves_the_source_empty) {
    block_pool pool;
    chain a;
    a.append_copy(pool, bytes_of("abc"));
    chain b = std::move(a);
    EXPECT_TRUE(a.empty());
    EXPECT_EQ(b.to_string(), "abc");
    a.append(static_slice("x"));
    a = std::move(b);
    EXPECT_EQ(a.to_string(), "abc");
    EXPECT_TRUE(b.empty());
    b.append(std::move(a));
    EXPECT_TRUE(a.empty());
    EXPECT_EQ(b.to_string(), "abc");
}

TEST(chain_test, compact_lets_go_of_large_blocks) {
    block_pool pool(0);
    chain c;
    for (int i = 0; i < 10; ++i)
        c.append(block_slice(pool, std::string(100, 'a'), 64 * kib));
    EXPECT_EQ(pool.in_use(), 640 * kib);
    const std::string before = c.to_string();
    c.compact(pool);
    EXPECT_EQ(c.to_string(), before);
    EXPECT_LE(pool.in_use(), 2 * before.size());

    // Nothing to win: the slices stay as they are.
    chain full;
    full.append(block_slice(pool, std::string(512, 'b')));
    const std::uint8_t* const was = full[0].data;
    full.compact(pool);
    EXPECT_EQ(full[0].data, was);
    chain fixed;
    fixed.append(static_slice("static"));
    const std::size_t in_use = pool.in_use();
    fixed.compact(pool);
    EXPECT_EQ(pool.in_use(), in_use);
}

TEST(chain_test, crc_is_that_of_the_bytes) {
    block_pool pool;
    chain c;
    c.append(static_slice("1234"));
    c.append(block_slice(pool, "567"));
    c.append(static_slice("89"));
    EXPECT_EQ(crc32c(0, c), 0xe3069283u);
    EXPECT_EQ(crc32c(crc32c(0, bytes_of("1")), chain()), crc32c(0, bytes_of("1")));
}

TEST(chain_death_test, more_than_there_is_is_a_bug) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    chain c, to;
    c.append(static_slice("abc"));
    EXPECT_DEATH(c.drop_front(4), "dropped");
    EXPECT_DEATH(c.move_front(to, 4), "moved");
    EXPECT_DEATH(c.share(to, 2, 2), "shared");
    EXPECT_DEATH(c.share(to, 1, ~std::size_t{0}), "shared");
    EXPECT_DEATH((void)c[1], "no such slice");
    EXPECT_DEATH(c.append(std::move(c)), "appended to itself");
}

// Three chains and three strings go through the same random operations.
class chain_model_test {
  public:
    explicit chain_model_test(std::uint64_t seed) : random_(seed) {}

    void step() {
        const std::size_t i = random_.below(3);
        const std::size_t j = (i + 1 + random_.below(2)) % 3;
        chain& c = chains_[i];
        std::string& s = strings_[i];
        const std::size_t n = random_.below(s.size() + 1);
        switch (random_.below(12)) {
            case 0:
                add_slice(i, true);
                break;
            case 1:
                add_slice(i, false);
                break;
            case 2:
            case 3: {
                const std::string text = random_.text(random_.below(300));
                c.append_copy(pool_, bytes_of(text), random_.one_in(3) ? 5000 : 0);
                s += text;
                break;
            }
            case 4:
            case 5:
                c.move_front(chains_[j], n);
                strings_[j] += s.substr(0, n);
                s.erase(0, n);
                break;
            case 6: {
                const std::size_t size = random_.below(s.size() - n + 1);
                c.share(chains_[j], n, size);
                strings_[j] += s.substr(n, size);
                break;
            }
            case 7:
                c.drop_front(n);
                s.erase(0, n);
                break;
            case 8:
                c.compact(pool_);
                break;
            case 9:
                c.append(std::move(chains_[j]));
                s += std::exchange(strings_[j], {});
                break;
            case 10:
                c.prepend(std::move(chains_[j]));
                s.insert(0, std::exchange(strings_[j], {}));
                break;
            default:
                shrink(i);
                break;
        }
    }

    void compare() {
        for (std::size_t i = 0; i < 3; ++i) {
            const chain& c = chains_[i];
            ASSERT_EQ(c.size(), strings_[i].size());
            ASSERT_EQ(c.to_string(), strings_[i]);
            std::size_t sum = 0;
            for (std::size_t k = 0; k < c.slices(); ++k) {
                ASSERT_GT(c[k].size, 0u);
                sum += c[k].size;
            }
            ASSERT_EQ(sum, c.size());
            const std::size_t offset = random_.below(c.size() + 3);
            std::string out(random_.below(c.size() + 3), '?');
            const std::size_t copied =
                c.copy_out({reinterpret_cast<std::uint8_t*>(out.data()), out.size()}, offset);
            const std::size_t there = offset < c.size() ? c.size() - offset : 0;
            ASSERT_EQ(copied, std::min(out.size(), there));
            ASSERT_EQ(out.substr(0, copied),
                      strings_[i].substr(std::min(offset, c.size()), copied));
        }
    }

    void finish() {
        for (chain& c : chains_)
            c.clear();
        EXPECT_EQ(pool_.in_use(), 0u);
    }

  private:
    void add_slice(std::size_t i, bool at_end) {
        static const char fixed[] = "static bytes live for ever";
        slice s = static_slice(std::string_view(fixed).substr(random_.below(10), random_.below(9)));
        if (random_.one_in(2)) {
            const slice whole = block_slice(pool_, random_.text(1 + random_.below(700)));
            const std::size_t from = random_.below(whole.size);
            s = part_of(whole, from, random_.below(whole.size - from + 1));
        }
        const std::string text(text_of(s.view()));
        if (at_end) {
            chains_[i].append(std::move(s));
            strings_[i] += text;
        } else {
            chains_[i].prepend(std::move(s));
            strings_[i].insert(0, text);
        }
    }

    // Sharing doubles: keep the strings small.
    void shrink(std::size_t i) {
        if (strings_[i].size() < 8000 && !random_.one_in(5)) return;
        chains_[i].clear();
        strings_[i].clear();
    }

    test_random random_;
    block_pool pool_{64 * kib};
    chain chains_[3];
    std::string strings_[3];
};

TEST(chain_test, agrees_with_strings) {
    for (const std::uint64_t seed : test_seeds(60)) {
        SCOPED_TRACE(seed_note(seed));
        chain_model_test t(seed);
        for (int step = 0; step < 250; ++step) {
            t.step();
            t.compare();
            if (testing::Test::HasFatalFailure()) return;
        }
        t.finish();
    }
}

}  // namespace
}  // namespace libp
