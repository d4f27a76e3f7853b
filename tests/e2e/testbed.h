#pragma once

// A relay of some kind, made of the real programs, with a target behind it.
//
//     raw       client -> tcp-proxy -r                              -> target
//     datagram  client -> tcp-proxy -c     -> tcp-proxy -s          -> target
//     striped   client -> tcp-striper -c   => tcp-striper -s        -> target     (-n 4)
//
// The program that clients connect to is the near end, the one that connects to the target the far
// end; a raw relay is both.

#include <e2e/peer.h>
#include <support/child_process.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace libp::e2e {

enum class relay_kind { raw, datagram, striped };

const char* name_of(relay_kind kind) noexcept;

struct route {
    relay_kind kind;
    family over =
        family::ipv4;  // every listener on the way: clients', between the pair, the target's

    std::string name() const;
};

// All kinds over one family; over all families.
std::vector<route> every_kind(family over = family::ipv4);
std::vector<route> every_route();

struct relay_options {
    std::vector<std::string> args{};  // added to the command lines of both ends
    std::size_t descriptors = 0;      // as child_setup's, for both ends
};

// The two halves of a pair (far: also the whole of a raw relay).
std::unique_ptr<child_process> start_far(relay_kind kind, const std::string& listen,
                                         const std::string& target, const relay_options& = {});
std::unique_ptr<child_process> start_near(relay_kind kind, const std::string& listen,
                                          const std::string& far, const relay_options& = {});

class testbed {
  public:
    explicit testbed(const route& via, const relay_options& options = {});

    relay_kind kind() const noexcept { return via_.kind; }
    bool is_pair() const noexcept { return far_ != nullptr; }
    target& server() noexcept { return server_; }
    child_process& near_end() noexcept { return *near_; }
    child_process& far_end() noexcept { return far_ ? *far_ : *near_; }
    std::vector<child_process*> programs();
    const std::string& address() { return near_->address(); }

    peer connect() { return peer::to(address()); }
    // A client and the target's end of its connection; a few bytes went each way, so all of it
    // stands.
    struct connection {
        peer client, server;
    };
    connection connect_through();

    // Everything the programs said, for messages.
    std::string logs() const;

  private:
    std::string listen_at(const char* name) const;

    route via_;
    socket_folder folder_;
    target server_;
    std::unique_ptr<child_process> far_, near_;
};

// Runs the scenario once for each route, all at once, each with a testbed of its own. A failure
// thrown by one fails the test, with its route and logs.
void on_every_route(const std::vector<route>& routes, const relay_options& options,
                    const std::function<void(testbed&)>& scenario);

}  // namespace libp::e2e
