#include <gtest/gtest.h>
#include <kit/bug_exit.h>
#include <libp/assert.h>

#include <new>
#include <stdexcept>

namespace libp::app {
namespace {

constexpr char program[] = "tcp-test";

template <class thrown>
void nobody_catches(const thrown& what) noexcept {
    const auto raise = [&] { throw what; };
    raise();
}

void set_up() {
    exit_on_bugs<program>();
}

TEST(bug_exit_test, a_bug_is_70_with_its_place) {
    EXPECT_EXIT((set_up(), check(false, "two and two")), testing::ExitedWithCode(70),
                "^bug: .*bug_exit_test.cc:[0-9]+: two and two\n"
                "tcp-test: error: bug: .*\n"
                "  hint: please report ");
    EXPECT_EXIT((set_up(), nobody_catches(std::runtime_error("no such thing"))),
                testing::ExitedWithCode(70),
                "^bug: uncaught: no such thing\ntcp-test: error: bug: ");
}

TEST(bug_exit_test, to_be_out_of_memory_is_no_bug) {
    EXPECT_EXIT((set_up(), nobody_catches(std::bad_alloc())), testing::ExitedWithCode(71),
                "^tcp-test: error: out of memory\n$");
}

}  // namespace
}  // namespace libp::app
