#include <libp/shared_library.h>

#if __has_include(<dlfcn.h>)
#include <dlfcn.h>

namespace libp {

shared_library shared_library::open(const std::string& name, std::string& why) {
    shared_library opened;
    opened.handle_ = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (opened) return opened;
    const char* said = dlerror();
    why = said ? said : "cannot be loaded";
    return opened;
}

void* shared_library::symbol(const char* name) const noexcept {
    return handle_ ? dlsym(handle_, name) : nullptr;
}

void* shared_library::in_program(const char* name) noexcept {
    return dlsym(RTLD_DEFAULT, name);
}

}  // namespace libp

#else

namespace libp {

shared_library shared_library::open(const std::string&, std::string& why) {
    why = "this system loads no libraries at run time";
    return {};
}

void* shared_library::symbol(const char*) const noexcept {
    return nullptr;
}

void* shared_library::in_program(const char*) noexcept {
    return nullptr;
}

}  // namespace libp

#endif
