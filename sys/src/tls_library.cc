#include <libp/shared_library.h>
#include <libp/tls_library.h>

#include <string_view>

namespace libp {

namespace {

constexpr unsigned long oldest = 0x10101000;  // 1.1.1
constexpr int version_text = 0;               // OPENSSL_VERSION

// What has had another name in an earlier version.
const char* former_name(std::string_view name) {
    return name == "SSL_get1_peer_certificate" ? "SSL_get_peer_certificate" : nullptr;
}

void* look_up(const shared_library& in, const char* name) {
    if (void* at = in.symbol(name)) return at;
    const char* former = former_name(name);
    return former ? in.symbol(former) : nullptr;
}

// "libssl.so.3: cannot open ...": the system begins with the name, which is said already.
std::string without_name(std::string why, const std::string& name) {
    const std::string prefix = name + ": ";
    if (why.starts_with(prefix)) why.erase(0, prefix.size());
    const std::size_t end = why.find(": No such file");
    return end == std::string::npos ? why : why.substr(0, end);
}

}  // namespace

std::vector<std::string> tls_library::usual_names() {
    return {"libssl.so.3", "libssl.so.4", "libssl.so.1.1"};
}

tls_library::tls_library(const std::vector<std::string>& names) {
    if constexpr (sizeof(long) != 8) {
        why_ = "TLS needs a 64-bit system";
        return;
    }
    std::string tried;
    for (const std::string& name : names) {
        const std::string problem = load(name);
        usable_ = problem.empty();
        if (usable_) return;
        tried += (tried.empty() ? "" : "; ") + name + ": " + problem;
    }
    why_ = "no usable OpenSSL (looked for " + (tried.empty() ? "nothing" : tried) + ")";
}

// Returns what is wrong with it.
std::string tls_library::load(const std::string& name) {
    std::string why;
    const shared_library library = shared_library::open(name, why);
    if (!library) return without_name(why, name);
    const char* missing = nullptr;
#define LOOK_UP(result, function, arguments)                                                  \
    call_.function = reinterpret_cast<decltype(call_.function)>(look_up(library, #function)); \
    if (!call_.function && !missing) missing = #function;
    OPENSSL_FUNCTIONS(LOOK_UP)
#undef LOOK_UP
    // An old one lacks functions too: its age is the better reason.
    if (call_.OpenSSL_version_num && call_.OpenSSL_version_num() < oldest)
        return std::string("older than 1.1.1");
    if (missing) return std::string("has no ") + missing;
    if (call_.OPENSSL_init_ssl(0, nullptr) != 1) return "cannot be initialised";
    version_ = std::string(call_.OpenSSL_version(version_text)) + " (" + name + ")";
    const void* const first = shared_library::in_program("SSL_new");
    if (first && first != library.symbol("SSL_new"))
        version_ += ", beside another SSL_new that the program began with";
    return {};
}

}  // namespace libp
