#include <libp/assert.h>
#include <libp/process.h>
#include <libp/random.h>
#include <libp/tls_credentials.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>

#include "tls_settings.h"

namespace libp {
namespace {

// Thousands of keys.
constexpr std::size_t most_key_text = 1 * mib;

// Reads the keys of a file that not everybody may read.
bool read_keys(const std::string& file, std::vector<tls_key>& to, tls_fault& wrong) {
    std::error_code trouble;
    const auto status = std::filesystem::status(file, trouble);
    if (trouble || std::filesystem::is_directory(status)) {
        wrong = tls_unreadable(file, trouble ? trouble.value() : EISDIR);
        return false;
    }
    // A file that is another user's may be let in by its group: that is how a service is given a
    // key.
    using std::filesystem::perms;
    const perms strangers =
        owns_file(file) ? perms::group_all | perms::others_all : perms::others_all;
    if ((status.permissions() & strangers) != perms::none) {
        wrong = {.what = file + ": a key file that others may use", .exposed = true};
        return false;
    }
    secret_text buffer(4 * kib), text;
    std::ifstream in;
    in.rdbuf()->pubsetbuf(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    errno = 0;
    in.open(file);
    while (in && text.size() <= most_key_text) {
        const std::size_t had = text.size();
        text.resize(had + buffer.size());
        in.read(text.data() + had, static_cast<std::streamsize>(buffer.size()));
        text.resize(had + static_cast<std::size_t>(in.gcount()));
    }
    if (!in.eof()) {
        const int why = errno;
        wrong =
            in ? tls_fault{.what = file + ": too large for a key file"} : tls_unreadable(file, why);
        return false;
    }
    const std::string what = parse_tls_keys({text.data(), text.size()}, to);
    if (!what.empty()) wrong.what = file + ": " + what;
    return what.empty();
}

}  // namespace

std::unique_ptr<tls_credentials> tls_credentials::make(const tls_library& library,
                                                       const tls_options& options,
                                                       tls_fault& wrong) {
    check(bool(library), "TLS credentials without a library");
    std::unique_ptr<tls_credentials> made(new tls_credentials(library, options));
    if (!made->reload(wrong)) return nullptr;
    return made;
}

tls_credentials::tls_credentials(const tls_library& library, const tls_options& options)
    : library_(library),
      options_(options),
      transport_(make_tls_transport_method(library.call())),
      nobodys_key_{{}, secret_bytes(32)} {
    fill_random(nobodys_key_.secret);
}

tls_credentials::~tls_credentials() {
    if (settings_) call().SSL_CTX_free(settings_);
    call().BIO_meth_free(transport_);
}

bool tls_credentials::reload(tls_fault& wrong) {
    std::vector<tls_key> keys;
    if (uses_keys() && !read_keys(options_.shared_keys, keys, wrong)) return false;
    ssl_ctx_st* settings = make_tls_settings(*this, wrong);
    if (!settings) return false;
    if (settings_) call().SSL_CTX_free(settings_);
    settings_ = settings;
    keys_ = std::move(keys);
    return true;
}

bool tls_credentials::knows_clients() const noexcept {
    return options_.server &&
           (uses_keys() || !options_.client_authorities.empty() || !options_.pins.empty());
}

bool tls_credentials::needs_name() const noexcept {
    return !options_.server && options_.verify && options_.pins.empty() && !uses_keys();
}

const tls_key* tls_credentials::find_key(std::string_view id) const noexcept {
    const auto at = std::ranges::find(keys_, id, &tls_key::id);
    return at == keys_.end() ? nullptr : &*at;
}

}  // namespace libp
