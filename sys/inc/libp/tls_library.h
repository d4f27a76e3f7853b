#pragma once

// The system's OpenSSL, found and loaded while the program runs: TLS is there wherever libssl is,
// and the program builds and starts without.
//
//  -- which one --
//
// The first of a list of exact names that can be loaded, is OpenSSL 1.1.1 or newer and has every
// function that openssl.h lists. Exact names only: what else calls itself libssl may be another
// library. Loaded once, never unloaded.
//
// A program that already has an OpenSSL, or what has the same names (LD_PRELOAD brings one, or an
// application that links both), may have parts of the one loaded here call parts of the other. That
// is rare, works with luck, and cannot be prevented here: version() says it.
//
// Without a usable one the object says why in a sentence that names what was looked for. Only
// 64-bit systems (one of OpenSSL's prototypes depends on the width of long).

#include <libp/openssl.h>

#include <string>
#include <vector>

namespace libp {

class tls_library {
  public:
    // "libssl.so.3" and its like, in the order of preference.
    static std::vector<std::string> usual_names();

    explicit tls_library(const std::vector<std::string>& names = usual_names());
    tls_library(const tls_library&) = delete;
    tls_library& operator=(const tls_library&) = delete;

    explicit operator bool() const noexcept { return usable_; }
    // Why it is not usable: "no usable OpenSSL (looked for libssl.so.3: cannot open shared object
    // file; ...)".
    const std::string& why() const noexcept { return why_; }
    // "OpenSSL 3.0.19 27 Jan 2026 (libssl.so.3)", and whether the program has another; empty: not
    // usable.
    const std::string& version() const noexcept { return version_; }

    // Only when usable.
    const openssl::functions& call() const noexcept { return call_; }

  private:
    std::string load(const std::string& name);

    openssl::functions call_;
    std::string version_;
    std::string why_;
    bool usable_ = false;
};

}  // namespace libp
