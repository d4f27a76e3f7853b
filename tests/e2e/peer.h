#pragma once

// The outer ends of a relayed connection: a client, and the target it means to reach.
//
// Plain blocking sockets, with a time limit on every call (test_patience()). They use the system's
// own calls where a test's verdict depends on it: the library under test does not examine itself.
//
// What goes wrong is thrown as a `failure` that tells the story; testbed.h turns it into a failed
// test. That lets scenarios run in threads and read as straight lines.

#include <e2e/pattern.h>
#include <support/child_process.h>

#include <libp/fd.h>
#include <libp/socket_address.h>

#include <stdexcept>
#include <string>

namespace libp::e2e {

class failure : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// Throws a failure with `what` unless `holds`.
void expect(bool holds, const std::string& what);

enum class ending { fin, reset };

class peer {
  public:
    explicit peer(unique_fd fd);
    // Connects; throws when that fails.
    static peer to(const std::string& address);
    // Whether a connection can be made (and is closed again at once).
    static bool can_reach(const std::string& address);

    int fd() const noexcept { return fd_.get(); }

    void send(std::string_view text) { send(bytes_of(text)); }
    void send(bytes data);
    // Pattern bytes, `count` from `offset` on.
    void send(const pattern& p, std::uint64_t offset, std::uint64_t count);
    // FIN: this end says no more.
    void finish();
    // RST, at once.
    void reset();

    // Exactly that many bytes.
    std::string receive(std::size_t count);
    void receive(const pattern& p, std::uint64_t offset, std::uint64_t count);
    // Reads whatever comes up to the end, and says which end it was. The bytes must continue `p`
    // from `offset` on.
    ending receive_to_end(const pattern& p, std::uint64_t offset);
    // Reads up to the end, whatever the bytes.
    ending discard_to_end();
    // Nothing may come, not even an end.
    void stays_quiet(duration for_how_long);

    void expect_fin(const std::string& when);
    void expect_reset(const std::string& when);
    // The connection must fail in every respect: reset, also where a FIN came before.
    void expect_broken(const std::string& when);
    // Sends until that fails; it must fail with the peer's reset.
    void send_until_broken();
    // Sends until nothing more is taken for a while: everything between here and the far end is
    // full.
    void send_until_full(const pattern& p, std::uint64_t offset = 0);

  private:
    std::size_t receive_some(mutable_bytes into, const char* wanting);

    unique_fd fd_;
};

// Pattern bytes under way from one end to another, both held by the test.
class transfer {
  public:
    transfer(peer& from, peer& to, const pattern& p) : from_(from), to_(to), pattern_(p) {}

    // Goes on until `count` bytes arrived, all told. The sender stays ahead as far as buffers
    // allow, up to `most`.
    void run(std::uint64_t count, std::uint64_t most = static_cast<std::uint64_t>(-1));

  private:
    void push(std::uint64_t most);
    void pull(std::uint64_t count);

    peer& from_;
    peer& to_;
    pattern pattern_;
    std::uint64_t sent_ = 0, received_ = 0;
};

enum class family { ipv4, ipv6, unix_path };

const char* name_of(family f) noexcept;
bool available(family f);

// A folder for UNIX sockets, removed with what is in it.
class socket_folder {
  public:
    socket_folder();
    ~socket_folder();
    socket_folder(const socket_folder&) = delete;
    socket_folder& operator=(const socket_folder&) = delete;

    std::string path(const std::string& name) const { return path_ + "/" + name; }

  private:
    std::string path_;
};

// What a relay's clients mean to reach.
class target {
  public:
    // `at`: "127.0.0.1:0", "[::1]:0", a path.
    explicit target(const std::string& at = "127.0.0.1:0");

    const std::string& address() const noexcept { return address_; }
    int fd() const noexcept { return fd_.get(); }
    peer accept();

  private:
    unique_fd fd_;
    std::string address_;
};

// A stream socket for `address`, close-on-exec; throws.
unique_fd make_socket(const socket_address& address);
socket_address parse_address(const std::string& text);

}  // namespace libp::e2e
