#include <kit/bug_exit.h>
#include <kit/exit_code.h>

#include <cstdio>
#include <cstdlib>
#include <new>

namespace libp::app {

namespace {

// Nothing here may need memory, and nobody is left to tell when stderr fails too.
exit_code say_why(const char* program) noexcept {
    try {
        if (const std::exception_ptr thrown = std::current_exception())
            std::rethrow_exception(thrown);
    } catch (const std::bad_alloc&) {
        std::fprintf(stderr, "%s: error: out of memory\n", program);
        return exit_code::os_error;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "bug: uncaught: %s\n", e.what());
    } catch (...) {
        std::fputs("bug: uncaught\n", stderr);
    }
    std::fprintf(stderr,
                 "%s: error: bug: this program has gone wrong, and stops before it does harm\n"
                 "  hint: please report it with the line above and what --version -v says\n",
                 program);
    return exit_code::software;
}

}  // namespace

void exit_by_bug(const char* program) noexcept {
    std::_Exit(static_cast<int>(say_why(program)));
}

}  // namespace libp::app
