#pragma once

// A shared library loaded while the program runs. It is never unloaded: code of its may be
// registered to run at exit.
//
// A system that cannot do this answers every open() with unsupported.

#include <string>

namespace libp {

class shared_library {
  public:
    // Nothing is loaded.
    shared_library() noexcept = default;
    // By exact name, looked for where the system keeps its libraries. On failure the library is
    // empty and `why` says why in the system's words. Its symbols become nobody else's.
    static shared_library open(const std::string& name, std::string& why);

    explicit operator bool() const noexcept { return handle_ != nullptr; }
    // The address of a function, in this library or one that it depends on; nullptr: there is none.
    void* symbol(const char* name) const noexcept;
    // The address of a function that all of the program shares: its own, or of a library that it
    // began with. nullptr: there is none, or no way to tell.
    static void* in_program(const char* name) noexcept;

  private:
    void* handle_ = nullptr;
};

}  // namespace libp
