#include "support/tls_world.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace libp {
namespace fs = std::filesystem;

tls_world& tls_world::shared() {
    static tls_world world;
    return world;
}

tls_world::tls_world() {
    std::string pattern = fs::temp_directory_path() / "libp-tls-XXXXXX";
    const char* made = mkdtemp(pattern.data());
    if (!made) std::abort();
    folder_ = made;
    if (std::system("openssl version > /dev/null 2>&1") != 0)
        no_certificates_ = "there is no openssl program to make certificates with";
    else if (std::system(
                 ("sh tests/support/certificates.sh " + folder_ + " > " + folder_ + "/log 2>&1")
                     .c_str()) != 0)
        no_certificates_ = "the certificates could not be made";
    if (!library_) return;
    const std::string keys = key_file("shared.keys", "test:" + std::string(64, '7') + "\n");
    key_client_ = make({.server = false, .shared_keys = keys});
    key_server_ = make({.server = true, .shared_keys = keys});
}

tls_world::~tls_world() {
    std::error_code gone_already;
    fs::remove_all(folder_, gone_already);
}

std::string tls_world::key_file(const std::string& name, const std::string& text) const {
    const std::string path = file(name);
    std::ofstream(path) << text;
    fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
    return path;
}

tls_options tls_world::server(const std::string& name) const {
    return {.server = true, .certificate = file(name + ".pem"), .private_key = file(name + ".key")};
}

tls_options tls_world::client() const {
    return {.authorities = file("authority.pem")};
}

std::unique_ptr<tls_credentials> tls_world::make(const tls_options& options) const {
    tls_fault wrong;
    auto made = tls_credentials::make(library_, options, wrong);
    if (!made) ADD_FAILURE() << wrong.what;
    return made;
}

pair_maker over_tls(pair_maker lower) {
    pair_maker m = lower;
    m.name = "tls_" + lower.name;
    m.make = [make = std::move(lower.make)](event_loop& loop) {
        const tls_world& world = tls_world::shared();
        pipe_pair p = make(loop);
        return pipe_pair{make_tls_pipe(loop, std::move(p.a), world.key_client()),
                         make_tls_pipe(loop, std::move(p.b), world.key_server())};
    };
    // A batch at the sender; a read, and what was decrypted of it, at the receiver.
    m.holds += 400 * kib;
    m.tells_a_cut = true;
    m.takes_early = false;
    return m;
}

}  // namespace libp
