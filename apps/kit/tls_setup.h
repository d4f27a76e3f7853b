#pragma once

// TLS for a program's stacks: what the options ask for, the credentials made from it, and what is
// said when it goes wrong.
//
// The library is loaded when a stack first needs it; where there is none that is an error at
// start-up, and only then. --tls and --psk-file put a tls layer next to the base of the side that
// leads to the other end; a `tls` layer in a spec says the same of that stack alone, and its
// options go before the program's.

#include <kit/startup_error.h>

#include <libp/event_loop.h>
#include <libp/log.h>
#include <libp/log_quota.h>
#include <libp/stack.h>
#include <libp/tls_credentials.h>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace libp::app {

struct tls_settings {
    bool on = false;
    std::string certificate, private_key, authorities, client_authorities, server_name, psk_file;
    std::vector<tls_pin> pins;
    bool insecure = false;
    bool allow_tls12 = false;

    // Any of the above.
    bool any() const noexcept;
};

// Adds the layer where the options ask for it and the spec has none.
void add_tls_layer(const tls_settings& settings, stack_spec& spec);
// Options for TLS that say nothing are a mistake: without a stack that has it, for the other end of
// a handshake, or beside keys that take their place.
startup_result check_tls_used(const tls_settings& settings, std::span<const stack_spec> listening,
                              std::span<const stack_spec> connecting);

// "tls (keys of /etc/k)", "tls (server certified by the system's authorities)": what --explain says
// of the layer.
std::string explain_tls(const layer_spec& layer, bool server, const tls_settings& settings);

class tls_setup {
  public:
    // `settings` outlives this. The names of the library to look for are tls_library's own, but in
    // tests.
    tls_setup(event_loop& loop, const log& out, const tls_settings& settings,
              duration handshake_timeout,
              std::vector<std::string> library_names = tls_library::usual_names());

    // Fills `to` if the stack has the layer: with a server's credentials or a client's. `protocol`:
    // ALPN, empty: none.
    startup_result prepare(const stack_spec& spec, bool server, const std::string& protocol,
                           stack_tls& to);
    // Reads all files again; what cannot be read stays as it was.
    void reload();

    // What the last handshake failed for; empty `why`: none did.
    const tls_refusal& last_refusal() const noexcept { return last_; }

  private:
    void on_refusal(const tls_refusal& r);

    event_loop& loop_;
    const log& log_;
    const tls_settings& settings_;
    const duration handshake_timeout_;
    std::vector<std::string> library_names_;
    std::optional<tls_library> library_;
    std::vector<std::unique_ptr<tls_credentials>> all_;
    tls_refusal last_;
    log_quota refusals_logged_{10};
};

// "auth: certificate of relay:443 does not verify: expired", with a hint, where `why` is a matter
// of authentication.
startup_result auth_error(const std::string& where, error why, const tls_refusal& last);

}  // namespace libp::app
