#pragma once

// Random tests that can be run again: every test draws from a generator with a known seed, and says
// the seed when it fails.
//
//     for (std::uint64_t seed : test_seeds(20)) {
//         SCOPED_TRACE(seed_note(seed));
//         test_random random(seed);
//         ...
//     }
//
// LIBP_TEST_SEED=n in the environment runs seed n alone.

#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

namespace libp {

inline std::vector<std::uint64_t> test_seeds(std::uint64_t count) {
    if (const char* only = std::getenv("LIBP_TEST_SEED")) {
        return {std::strtoull(only, nullptr, 10)};
    }
    std::vector<std::uint64_t> seeds;
    for (std::uint64_t seed = 1; seed <= count; ++seed)
        seeds.push_back(seed);
    return seeds;
}

inline std::string seed_note(std::uint64_t seed) {
    return "LIBP_TEST_SEED=" + std::to_string(seed);
}

class test_random {
  public:
    explicit test_random(std::uint64_t seed) : engine_(seed) {}

    // 0 ... bound - 1. Not std::uniform_int_distribution, which differs between libraries.
    std::uint64_t below(std::uint64_t bound) { return engine_() % bound; }
    bool one_in(std::uint64_t n) { return below(n) == 0; }

    std::string text(std::size_t size) {
        std::string s(size, '\0');
        for (char& c : s)
            c = static_cast<char>(below(256));
        return s;
    }

  private:
    std::mt19937_64 engine_;
};

}  // namespace libp
